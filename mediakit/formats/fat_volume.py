"""The shape of a FAT volume: its boot sector's parameters, where FATs, root and clusters lie. Pure.

Source: Microsoft's *FAT: General Overview of On-Disk Format* 1.03, “Boot Sector and BPB” and “FAT Type
Determination”: only the number of clusters says whether a volume is FAT12, FAT16 or FAT32.
"""

from __future__ import annotations

import struct
from functools import cached_property

from mediakit.errors import FormatError
from mediakit.plain import dataclass
from mediakit.units import align_up

FAT12_LIMIT, FAT16_LIMIT, FAT32_LIMIT = 4085, 65525, 0x0FFFFFF5
_MARGIN = 16  # mkfs.fat and Windows disagree by a few clusters near the limits: keep away from them
_COMMON = struct.Struct("<3s8sHBHBHHBHHHII")
_TAIL16 = struct.Struct("<BBBI11s8s")
_TAIL32 = struct.Struct("<IHHIHH12sBBBI11s8s")
_OEM = b"MSWIN4.1"
_HALT = b"\xcd\x18\xeb\xfe"  # int 18h: the BIOS goes on to its next boot device


@dataclass(frozen=True)
class Volume:
    """Where everything lies; ``fat_type`` is 12, 16 or 32. Sectors count ``sector_bytes``."""

    fat_type: int
    sector_bytes: int
    cluster_sectors: int
    reserved_sectors: int
    fat_count: int
    fat_sectors: int
    root_entries: int
    total_sectors: int
    hidden_sectors: int
    root_cluster: int
    info_sector: int
    backup_sector: int
    label: str
    serial: int

    @property
    def size_bytes(self) -> int:
        return self.total_sectors * self.sector_bytes

    @property
    def cluster_bytes(self) -> int:
        return self.cluster_sectors * self.sector_bytes

    @property
    def fat_offset(self) -> int:
        return self.reserved_sectors * self.sector_bytes

    @property
    def fat_bytes(self) -> int:
        return self.fat_sectors * self.sector_bytes

    @property
    def root_offset(self) -> int:
        """Where the fixed root directory of FAT12 and FAT16 starts."""
        return self.fat_offset + self.fat_count * self.fat_bytes

    @property
    def root_bytes(self) -> int:
        return align_up(self.root_entries * 32, self.sector_bytes)

    @cached_property
    def data_offset(self) -> int:
        return self.root_offset + self.root_bytes

    @cached_property
    def cluster_count(self) -> int:
        return max(0, (self.size_bytes - self.data_offset) // self.cluster_bytes)

    def cluster_offset(self, cluster: int) -> int:
        return self.data_offset + (cluster - 2) * self.cluster_bytes

    def is_cluster(self, number: int) -> bool:
        return 2 <= number < self.cluster_count + 2

    def build(self) -> bytes:
        """The boot sector, one whole sector."""
        small = self.total_sectors if self.fat_type != 32 and self.total_sectors < 0x10000 else 0
        label = (self.label or "NO NAME").encode("ascii").ljust(11)
        sector = bytearray(self.sector_bytes)
        _COMMON.pack_into(
            sector,
            0,
            b"\xeb\x58\x90" if self.fat_type == 32 else b"\xeb\x3c\x90",
            _OEM,
            self.sector_bytes,
            self.cluster_sectors,
            self.reserved_sectors,
            self.fat_count,
            self.root_entries,
            small,
            0xF8,
            0 if self.fat_type == 32 else self.fat_sectors,
            63,
            255,
            self.hidden_sectors,
            0 if small else self.total_sectors,
        )
        kind = f"FAT{self.fat_type}".encode().ljust(8)
        if self.fat_type == 32:
            fields = (self.fat_sectors, 0, 0, self.root_cluster, self.info_sector, self.backup_sector)
            _TAIL32.pack_into(sector, 36, *fields, b"", 0x80, 0, 0x29, self.serial, label, kind)
            sector[90:94] = _HALT
        else:
            _TAIL16.pack_into(sector, 36, 0x80, 0, 0x29, self.serial, label, kind)
            sector[62:66] = _HALT
        sector[510:512] = b"\x55\xaa"
        return bytes(sector)


def parse(sector: bytes) -> Volume:
    """The volume that a boot sector (512 bytes are enough) describes; FormatError if it is none."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        raise FormatError("There is no FAT filesystem here: the boot sector does not end with 55 AA.")
    (_, _, sector_bytes, per_cluster, reserved, fats, roots, small, media, fat16, _, _, hidden, large) = (
        _COMMON.unpack_from(sector)
    )
    if sector_bytes not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
        raise FormatError("There is no FAT filesystem here: sector or cluster size make no sense.")
    if not 1 <= fats <= 4 or not reserved or (media < 0xF8 and media != 0xF0):
        raise FormatError("There is no FAT filesystem here: the boot sector's fields make no sense.")
    if fat16:
        fat_sectors, root_cluster, info, backup = fat16, 0, 0, 0
        _, _, mark, serial, label, _ = _TAIL16.unpack_from(sector, 36)
    else:
        fat_sectors, _, _, root_cluster, info, backup, _, _, _, mark, serial, label, _ = _TAIL32.unpack_from(
            sector, 36
        )
    text = label.decode("cp437").rstrip(" \0") if mark == 0x29 else ""
    volume = Volume(
        fat_type=32 if not fat16 else 16,
        sector_bytes=sector_bytes,
        cluster_sectors=per_cluster,
        reserved_sectors=reserved,
        fat_count=fats,
        fat_sectors=fat_sectors,
        root_entries=roots,
        total_sectors=small or large,
        hidden_sectors=hidden,
        root_cluster=root_cluster,
        info_sector=info,
        backup_sector=backup,
        label="" if text == "NO NAME" else text,
        serial=serial if mark in (0x28, 0x29) else 0,
    )
    return _judge(volume, bool(fat16))


def plan(
    size_bytes: int,
    *,
    sector_bytes: int = 512,
    label: str = "",
    serial: int = 0,
    cluster_sectors: int | None = None,
    hidden_sectors: int = 0,
    fat_type: int | None = None,
) -> Volume:
    """A new volume of ``size_bytes``; without ``cluster_sectors`` and ``fat_type`` both follow the size."""
    if sector_bytes not in (512, 1024, 2048, 4096):
        raise FormatError(f"FAT has no sectors of {sector_bytes} bytes.")
    check_label(label)
    wanted = fat_type or (32 if size_bytes >= 256 << 20 else None)
    choices = [cluster_sectors] if cluster_sectors else _cluster_choices(size_bytes, sector_bytes, wanted)
    kinds = (wanted,) if wanted else (12, 16, 32) if cluster_sectors else (12, 16)
    for sectors in choices:
        for kind in kinds:
            common = (size_bytes // sector_bytes, hidden_sectors, label, serial & 0xFFFFFFFF)
            volume = _fit(kind, sector_bytes, sectors, *common)
            if _has_room(volume):
                return volume
    raise FormatError(
        f"No FAT{wanted or ''} filesystem fits into {size_bytes} bytes with sectors of {sector_bytes}.",
        "FAT32 needs at least 65525 clusters.",
    )


def check_label(label: str) -> None:
    """FormatError unless ``label`` is what a FAT volume can be called."""
    if len(label) > 11 or any(not 32 <= ord(c) < 127 or c in '"*+,./:;<=>?[\\]|' for c in label):
        raise FormatError(f"“{label}” cannot be the name of a FAT filesystem.")


def _fit(
    kind: int, sector_bytes: int, per_cluster: int, total: int, hidden: int, label: str, serial: int
) -> Volume:
    """A volume whose FAT just covers its clusters, and whose clusters start aligned to their size."""
    roots = 0 if kind == 32 else 512
    reserved = 32 if kind == 32 else 1
    root_sectors = align_up(roots * 32, sector_bytes) // sector_bytes
    bits = kind
    fat_sectors = 1
    while True:
        clusters = max(0, total - reserved - root_sectors - 2 * fat_sectors) // per_cluster
        needed = max(1, -(-(clusters + 2) * bits // (8 * sector_bytes)))
        if needed <= fat_sectors:
            break
        fat_sectors = needed
    alignment = max(per_cluster, 4096 // sector_bytes)
    start = reserved + 2 * fat_sectors + root_sectors
    if kind == 32 and total > 64 * alignment:
        reserved += align_up(start, alignment) - start
    return Volume(
        fat_type=kind,
        sector_bytes=sector_bytes,
        cluster_sectors=per_cluster,
        reserved_sectors=reserved,
        fat_count=2,
        fat_sectors=fat_sectors,
        root_entries=roots,
        total_sectors=total,
        hidden_sectors=hidden,
        root_cluster=2 if kind == 32 else 0,
        info_sector=1 if kind == 32 else 0,
        backup_sector=6 if kind == 32 else 0,
        label=label,
        serial=serial,
    )


def _has_room(volume: Volume) -> bool:
    low, high = {12: (1, FAT12_LIMIT), 16: (FAT12_LIMIT, FAT16_LIMIT), 32: (FAT16_LIMIT, FAT32_LIMIT)}[
        volume.fat_type
    ]
    margin = _MARGIN if volume.fat_type != 12 else 0
    return (
        low + margin <= volume.cluster_count < high - _MARGIN
        and volume.total_sectors < 1 << 32
        and (volume.fat_type == 32 or volume.fat_sectors < 1 << 16)
    )


def _cluster_choices(size_bytes: int, sector_bytes: int, wanted: int | None) -> list[int]:
    """Cluster sizes to try, best first; for FAT32 as Windows chooses them, then smaller ones."""
    sizes = [s for s in (1, 2, 4, 8, 16, 32, 64, 128) if s * sector_bytes <= 32768]
    if wanted != 32:
        return sizes
    steps = ((260 << 20, 512), (8 << 30, 4096), (16 << 30, 8192), (32 << 30, 16384))
    cluster_bytes = next((cluster for limit, cluster in steps if size_bytes <= limit), 32768)
    best = max(1, cluster_bytes // sector_bytes)
    return [s for s in reversed(sizes) if s <= best] or [1]


def _judge(volume: Volume, has_fat16_field: bool) -> Volume:
    """The volume with its true type, once its fields agree with each other."""
    if not volume.fat_sectors or not volume.cluster_count:
        raise FormatError("There is no FAT filesystem here: the boot sector says that it has no room.")
    count = volume.cluster_count
    fat_type = 32 if not has_fat16_field else 12 if count < FAT12_LIMIT else 16
    entries = volume.fat_bytes * 8 // fat_type
    if entries < count + 2:
        raise FormatError("The FAT filesystem is damaged: its table is too small for its clusters.")
    fields = {name: getattr(volume, name) for name in Volume.__dataclass_fields__} | {"fat_type": fat_type}
    judged = Volume(**fields)
    if fat_type == 32 and not judged.is_cluster(volume.root_cluster):
        raise FormatError("The FAT filesystem is damaged: its root directory lies outside of it.")
    return judged
