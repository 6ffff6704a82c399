"""Giving an image that was written anew what names the old one: ids, names and dates that xorriso makes up.

Disk id of the MBR; GUIDs, types and names of GPT partitions; what the volume descriptors say of author, files
and dates (GRUB finds a medium by them). Never places or sizes. Sources: ECMA-119 §8.4; UEFI 2.10 §5.3.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from mediakit.formats import gpt
from mediakit.formats.gpt import Gpt
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.edit.medium import FileMedium
from mediakit.iso.edit.survey import Part, partitions, read_tables, volume_sets
from mediakit.iso.image import Image
from mediakit.iso.implanting import MARK
from mediakit.units import SECTOR

_NAMING = ((8, 40), (190, 881), (883, 1395))
"""System identifier; volume set to the effective date; application use."""
_ENTRY_NAMING = ((0, 32), (48, 128))
"""Type and GUID; attributes and name."""
_DISK_ID = (440, 444)


def restamp(old: Image, out: Path) -> None:
    """Carry the names of ``old`` over to the image file ``out``."""
    with FileMedium(out) as medium:
        new = gpt.read(medium.read, medium.size_bytes, SECTOR)
        was = old.facts().structures
        if was.mbr is not None:
            start, end = _DISK_ID
            medium.write(start, old.read_at(start, end - start))
        for side in (new.primary, new.backup):
            if side is not None and was.gpt.primary is not None:
                _name(medium, side, old, was.gpt.primary)
        _descriptors(old, medium)
        medium.flush()


def _name(medium: FileMedium, side: Gpt, old: Image, known: Gpt) -> None:
    """Give ``side`` what ``known`` says of the partitions of the same numbers; bytes, as isohybrid's tables
    break rules that are checked where tables are built."""
    if side.entry_bytes != known.entry_bytes:
        return
    size = side.entry_bytes
    array = bytearray(medium.read(side.entries_lba * SECTOR, side.entry_count * size))
    before = old.read_at(known.entries_lba * SECTOR, known.entry_count * size)
    there = {part.index for part in side.partitions}
    for part in known.partitions:
        if part.index in there:
            at = (part.index - 1) * size
            for start, end in _ENTRY_NAMING:
                array[at + start : at + end] = before[at + start : at + end]
    header = bytearray(medium.read(side.header_lba * SECTOR, SECTOR))
    header[56:72] = old.read_at(known.header_lba * SECTOR + 56, 16)
    struct.pack_into("<I", header, 88, zlib.crc32(array))
    header[16:20] = bytes(4)
    length = int.from_bytes(header[12:16], "little")
    struct.pack_into("<I", header, 16, zlib.crc32(header[:length]))
    medium.write(side.entries_lba * SECTOR, bytes(array))
    medium.write(side.header_lba * SECTOR, bytes(header))


def _descriptors(old: Image, medium: FileMedium) -> None:
    said = {volume.kind: old.read_at(volume.lba * BLOCK, BLOCK) for volume in old.descriptors.volumes}
    for found in volume_sets(medium.read, medium.size_bytes, _parts(medium)):
        for volume in found.descriptors.volumes:
            if volume.kind not in said:
                continue
            where = (found.base + volume.lba) * BLOCK
            sector = bytearray(medium.read(where, BLOCK))
            for start, end in _NAMING:
                sector[start:end] = said[volume.kind][start:end]
            start, end = _NAMING[-1]
            if MARK in sector[start:end]:
                sector[start:end] = b" " * (end - start)
            medium.write(where, bytes(sector))


def _parts(medium: FileMedium) -> tuple[Part, ...]:
    return partitions(*read_tables(medium.read, medium.size_bytes))
