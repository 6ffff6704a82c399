"""What lies on a disk, in libblkid's words, from superblocks alone; nothing is mounted, nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mediakit.block import superblocks
from mediakit.errors import DeviceError, FormatError
from mediakit.formats import gpt, mbr
from mediakit.formats.reader import Reader, sub_reader
from mediakit.plain import dataclass
from mediakit.units import SECTOR

_EXTENDED = (0x05, 0x0F, 0x85)
_MAX_LOGICAL = 60
_NAMES = {
    "ntfs": "Windows (NTFS)",
    "ReFS": "Windows (ReFS)",
    "BitLocker": "Windows, encrypted (BitLocker)",
    "vfat": "FAT filesystem",
    "exfat": "exFAT filesystem",
    "ext2": "Linux (ext2)",
    "ext3": "Linux (ext3)",
    "ext4": "Linux (ext4)",
    "xfs": "Linux (XFS)",
    "btrfs": "Linux (Btrfs)",
    "squashfs": "Linux image (squashfs)",
    "erofs": "Linux image (EROFS)",
    "swap": "Linux swap",
    "swsuspend": "a hibernated Linux (swap)",
    "LVM2_member": "Linux (part of an LVM volume group)",
    "linux_raid_member": "Linux (part of a RAID)",
    "crypto_LUKS": "Linux, encrypted (LUKS)",
    "jbd": "Linux (journal)",
    "apfs": "macOS (APFS)",
    "hfsplus": "macOS (HFS+)",
    "iso9660": "ISO image",
    "udf": "UDF disc image",
}


@dataclass(frozen=True)
class Content:
    """One filesystem, volume member or area. ``partition`` is its number, 0 for the whole disk."""

    kind: str
    partition: int
    offset_bytes: int
    size_bytes: int
    label: str = ""
    uuid: str = ""
    what: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Area:
    number: int
    offset_bytes: int
    size_bytes: int
    name: str = ""
    type: str = ""


def identify(reader: Reader, size_bytes: int, *, sector_bytes: int = SECTOR) -> list[Content]:
    """What lies on ``size_bytes`` of ``reader``: the whole disk's content, then each partition's.

    An unknown partition has an empty ``kind``. Never raises for what is on it; DeviceError if nothing reads.
    """
    if size_bytes < SECTOR:
        return []
    found: list[Content] = []
    areas = list(_partitions(reader, size_bytes, sector_bytes))
    whole = superblocks.probe(reader, size_bytes)
    if whole is not None and not (areas and whole.kind == "vfat"):
        found.append(_content(whole, _Area(0, 0, size_bytes)))
    for area in areas:
        if area.offset_bytes == 0 and found:
            continue  # isohybrid's first partition is the ISO itself
        try:
            inner = superblocks.probe(sub_reader(reader, area.offset_bytes, area.size_bytes), area.size_bytes)
        except DeviceError:
            inner = None
        found.append(_content(inner, area))
    return found


def _content(found: superblocks.Found | None, area: _Area) -> Content:
    if found is None:
        what = f"unknown data ({area.name})" if area.name else "unknown data"
        if area.type in ("bios", "msr"):
            what = {"bios": "BIOS boot loader", "msr": "reserved for Windows"}[area.type]
        return Content("", area.number, area.offset_bytes, area.size_bytes, area.name, "", what)
    what = _NAMES.get(found.kind, found.kind)
    if found.kind == "vfat" and area.type == "esp":
        what = "EFI system partition (FAT)"
    return Content(
        found.kind,
        area.number,
        area.offset_bytes,
        area.size_bytes,
        found.label or area.name,
        found.uuid,
        what,
    )


def _partitions(reader: Reader, size_bytes: int, sector_bytes: int) -> Iterator[_Area]:
    """The partitions that lie on the disk, GPT's where there is one, else the MBR's with logical ones."""
    table = gpt.read(reader, size_bytes, sector_bytes).gpt if size_bytes >= 34 * sector_bytes else None
    if table is not None:
        kinds = {gpt.ESP: "esp", gpt.BIOS_BOOT: "bios", gpt.MICROSOFT_RESERVED: "msr"}
        for p in table.partitions:
            area = _Area(
                p.index,
                p.start_lba * sector_bytes,
                p.sectors * sector_bytes,
                p.name,
                kinds.get(p.type_guid, ""),
            )
            if _fits(area, size_bytes):
                yield area
        return
    for area in _mbr_partitions(reader, sector_bytes):
        if _fits(area, size_bytes):
            yield area


def _mbr_partitions(reader: Reader, sector_bytes: int) -> Iterator[_Area]:
    sector = reader(0, SECTOR)
    if not mbr.has_signature(sector) or not _is_table(sector):
        return
    for entry in mbr.parse(sector).partitions:
        if entry.type in _EXTENDED:
            yield from _logical(reader, entry.start_lba, sector_bytes)
        elif entry.type not in (mbr.TYPE_EMPTY, mbr.TYPE_PROTECTIVE):
            kind = "esp" if entry.type == mbr.TYPE_EFI else ""
            yield _Area(entry.index, entry.start_lba * sector_bytes, entry.sectors * sector_bytes, "", kind)


def _logical(reader: Reader, first_lba: int, sector_bytes: int) -> Iterator[_Area]:
    """The chain of extended boot records; loops and ends outside the disk end it."""
    lba, seen = first_lba, set[int]()
    while lba not in seen and len(seen) < _MAX_LOGICAL:
        seen.add(lba)
        try:
            record = mbr.parse(reader(lba * sector_bytes, SECTOR))
        except FormatError:
            return
        following = 0
        for entry in record.partitions:
            if entry.type in _EXTENDED:
                following = first_lba + entry.start_lba
            elif entry.index == 1 and entry.sectors:
                start = lba + entry.start_lba
                yield _Area(4 + len(seen), start * sector_bytes, entry.sectors * sector_bytes)
        if not following:
            return
        lba = following


def _is_table(sector: bytes) -> bool:
    """A FAT or NTFS boot sector ends in 55 AA too: a table's status bytes are only 00 or 80."""
    return all(sector[446 + 16 * number] in (0x00, 0x80) for number in range(4))


def _fits(area: _Area, size_bytes: int) -> bool:
    return (
        area.size_bytes >= SECTOR
        and area.offset_bytes >= 0
        and area.offset_bytes + area.size_bytes <= size_bytes
    )
