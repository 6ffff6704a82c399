"""What an image is made of for an edit: descriptor sets, partitions, and where there is room behind it.

Reads descriptors and tables only; decides nothing about trees.
"""

from __future__ import annotations

import stat

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import gpt, iso9660, mbr
from mediakit.formats.eltorito import BootEntry
from mediakit.formats.gpt import Gpt, GptPartition
from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR, DescriptorSet
from mediakit.formats.mbr import Mbr
from mediakit.formats.reader import Reader, sub_reader
from mediakit.iso.image import Image
from mediakit.iso.sessions import FIRST_OF_FILE
from mediakit.plain import dataclass
from mediakit.units import MIB, SECTOR, align_up

SLACK_BYTES = 4 * MIB
"""A file may have this much behind everything its tables name; with more it is taken for a disk's image."""
_NEAR_BYTES = 64 << 10
_MAX_SETS = 16
_DATA_TYPES = (mbr.TYPE_FAT32_LBA, 0x0B, 0x07)
_APPENDED = ("Appended", "Gap", "ISOHybrid", "engine-medium")


@dataclass(frozen=True)
class Part:
    """A partition of either table, in bytes of the image."""

    table: str
    index: int
    start: int
    end: int
    type: int
    name: str = ""


@dataclass(frozen=True)
class VolumeSet:
    """One descriptor set; ``base`` is the block that its block 0 is (``-partition_offset`` of xorriso)."""

    base: int
    descriptors: DescriptorSet

    @property
    def end_bytes(self) -> int:
        return max(self.base + volume.space_blocks for volume in self.descriptors.volumes) * BLOCK


@dataclass(frozen=True)
class Survey:
    """``tail_start`` is where an edit begins, ``limit`` what it must not reach (None: a file may grow).

    ``own`` are partitions of the image itself, ``foreign`` ones that lie behind it (a stick's data).
    ``backup_moves``: the backup GPT belongs to the image's end, not to the end of a stick.
    """

    size_bytes: int
    sets: tuple[VolumeSet, ...]
    own: tuple[Part, ...]
    foreign: tuple[Part, ...]
    mbr: Mbr | None
    gpt: Gpt | None
    content_end: int
    tail_start: int
    limit: int | None
    backup_moves: bool

    @property
    def is_growing(self) -> bool:
        return self.limit is None


def survey(image: Image, reader: Reader, end_limit_bytes: int | None) -> Survey:
    """Look at an image through ``reader`` (patches may lie over it)."""
    size = image.size_bytes
    record, table = read_tables(reader, size)
    parts = partitions(record, table)
    sets = volume_sets(reader, size, parts)
    volume_end = max(volume.end_bytes for volume in sets)
    boot = {entry.lba * BLOCK for entry in _boot_entries(image)}
    own, foreign, own_end = _split(parts, volume_end, boot)
    backup_end = (table.alternate_lba + 1) * SECTOR if table else 0
    at_end = table is not None and table.alternate_lba == size // SECTOR - 1
    fixed = _is_fixed(image, end_limit_bytes, foreign, own_end, size, at_end, backup_end)
    moves = table is not None and not (fixed and at_end)
    content_end = max(own_end, backup_end if moves else 0)
    if not fixed:
        return Survey(
            size, sets, own, foreign, record, table, content_end, align_up(size, BLOCK), None, moves
        )
    limits = [size, *(part.start for part in foreign)]
    if table is not None and not moves:
        limits.append(size - SECTOR - align_up(table.array_bytes, SECTOR))
    if end_limit_bytes is not None:
        limits.append(end_limit_bytes)
    start = align_up(content_end, BLOCK)
    return Survey(size, sets, own, foreign, record, table, content_end, start, min(limits), moves)


def read_tables(reader: Reader, size_bytes: int) -> tuple[Mbr | None, Gpt | None]:
    """MBR and the primary GPT, each if it is whole. A backup alone is damage, and audit's business."""
    first = reader(0, SECTOR)
    record = mbr.parse(first) if mbr.has_signature(first) else None
    return record, gpt.read(reader, size_bytes, SECTOR).primary


def partitions(record: Mbr | None, table: Gpt | None) -> tuple[Part, ...]:
    """The partitions of both tables, without the protective entry."""
    found: list[Part] = []
    for entry in record.partitions if record else ():
        if entry.type != mbr.TYPE_PROTECTIVE and entry.sectors:
            start = entry.start_lba * SECTOR
            found.append(Part("mbr", entry.index, start, start + entry.sectors * SECTOR, entry.type))
    for item in table.partitions if table else ():
        found.append(_gpt_part(item))
    return tuple(found)


def volume_sets(reader: Reader, size_bytes: int, parts: tuple[Part, ...]) -> tuple[VolumeSet, ...]:
    """The descriptor set of the disc, and those of partitions that are ISO 9660 by themselves."""
    bases = sorted({part.start // BLOCK for part in parts if part.start and part.start % BLOCK == 0})
    first = iso9660.read_descriptors(reader, size_bytes)
    found = [VolumeSet(0, first)]
    copy = FIRST_OF_FILE + FIRST_DESCRIPTOR
    if iso9660.has_descriptor(reader, size_bytes, copy) and FIRST_OF_FILE not in bases:
        other = iso9660.read_descriptors(reader, size_bytes, copy)
        if {v.root.lba for v in other.volumes} == {v.root.lba for v in first.volumes}:
            found.append(VolumeSet(0, other))  # what xorriso keeps of a file's first session
    for base in bases:
        if iso9660.has_descriptor(reader, size_bytes, base + FIRST_DESCRIPTOR):
            inner = sub_reader(reader, base * BLOCK, size_bytes - base * BLOCK)
            try:
                found.append(VolumeSet(base, iso9660.read_descriptors(inner, size_bytes - base * BLOCK)))
            except FormatError:
                continue
            if len(found) > _MAX_SETS:
                raise FormatError("The partition table names absurdly many partitions with ISO 9660.")
    return tuple(found)


def record_places(reader: Reader, size_bytes: int) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Where records of edits may be: blocks that may be trailers, and ranges in which a head may begin."""
    record, table = read_tables(reader, size_bytes)
    parts = partitions(record, table)
    ends = {volume.end_bytes for volume in volume_sets(reader, size_bytes, parts)}
    trailers = {end - BLOCK for end in ends} | {part.end - BLOCK for part in parts}
    trailers |= {part.start - BLOCK for part in parts}
    ends |= {part.end for part in parts}
    if table is not None:
        ends.add((table.alternate_lba + 1) * SECTOR)
    starts = sorted(align_up(end, BLOCK) for end in ends if end < size_bytes)
    ranges: list[tuple[int, int]] = []
    for start in starts:
        stop = min(start + SLACK_BYTES + BLOCK, size_bytes)
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], stop)
        else:
            ranges.append((start, stop))
    return tuple(sorted(trailers)), tuple(ranges)


def _is_fixed(
    image: Image,
    end_limit: int | None,
    foreign: tuple[Part, ...],
    own_end: int,
    size: int,
    at_end: bool,
    backup_end: int,
) -> bool:
    """Whether the medium is larger than the image on it: a device, or the image of one."""
    if end_limit is not None or foreign:
        return True
    try:
        if stat.S_ISBLK(image.path.stat().st_mode):
            return True
    except OSError:
        pass
    used = own_end if at_end else max(own_end, backup_end)
    if size - used < SLACK_BYTES:
        return False
    if not at_end:
        raise RefusedError(
            f"Behind the image there are {size - used} bytes that no table names.",
            "They may belong to another program: cut them off, or use --compact.",
        )
    return True


def _split(
    parts: tuple[Part, ...], volume_end: int, boot: set[int]
) -> tuple[tuple[Part, ...], tuple[Part, ...], int]:
    """Own and foreign partitions, and where the own ones end."""
    own: list[Part] = []
    foreign: list[Part] = []
    end = volume_end
    for part in sorted(parts, key=lambda p: (p.start, -p.end)):
        is_own = part.start < end or part.start in boot or part.name.startswith(_APPENDED)
        near = part.start - end <= _NEAR_BYTES and part.type not in _DATA_TYPES and part.name != "ENGINE-DATA"
        if is_own or near:
            own.append(part)
            end = max(end, part.end)
        else:
            foreign.append(part)
    return tuple(own), tuple(foreign), end


def _gpt_part(item: GptPartition) -> Part:
    kind = mbr.TYPE_EFI if item.type_guid == gpt.ESP else mbr.TYPE_FAT32_LBA
    kind = kind if item.type_guid in (gpt.ESP, gpt.BASIC_DATA) else mbr.TYPE_LINUX
    return Part("gpt", item.index, item.start_lba * SECTOR, (item.end_lba + 1) * SECTOR, kind, item.name)


def _boot_entries(image: Image) -> tuple[BootEntry, ...]:
    catalog = image.facts().structures.catalog
    return catalog.entries if catalog else ()
