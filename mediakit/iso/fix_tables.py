"""Repairs of partition tables: the regions, not the writing. ``fix`` judges and orders them. Reads only.

Rules (UEFI 2.10 §5.3): a live table is never torn. An entry array is written only into a copy that is invalid
already or into free sectors, and flushed before the one header sector that points to it; the backup comes
before a primary header that names it. Arrays and headers are copied as bytes from the good side.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats import bootinfo, gpt, mbr
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso import tables
from mediakit.iso.fix_region import FixRegion
from mediakit.iso.structures import SECTOR, Structures

if TYPE_CHECKING:
    from mediakit.iso.image import Image

_SYSTEM_AREA_SECTORS = 64
_ENTRIES_OFFSET = 446
_PRIMARY = "Rebuild the primary GPT from the backup."
_BACKUP = "Put the backup GPT into the last sectors."
_GUARD = "Restore the MBR's protective entry."
_MARK = "Restore the mark of the MBR."
_FLAG = "Restore the active flag in the MBR."
# what xorriso's --mbr-force-bootable writes: an entry of type 0 that only carries the flag
_FLAG_ENTRY = struct.pack("<B3sB3sII", 0x80, b"\0\1\0", 0, b"\0\1\0", 0, 1)


def rebuild_primary(image: Image) -> list[FixRegion]:
    """Array (where it is not whole any more), then the header in sector 1, from a backup at the true end."""
    state = image.facts().structures.gpt
    backup = state.backup
    if state.primary is not None or backup is None or not state.backup_at_end:
        return []
    array = image.read_at(backup.entries_lba * SECTOR, backup.array_bytes)
    place = _primary_array_lba(image, array)
    if place is None:
        return []
    old = image.read_at(SECTOR, SECTOR)
    header = gpt.moved_header(
        image.read_at(backup.header_lba * SECTOR, SECTOR),
        header_lba=1,
        alternate_lba=backup.header_lba,
        entries_lba=place,
        last_usable_lba=backup.last_usable_lba,
    )
    here = image.read_at(place * SECTOR, len(array))
    return [
        FixRegion(place * SECTOR, here, array, _PRIMARY, "The entries, copied from the backup."),
        FixRegion(SECTOR, old, header, _PRIMARY, "The header that points to them."),
    ]


def _primary_array_lba(image: Image, array: bytes) -> int | None:
    """Where the primary's entries are or were; None where that cannot be told."""
    sectors = -(-len(array) // SECTOR)
    limit = _SYSTEM_AREA_SECTORS - sectors
    area = image.read_at(0, _SYSTEM_AREA_SECTORS * SECTOR)
    crc = zlib.crc32(array)
    for lba in range(2, limit + 1):
        if zlib.crc32(area[lba * SECTOR : lba * SECTOR + len(array)]) == crc:
            return lba
    header = area[SECTOR : 2 * SECTOR]
    named = struct.unpack_from("<Q", header, 72)[0] if header[:8] == gpt.SIGNATURE else 0
    for lba in (named, 2):
        here = area[lba * SECTOR : lba * SECTOR + len(array)]
        if not 2 <= lba <= limit or _apple_reaches_into(image, lba, sectors):
            continue
        if not any(here) or _has_pieces_of(here, array) or (lba == named and _is_whole(header)):
            return int(lba)
    return None


def _has_pieces_of(here: bytes, array: bytes) -> bool:
    """Whether parts of the array are still in their places."""
    pieces = ((here[at : at + 16], array[at : at + 16]) for at in range(0, len(array), 16))
    return any(left == right and any(left) for left, right in pieces)


def _is_whole(header: bytes) -> bool:
    """Whether a header's checksum is right, so that only the entries it names are damaged."""
    try:
        gpt.parse_header(header, 1)
    except FormatError:
        return False
    return True


def _apple_reaches_into(image: Image, lba: int, sectors: int) -> bool:
    apple = image.facts().structures.apple_map
    step = apple.block_bytes // SECTOR if apple else 1
    return apple is not None and any(
        lba < (partition.index + 1) * step and partition.index * step < lba + sectors
        for partition in apple.partitions
    )


def move_backup(image: Image) -> list[FixRegion]:
    """Array and header at the true end, then the primary header that names them; then the MBR."""
    raw = image.facts().structures
    primary, backup = raw.gpt.primary, raw.gpt.backup
    last = image.size_bytes // SECTOR - 1
    if primary is None or (backup is not None and raw.gpt.backup_at_end):
        return []
    if backup is not None and not primary.has_same_content(backup):
        return []
    place = last - -(-primary.array_bytes // SECTOR)
    array = image.read_at(primary.entries_lba * SECTOR, primary.array_bytes)
    is_its_place = primary.alternate_lba == last and image.read_at(place * SECTOR, len(array)) == array
    if place <= _last_used(image, raw, primary) and not (is_its_place and any(array)):
        return []
    if not _is_free(image, place, array):
        return []
    old = image.read_at(SECTOR, SECTOR)
    fields = {"last_usable_lba": place - 1}
    header = gpt.moved_header(
        old, header_lba=1, alternate_lba=last, entries_lba=primary.entries_lba, **fields
    )
    other = gpt.moved_header(old, header_lba=last, alternate_lba=1, entries_lba=place, **fields)
    here = image.read_at(place * SECTOR, len(array))
    there = image.read_at(last * SECTOR, SECTOR)
    regions = [
        FixRegion(place * SECTOR, here, array, _BACKUP, "The entries, copied from the primary."),
        FixRegion(last * SECTOR, there, other, _BACKUP, "The header of the backup."),
        FixRegion(SECTOR, old, header, _BACKUP, "The primary header, which says where the backup is."),
    ]
    return regions + _stretch_guard(raw, last)


def _is_free(image: Image, place: int, array: bytes) -> bool:
    """Whether the last sectors may be written: on a disk they are the GPT's; in a file only what is empty.

    Somebody may have appended to a file what no table knows.
    """
    tail = image.read_at(place * SECTOR, image.size_bytes // SECTOR * SECTOR - place * SECTOR)
    is_gpts = tail[-SECTOR : 8 - SECTOR] == gpt.SIGNATURE or _has_pieces_of(tail[: len(array)], array)
    return not any(tail) or is_gpts or image.path.is_block_device()


def _last_used(image: Image, raw: Structures, primary: gpt.Gpt) -> int:
    """The last sector that holds anything: partitions, the filesystem, EFI volumes, the primary's entries."""
    ends = [primary.entries_lba + -(-primary.array_bytes // SECTOR) - 1]
    ends += [p.end_lba for p in primary.partitions]
    for partition in raw.mbr.partitions if raw.mbr else ():
        if partition.type != mbr.TYPE_PROTECTIVE and partition.start_lba > _SYSTEM_AREA_SECTORS:
            ends.append(partition.end_lba)
    ends += [v.space_blocks * BLOCK // SECTOR - 1 for v in image.descriptors.volumes]
    ends += [(v.offset_bytes + v.size_bytes) // SECTOR - 1 for v in image.facts().efi_volumes]
    return max(ends)


def _stretch_guard(raw: Structures, last: int) -> list[FixRegion]:
    """The protective entry covers the whole disk (UEFI §5.2.3)."""
    found = []
    for guard in raw.mbr.partitions if raw.mbr else ():
        wanted = min(last, 0xFFFFFFFF)
        if guard.type == mbr.TYPE_PROTECTIVE and guard.start_lba == 1 and guard.sectors < wanted:
            at = _ENTRIES_OFFSET + 16 * (guard.index - 1) + 12
            old = raw.first_sector[at : at + 4]
            why = "The size of the MBR's protective entry."
            found.append(FixRegion(at, old, struct.pack("<I", wanted), _BACKUP, why))
    return found


def restore_protective(image: Image) -> list[FixRegion]:
    """The protective entry where a GPT is whole and the MBR has no entry at all; 55 AA where it was lost."""
    raw = image.facts().structures
    if raw.gpt.primary is None:
        return []
    sector = raw.first_sector
    last = image.size_bytes // SECTOR - 1
    regions = []
    has_entries = any(sector[_ENTRIES_OFFSET:510])
    if not has_entries:
        entry = mbr.protective(last + 1).build()[_ENTRIES_OFFSET : _ENTRIES_OFFSET + 16]
        old = sector[_ENTRIES_OFFSET : _ENTRIES_OFFSET + 16]
        regions.append(FixRegion(_ENTRIES_OFFSET, old, entry, _GUARD, "Type EE over the whole medium."))
    is_known = bootinfo.mbr_kind(sector) in ("none", "isohybrid", "grub2", "grub2-disk")
    if raw.mbr is None and is_known and sector[510:512] != mbr.SIGNATURE:
        regions.append(FixRegion(510, sector[510:512], mbr.SIGNATURE, _MARK, "55 AA at its end."))
    return regions


def restore_active(image: Image) -> list[FixRegion]:
    """The flag on the ISO's own entry, and on no other; beside a protective one on one by itself."""
    raw = image.facts().structures
    own = tables.iso_partition(raw)
    if raw.mbr is None or raw.mbr_kind not in ("isohybrid", "grub2"):
        return []
    if own is None and raw.mbr.partitions:
        return []
    active = [p for p in raw.mbr.partitions if p.active]
    old = raw.first_sector[_ENTRIES_OFFSET:510]
    table = bytearray(old)
    if own is not None and own.type != mbr.TYPE_PROTECTIVE:
        if active == [own]:
            return []
        for index in range(4):
            table[16 * index] = 0x80 if index == own.index - 1 else 0
    else:
        if len(active) == 1 and active[0].type == mbr.TYPE_EMPTY:
            return []
        for index in range(4):
            table[16 * index] = 0
        free = [i for i in range(4) if not any(table[16 * i + 4 : 16 * i + 16])]
        carriers = [p.index - 1 for p in raw.mbr.partitions if p.type == mbr.TYPE_EMPTY]
        place = next(iter([*carriers, *free]), None)
        if place is None:
            return []
        table[16 * place : 16 * place + 16] = _FLAG_ENTRY
    return [FixRegion(_ENTRIES_OFFSET, old, bytes(table), _FLAG, "The MBR's four entries, one sector.")]
