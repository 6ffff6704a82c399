"""The El Torito boot catalog: which boot images a disc offers to which firmware. Pure.

Sources: El Torito 1.0 §2.1 (validation entry), §2.2 (initial entry), §2.3 to §2.5 (section headers, entries,
extensions); UEFI 2.10 §13.3.2.1 (platform EF). ``lba`` counts 2048 bytes, ``load_sectors`` 512.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from mediakit.errors import FormatError

CATALOG_BYTES = 2048
PLATFORM_BIOS, PLATFORM_POWERPC, PLATFORM_MAC, PLATFORM_EFI = 0x00, 0x01, 0x02, 0xEF
_PLATFORMS = {0x00: "bios", 0x01: "powerpc", 0x02: "mac", 0xEF: "uefi"}
_ENTRY = struct.Struct("<BBHBBHI")
Emulation = Literal["none", "floppy", "hard disk", "unknown"]
_EMULATIONS: dict[int, Emulation] = {0: "none", 1: "floppy", 2: "floppy", 3: "floppy", 4: "hard disk"}


@dataclass(frozen=True)
class BootEntry:
    """One boot image. ``slot`` is the number of its 32-byte entry in the catalog."""

    slot: int
    platform_id: int
    is_bootable: bool
    media_type: int
    load_segment: int
    system_type: int
    load_sectors: int
    lba: int

    @property
    def platform(self) -> str:
        return _PLATFORMS.get(self.platform_id, f"0x{self.platform_id:02x}")

    @property
    def emulation(self) -> Emulation:
        return _EMULATIONS.get(self.media_type & 0x0F, "unknown")

    @property
    def is_bios(self) -> bool:
        return self.platform_id == PLATFORM_BIOS

    @property
    def is_efi(self) -> bool:
        return self.platform_id == PLATFORM_EFI


@dataclass(frozen=True)
class BootCatalog:
    """The catalog; ``checksum_ok`` is about the validation entry."""

    platform_id: int
    identifier: str
    checksum_ok: bool
    entries: tuple[BootEntry, ...]

    def find(self, platform_id: int) -> BootEntry | None:
        """The first bootable entry of a platform."""
        return next((e for e in self.entries if e.platform_id == platform_id and e.is_bootable), None)

    def build(self) -> bytes:
        """One block: the validation entry, the first entry, a section for each entry after it."""
        block = bytearray(CATALOG_BYTES)
        block[0:32] = _validation(self.platform_id, self.identifier)
        at = 32
        for number, entry in enumerate(self.entries):
            if number:
                last = number == len(self.entries) - 1
                struct.pack_into("<BBH", block, at, 0x91 if last else 0x90, entry.platform_id, 1)
                at += 32
            if at + 32 > len(block):
                raise FormatError("The boot catalog has no room for so many entries.")
            _ENTRY.pack_into(
                block,
                at,
                0x88 if entry.is_bootable else 0,
                entry.media_type,
                entry.load_segment,
                entry.system_type,
                0,
                entry.load_sectors,
                entry.lba,
            )
            at += 32
        return bytes(block)


def parse(data: bytes) -> BootCatalog:
    """The catalog in ``data`` (one or more blocks); FormatError if its validation entry is none."""
    if len(data) < 64 or data[0] != 1 or data[30:32] != b"\x55\xaa":
        raise FormatError("The boot catalog is damaged: its validation entry is missing.")
    total = sum(struct.unpack_from("<16H", data)) & 0xFFFF
    identifier = data[4:28].split(b"\0", 1)[0].decode("ascii", "replace")
    entries = [_entry(data, 1, data[1])]
    slot, is_last = 2, False
    while not is_last and (slot + 1) * 32 <= len(data):
        indicator, platform, count = struct.unpack_from("<BBH", data, slot * 32)
        if indicator not in (0x90, 0x91):
            break
        is_last = indicator == 0x91
        slot += 1
        for _ in range(count):
            if (slot + 1) * 32 > len(data):
                break
            entries.append(_entry(data, slot, platform))
            slot += 1
            while (slot + 1) * 32 <= len(data) and data[
                slot * 32
            ] == 0x44:  # an extension of selection criteria
                slot += 1
    return BootCatalog(data[1], identifier, total == 0, tuple(entries))


def _entry(data: bytes, slot: int, platform: int) -> BootEntry:
    indicator, media, segment, system, _, sectors, lba = _ENTRY.unpack_from(data, slot * 32)
    return BootEntry(slot, platform, indicator == 0x88, media, segment, system, sectors, lba)


def _validation(platform: int, identifier: str) -> bytes:
    entry = bytearray(32)
    entry[0], entry[1] = 1, platform
    entry[4:28] = identifier.encode("ascii", "replace")[:24].ljust(24, b"\0")
    entry[30:32] = b"\x55\xaa"
    struct.pack_into("<H", entry, 28, -sum(struct.unpack("<16H", entry)) & 0xFFFF)
    return bytes(entry)
