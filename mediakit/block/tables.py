"""A second opinion on partition tables, from libparted; and tables for disks that hold nothing.

mediakit itself uses ``formats.gpt`` and ``formats.mbr``; libparted rewrites a table in
place, which a cut can turn into no table at all, so it makes tables only where there is nothing to lose.
pyparted lives here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from mediakit.block.contents import identify
from mediakit.block.devices import Device, describe
from mediakit.block.target import open_target
from mediakit.errors import DeviceError, FormatError, RefusedError
from mediakit.formats import gpt, mbr
from mediakit.plain import dataclass
from mediakit.units import MIB, SECTOR

_LOCK = threading.Lock()  # libparted keeps its devices in one global list
_BLANK_BYTES = MIB


@dataclass(frozen=True)
class TablePartition:
    """A partition as libparted sees it; LBAs count the table's sectors, ``end_lba`` is inside."""

    number: int
    start_lba: int
    end_lba: int
    filesystem: str = ""
    name: str = ""


@dataclass(frozen=True)
class Table:
    """``kind`` is libparted's word: gpt, msdos, mac, loop (a filesystem without a table)."""

    kind: str
    sector_bytes: int
    partitions: tuple[TablePartition, ...]


def read(path: str | os.PathLike[str]) -> Table | None:
    """The table libparted sees; None for none. FormatError with its words for one it does not accept.

    Nothing is written: a question such as “fix the backup?” is taken as a refusal to read.
    """
    import parted

    device = describe(path, with_contents=False)
    with _LOCK:
        try:
            disk = parted.newDisk(parted.getDevice(device.path))
        except (parted.DiskException, parted.DeviceException, parted.IOException) as error:
            if not _has_table(device):
                return None
            raise FormatError(f"libparted does not accept the table of {path}: {_words(error)}.") from error
        found = tuple(
            TablePartition(
                part.number,
                part.geometry.start,
                part.geometry.end,
                part.fileSystem.type if part.fileSystem else "",
                part.name if disk.type == "gpt" and part.name else "",
            )
            for part in sorted(disk.partitions, key=lambda part: int(part.number))
        )
        return Table(str(disk.type), int(disk.device.sectorSize), found)


def make_gpt(path: str | os.PathLike[str], partitions: Iterable[TablePartition]) -> Table:
    """Make a GPT on a disk that holds nothing; RefusedError if it holds anything, or may not be written."""
    import parted

    with open_target(path) as target:
        blank = target.read(0, min(_BLANK_BYTES, target.size_bytes))
        if any(blank) or identify(target.reader, target.size_bytes, sector_bytes=target.sector_bytes):
            raise RefusedError(f"{path} is not empty.", "Its table is not made anew by this way.")
    with _LOCK:
        try:
            device = parted.getDevice(str(Path(path).resolve()))
            disk = parted.freshDisk(device, "gpt")
            for wanted in partitions:
                geometry = parted.Geometry(device=device, start=wanted.start_lba, end=wanted.end_lba)
                part = parted.Partition(disk=disk, type=parted.PARTITION_NORMAL, geometry=geometry)
                exact = parted.Constraint(exactGeom=geometry)
                disk.addPartition(partition=part, constraint=exact)
                if wanted.name:
                    part.name = wanted.name
            disk.commit()
        except (parted.DiskException, parted.PartitionException, parted.IOException) as error:
            raise DeviceError(f"libparted could not make a table on {path}: {_words(error)}.") from error
    made = read(path)
    if made is None or made.sector_bytes not in (SECTOR, 4096):
        raise DeviceError(f"The table that was made on {path} cannot be read back.", "Use another disk.")
    return made


def _has_table(device: Device) -> bool:
    """Whether there is anything that our own readers take for a table; libparted says the same for both."""
    with open_target(device.path, writable=False) as target:
        if target.size_bytes < 34 * target.sector_bytes:
            return False
        state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
        return state.is_present or mbr.has_signature(target.read(0, SECTOR))


def _words(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
