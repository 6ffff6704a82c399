"""Data partitions that lie behind an image on a stick: what they are, and what systems left in them.

Findings only, all notes: nothing here keeps an image from booting. Reads boot sectors, the start of the FAT
and the root directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats import gpt, mbr
from mediakit.formats.fat_read import Fat
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import sub_reader
from mediakit.iso.efivolume import EfiVolume, find_traces, is_dirty
from mediakit.iso.structures import SECTOR, Structures
from mediakit.units import format_size

if TYPE_CHECKING:
    from mediakit.iso.image import Image

MAX_VOLUMES = 8
_DATA_TYPES = (mbr.TYPE_FAT32_LBA, 0x0B, 0x0E, 0x06, 0x07)
_LEFT = "Harmless: the image boots as before."


def judge(image: Image, raw: Structures, volumes: list[EfiVolume]) -> list[Finding]:
    """Notes on each data partition behind the image, and on an ESP that is typed as one."""
    found: list[Finding] = []
    known = {volume.offset_bytes for volume in volumes}
    for name, start_lba, sectors in _behind(image, raw)[:MAX_VOLUMES]:
        if start_lba * SECTOR in known:
            continue
        found += _judge_one(image, name, start_lba * SECTOR, sectors * SECTOR)
    return found + _retyped(raw, volumes)


def _behind(image: Image, raw: Structures) -> list[tuple[str, int, int]]:
    """Name, first sector and sectors of the partitions that start behind the filesystem and its EFI image."""
    end = max(volume.space_blocks for volume in image.descriptors.volumes) * BLOCK // SECTOR
    table = raw.gpt.gpt
    found = [
        (f"“{p.name}”" if p.name else f"GPT partition {p.index}", p.start_lba, p.sectors)
        for p in (table.partitions if table else ())
        if p.type_guid == gpt.BASIC_DATA and p.start_lba >= end and not p.name.startswith("Gap")
    ]
    known = {start for _, start, _ in found}
    found += [
        (f"MBR partition {p.index}", p.start_lba, p.sectors)
        for p in (raw.mbr.partitions if raw.mbr else ())
        if p.type in _DATA_TYPES and p.start_lba >= end and p.start_lba not in known
    ]
    return found


def _judge_one(image: Image, name: str, offset: int, size: int) -> list[Finding]:
    shown = f"There is a data partition behind the image: {name}, {format_size(size)}"
    if size <= 0 or offset + size > image.size_bytes:
        return []
    try:
        fat = Fat(sub_reader(image.reader, offset, size))
        dirty, traces = is_dirty(fat), find_traces(fat)
    except FormatError:
        return [Finding("note", f"{shown}.", "", offset, size)]
    label = f", “{fat.volume.label}”" if fat.volume.label and fat.volume.label not in name else ""
    found = [Finding("note", f"{shown}, FAT{fat.type}{label}.", "", offset, size)]
    if dirty:
        what = f"The FAT filesystem of {name} was not unmounted cleanly (dirty bit)."
        found.append(
            Finding("note", what, "Harmless for booting; a system may offer to repair it.", offset, SECTOR)
        )
    for folder, who in traces:
        found.append(Finding("note", f"{who} left “{folder}” in {name}.", _LEFT, offset, size))
    return found


def _retyped(raw: Structures, volumes: list[EfiVolume]) -> list[Finding]:
    """An EFI volume whose GPT type is “basic data”: isohybrid does that; else Windows or a partitioner."""
    table = raw.gpt.gpt
    starts = {volume.offset_bytes for volume in volumes if not volume.why_not}
    found = []
    for p in table.partitions if table else ():
        is_ours = p.start_lba * SECTOR in starts and not p.name.startswith("ISOHybrid")
        if p.type_guid == gpt.BASIC_DATA and is_ours:
            at = (table.entries_lba * SECTOR if table else 0) + (p.index - 1) * gpt.ENTRY_BYTES
            what = f"GPT partition {p.index}, which UEFI boots from, is typed as basic data, not as an ESP."
            hint = (
                "Windows or a partitioning tool may have changed it; nearly all firmware boots it as before."
            )
            found.append(Finding("note", what, hint, at, 16))
    return found
