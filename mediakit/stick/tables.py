"""A stick's partition tables: the image's own, the backup GPT at the true end, ENGINE-DATA. Pure.

Every entry of the image is kept as it is. Source: UEFI 2.10 §5.2 and §5.3.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import replace

from mediakit.errors import FormatError
from mediakit.formats import gpt, mbr
from mediakit.plain import dataclass
from mediakit.units import MIB, SECTOR, align_up

HEAD_BYTES = MIB
DATA_NAME = "ENGINE-DATA"
MIN_DATA_BYTES = 40 * MIB
"""FAT32 needs 65,525 clusters (Microsoft FAT specification 1.03), 33 MiB with the smallest ones."""
END_BYTES = 64 * SECTOR
"""Room for a backup GPT at the end of every stick."""
ROOM_STEP = 512 * MIB
ROOM_BEHIND = 256 * MIB
LARGE_STICK = 4_000_000_000
"""A “4 GB” stick; growing room costs little from there on."""


@dataclass(frozen=True)
class Span:
    """Bytes of a stick."""

    offset_bytes: int
    size_bytes: int

    @property
    def end(self) -> int:
        return self.offset_bytes + self.size_bytes


@dataclass(frozen=True)
class Tables:
    """What the tables of the stick will be; ``head`` is the stick's first MiB."""

    head: bytes
    tail: bytes
    tail_offset: int
    notes: tuple[str, ...] = ()


def place_data(image_bytes: int, stick_bytes: int) -> Span | None:
    """Where ENGINE-DATA goes; None where less than 40 MiB is left.

    On sticks of 4 GB and more at a multiple of 512 MiB with 256 MiB free behind the image, so that a larger
    image fits before it later; closer behind the image where that does not fit.
    """
    end = (stick_bytes - END_BYTES) // MIB * MIB
    near = align_up(image_bytes, MIB)
    far = align_up(image_bytes + ROOM_BEHIND, ROOM_STEP)
    for start in (far, near) if stick_bytes >= LARGE_STICK else (near,):
        if end - start >= MIN_DATA_BYTES:
            return Span(start, end - start)
    return None


def merge(
    head: bytes,
    image_gpt: gpt.Gpt | None,
    stick_bytes: int,
    data: Span | None,
    data_guid: uuid.UUID,
) -> Tables:
    """The image's first MiB with the stick's tables in it, and the backup GPT for the stick's end."""
    merged = bytearray(head.ljust(HEAD_BYTES, b"\0"))
    notes: list[str] = []
    tail, tail_offset = b"", stick_bytes
    if image_gpt is not None:
        primary, backup = _merge_gpt(image_gpt, stick_bytes, data, data_guid)
        built, other = _built(primary, image_gpt), _built(backup, image_gpt)
        if built.array_offset + len(built.array) > HEAD_BYTES:
            raise FormatError("The image's partition table does not lie in its first MiB.")
        merged[built.header_offset : built.header_offset + SECTOR] = built.header
        merged[built.array_offset : built.array_offset + len(built.array)] = built.array
        tail, tail_offset = other.array + other.header, other.array_offset
    if mbr.has_signature(head):
        merged[:SECTOR] = _merge_mbr(bytes(merged[:SECTOR]), stick_bytes, data, notes)
    return Tables(bytes(merged), tail, tail_offset, tuple(notes))


@dataclass(frozen=True)
class Located:
    """Where ENGINE-DATA is. ``survives``: what says so is not in the first MiB; the MBR knows no ``guid``."""

    span: Span
    guid: uuid.UUID | None
    survives: bool


def find_data(state: gpt.GptState, sector: bytes) -> Located | None:
    """ENGINE-DATA by name in the GPT (the backup first), else the MBR's FAT32 entry."""
    for side in (state.backup, state.primary):
        found = side.partition(DATA_NAME) if side else None
        if found is not None:
            span = Span(found.start_lba * SECTOR, found.sectors * SECTOR)
            return Located(span, found.guid, side is state.backup and state.backup_at_end)
    if state.gpt is None and mbr.has_signature(sector):
        for entry in mbr.parse(sector).partitions:
            if entry.type == mbr.TYPE_FAT32_LBA and entry.index > 1:
                return Located(Span(entry.start_lba * SECTOR, entry.sectors * SECTOR), None, False)
    return None


def _merge_gpt(
    image: gpt.Gpt, stick_bytes: int, data: Span | None, data_guid: uuid.UUID
) -> tuple[gpt.Gpt, gpt.Gpt]:
    last = stick_bytes // SECTOR - 1
    backup_array = last - align_up(image.array_bytes, SECTOR) // SECTOR
    partitions = image.partitions
    if data is not None:
        taken = {p.index for p in partitions}
        free = next(n for n in range(1, image.entry_count + 2) if n not in taken)
        start, end = data.offset_bytes // SECTOR, data.end // SECTOR - 1
        partitions += (gpt.GptPartition(free, DATA_NAME, gpt.BASIC_DATA, data_guid, start, end),)
    primary = replace(
        image,
        partitions=partitions,
        header_lba=1,
        alternate_lba=last,
        # isohybrid's ISO partition begins at LBA 0, before what its own header calls usable
        first_usable_lba=min([image.first_usable_lba, *(p.start_lba for p in partitions)]),
        last_usable_lba=backup_array - 1,
    )
    return primary, replace(primary, header_lba=last, alternate_lba=1, entries_lba=backup_array)


def _built(side: gpt.Gpt, image: gpt.Gpt) -> gpt.GptBytes:
    """The side's bytes, with the first usable sector that the image's own header names."""
    built = side.build(SECTOR)
    if side.first_usable_lba == image.first_usable_lba:
        return built
    header = bytearray(built.header)
    struct.pack_into("<Q", header, 40, image.first_usable_lba)
    header[16:20] = bytes(4)
    struct.pack_into("<I", header, 16, zlib.crc32(header[: gpt.HEADER_BYTES]))
    return replace(built, header=bytes(header))


def _merge_mbr(sector: bytes, stick_bytes: int, data: Span | None, notes: list[str]) -> bytes:
    table = mbr.parse(sector)
    sectors = stick_bytes // SECTOR
    for entry in table.partitions:
        if entry.type == mbr.TYPE_PROTECTIVE and table.is_protective:
            reach = min(sectors - entry.start_lba, 0xFFFFFFFF)
            table = table.with_partition(replace(entry, sectors=reach, end_chs=b""))
    if data is not None and not table.is_protective and table.partitions:
        free = [n for n in range(2, 5) if n not in {p.index for p in table.partitions}]
        if not free:
            notes.append("The image's MBR has no room for ENGINE-DATA: Windows before 10 will not show it.")
        elif data.end // SECTOR <= 0xFFFFFFFF:
            start, size = data.offset_bytes // SECTOR, data.size_bytes // SECTOR
            table = table.with_partition(mbr.MbrPartition(free[0], mbr.TYPE_FAT32_LBA, False, start, size))
    return table.build()


def has_room_table(head: bytes, image_gpt: gpt.Gpt | None) -> bool:
    """Whether the image has a table at all in which ENGINE-DATA can be entered."""
    return image_gpt is not None or (mbr.has_signature(head) and bool(mbr.parse(head).partitions))
