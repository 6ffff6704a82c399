"""The boot choice of an installed Engine: ``/engine/grubenv`` on its ESP, read and switched.

The file was preallocated by the install. All variables lie in its first 512 bytes, so that a change is one
sector written in place, which either happened or did not (GNU GRUB 2.06 ``lib/envblk.c``). Nothing else on
the ESP is ever touched here.
"""

from __future__ import annotations

from typing import Protocol

from mediakit.errors import DeviceError, FormatError
from mediakit.formats import grubenv
from mediakit.formats.fat import Fat
from mediakit.formats.reader import Reader, sub_reader
from mediakit.units import SECTOR

PATH = "/engine/grubenv"
SIZE_BYTES = 1024
VARIABLES = ("good", "try", "tries", "engine_a", "engine_b", "whole_a", "whole_b", "booting", "mode")


class Writable(Protocol):
    """What is needed of a ``block.target.Target``."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def reader(self) -> Reader: ...
    def read(self, offset: int, size: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def flush(self) -> None: ...


def read(reader: Reader, esp_offset: int, esp_size: int) -> dict[str, str]:
    """The boot choice on the ESP at ``esp_offset``; FormatError if there is none."""
    esp = sub_reader(reader, esp_offset, esp_size)
    return grubenv.parse(Fat(esp).read(PATH))


def locate(reader: Reader, esp_offset: int, esp_size: int) -> int:
    """Where the first sector of grubenv lies, in bytes from the start of what ``reader`` reads."""
    extents = Fat(sub_reader(reader, esp_offset, esp_size)).extents(PATH)
    if not extents or extents[0][1] < SECTOR:
        raise FormatError(f"{PATH} on the ESP has no first sector.", "Repair or reinstall this Engine.")
    return esp_offset + extents[0][0]


def initial(engine_a: int, engine_b: int, *, mode: str = "normal", good: str = "a") -> dict[str, str]:
    """The boot choice before anything is whole; ``engine_x`` are GPT partition numbers."""
    return {
        "good": good,
        "try": "",
        "tries": "0",
        "engine_a": f"gpt{engine_a}",
        "engine_b": f"gpt{engine_b}",
        "whole_a": "0",
        "whole_b": "0",
        "booting": "",
        "mode": mode,
    }


def build(variables: dict[str, str]) -> bytes:
    """The 1024 bytes of a grubenv; FormatError if the variables leave the first sector."""
    return grubenv.build(variables, SIZE_BYTES, limit_bytes=SECTOR)


def update(target: Writable, esp_offset: int = 0, *, esp_size: int = 0, **changes: str) -> dict[str, str]:
    """``change`` with the variables as keywords; ``try_`` stands for ``try``."""
    wanted = {name.rstrip("_"): value for name, value in changes.items()}
    return change(target, wanted, esp_offset, esp_size=esp_size)


def change(
    target: Writable, wanted: dict[str, str], esp_offset: int = 0, *, esp_size: int = 0
) -> dict[str, str]:
    """Change variables of the boot choice in ONE 512-byte write, flushed and read back; returns all of them.

    ``esp_size`` 0 means up to the end of the target. DeviceError when what is read back differs.
    """
    for name in wanted:
        if name not in VARIABLES:
            raise FormatError(f"“{name}” is no variable of the boot choice.")
    size = esp_size or target.size_bytes - esp_offset
    place = locate(target.reader, esp_offset, size)
    old = read(target.reader, esp_offset, size)
    new = old | wanted
    if new == old:
        return new
    sector = build(new)[:SECTOR]
    target.write(place, sector)
    target.flush()
    if target.read(place, SECTOR) != sector:
        raise DeviceError(
            "The boot choice was written, and reads back different.", "The disk may be failing; replace it."
        )
    return new


def inactive_slot(variables: dict[str, str]) -> str:
    """The slot that an upgrade writes: the one that is not ``good`` (FORMATS: with ``old``, a)."""
    return "b" if variables.get("good", "a") == "a" else "a"
