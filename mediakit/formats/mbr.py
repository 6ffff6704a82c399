"""The master boot record: 440 bytes of code, a disk id, four partitions, 55 AA. Pure.

Sources: UEFI 2.10 §5.2.1 (legacy MBR) and §5.2.3 (protective MBR); CHS as in ECMA-107 with 255 heads and 63
sectors a track, saturated at 1023/254/63. LBAs and sizes count the device's own sectors.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from mediakit.errors import FormatError
from mediakit.plain import dataclass

BOOT_CODE_BYTES = 440
SIGNATURE = b"\x55\xaa"
TYPE_EMPTY = 0x00
TYPE_FAT32_LBA = 0x0C
TYPE_HIDDEN_NTFS = 0x17
TYPE_LINUX_SWAP = 0x82
TYPE_LINUX = 0x83
TYPE_ISO_HYBRID = 0xCD
TYPE_PROTECTIVE = 0xEE
TYPE_EFI = 0xEF
_MAX_SECTORS = 0xFFFFFFFF
_ENTRY = struct.Struct("<B3sB3sII")


@dataclass(frozen=True)
class MbrPartition:
    """One of the four entries; ``index`` counts from 1. CHS is computed from the LBA where it is empty."""

    index: int
    type: int
    active: bool
    start_lba: int
    sectors: int
    start_chs: bytes = b""
    end_chs: bytes = b""

    @property
    def end_lba(self) -> int:
        """The last LBA inside the partition."""
        return self.start_lba + max(self.sectors, 1) - 1


@dataclass(frozen=True)
class Mbr:
    """A parsed or planned MBR; ``boot_code`` is padded to 440 bytes, ``reserved`` is bytes 444 and 445."""

    boot_code: bytes
    disk_id: int
    partitions: tuple[MbrPartition, ...]
    reserved: int = 0

    @property
    def has_boot_code(self) -> bool:
        return any(self.boot_code)

    @property
    def is_protective(self) -> bool:
        """Whether the only partition is GPT's type EE (UEFI §5.2.3)."""
        return [p.type for p in self.partitions] == [TYPE_PROTECTIVE]

    @property
    def has_protective(self) -> bool:
        return any(p.type == TYPE_PROTECTIVE for p in self.partitions)

    def build(self) -> bytes:
        """The sector: 512 bytes. FormatError if a field does not fit."""
        if len(self.boot_code) > BOOT_CODE_BYTES:
            raise FormatError(f"MBR boot code of {len(self.boot_code)} bytes does not fit in 440.")
        table = bytearray(64)
        for partition in self.partitions:
            if not 1 <= partition.index <= 4:
                raise FormatError(f"An MBR has four partitions, there is no number {partition.index}.")
            if max(partition.start_lba, partition.sectors) > _MAX_SECTORS:
                raise FormatError(f"Partition {partition.index} is beyond the 2 TiB that an MBR can say.")
            _ENTRY.pack_into(
                table,
                (partition.index - 1) * 16,
                0x80 if partition.active else 0,
                partition.start_chs or chs(partition.start_lba),
                partition.type,
                partition.end_chs or chs(partition.end_lba),
                partition.start_lba,
                partition.sectors,
            )
        head = self.boot_code.ljust(BOOT_CODE_BYTES, b"\0")
        return head + struct.pack("<IH", self.disk_id, self.reserved) + bytes(table) + SIGNATURE

    def with_partition(self, partition: MbrPartition) -> Mbr:
        """The same MBR with one entry added or replaced."""
        others = [p for p in self.partitions if p.index != partition.index]
        return replace(self, partitions=tuple(sorted([*others, partition], key=lambda p: p.index)))


def chs(lba: int) -> bytes:
    """The three CHS bytes of ``lba`` for 255 heads and 63 sectors, FE FF FF when out of reach."""
    cylinder, rest = divmod(lba, 255 * 63)
    if cylinder > 1023:
        return b"\xfe\xff\xff"
    head, sector = divmod(rest, 63)
    return bytes((head, (sector + 1) | (cylinder >> 2 & 0xC0), cylinder & 0xFF))


def has_signature(sector: bytes) -> bool:
    return sector[510:512] == SIGNATURE


def has_table(sector: bytes) -> bool:
    """Whether all four status bytes are 00 or 80, as every reader of a partition table asks for first."""
    return has_signature(sector) and all(sector[446 + at] in (0x00, 0x80) for at in (0, 16, 32, 48))


def parse(sector: bytes) -> Mbr:
    """The MBR in the first 512 bytes of ``sector``; FormatError without 55 AA. Empty entries are left out."""
    if len(sector) < 512 or not has_signature(sector):
        raise FormatError("There is no MBR: the first sector does not end with 55 AA.")
    partitions = []
    for index in range(1, 5):
        status, start_chs, kind, end_chs, start_lba, sectors = _ENTRY.unpack_from(sector, 430 + index * 16)
        if kind != TYPE_EMPTY or sectors:
            partitions.append(
                MbrPartition(index, kind, status == 0x80, start_lba, sectors, start_chs, end_chs)
            )
    disk_id, reserved = struct.unpack_from("<IH", sector, BOOT_CODE_BYTES)
    return Mbr(bytes(sector[:BOOT_CODE_BYTES]), disk_id, tuple(partitions), reserved)


def protective(total_sectors: int) -> Mbr:
    """The protective MBR of a GPT disk of ``total_sectors`` (UEFI §5.2.3)."""
    sectors = min(total_sectors - 1, _MAX_SECTORS)
    entry = MbrPartition(1, TYPE_PROTECTIVE, False, 1, sectors, b"\x00\x02\x00")
    return Mbr(b"", 0, (entry,))
