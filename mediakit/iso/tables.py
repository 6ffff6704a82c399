"""What is odd in an image's partition tables, and what Windows, macOS or a partitioner did to a stick.

Findings only: whether an image boots is ``biosboot``'s and ``efiboot``'s. Sources: UEFI 2.10 §5.2.3
(protective MBR), §5.3; nested partitions are normal in hybrid images (one covers the whole ISO).
"""

from __future__ import annotations

from mediakit.formats import gpt, mbr
from mediakit.formats.findings import Finding
from mediakit.iso.efivolume import EfiVolume
from mediakit.iso.structures import SECTOR, Structures

_REWRITE = "Write the image to the stick again if it does not boot."
_HARMLESS = "Harmless: it boots as before."
_TABLE_OFFSET = 446
_HYBRIDS = ("isohybrid", "grub2")
Span = tuple[str, int, int]
"""What it is, first and last sector."""


def judge(structures: Structures, volumes: list[EfiVolume]) -> list[Finding]:
    """Everything that can be said of MBR, GPT, and of the FAT volumes' traces."""
    found: list[Finding] = []
    if structures.mbr is not None:
        found += _judge_mbr(structures, structures.mbr)
    table = structures.gpt.gpt
    if table is not None:
        found += _judge_gpt(structures, table)
    for volume in volumes:
        found += judge_volume(volume)
    return found


def iso_partition(structures: Structures) -> mbr.MbrPartition | None:
    """The MBR entry that the boot code belongs to: the ISO's own, the protective one where there is none."""
    partitions = structures.mbr.partitions if structures.mbr else ()
    own = [p for p in partitions if p.type not in (mbr.TYPE_EFI, mbr.TYPE_PROTECTIVE) and p.start_lba <= 64]
    guard = [p for p in partitions if p.type == mbr.TYPE_PROTECTIVE]
    return min(own or guard, key=lambda p: p.index, default=None)


def _judge_mbr(structures: Structures, record: mbr.Mbr) -> list[Finding]:
    found: list[Finding] = []
    active = [p for p in record.partitions if p.active]
    # xorriso's --mbr-force-bootable: an entry of type 0 that only carries the flag
    own = iso_partition(structures)
    if structures.mbr_kind in _HYBRIDS and not active:
        what = "No partition in the MBR has the active flag: some strict BIOSes do not boot such a stick."
        is_easy = own is not None or not record.partitions
        hint = "mediakit audit --fix sets it." if is_easy else "Build the image with --mbr-force-bootable."
        found.append(Finding("warning", what, hint, _TABLE_OFFSET, 64))
    elif structures.mbr_kind in _HYBRIDS and own is not None and own not in active:
        moved = [p for p in active if p.type not in (mbr.TYPE_EMPTY, mbr.TYPE_PROTECTIVE)]
        if moved:
            what = f"The active flag was moved to partition {moved[0].index} of the MBR."
            where = _TABLE_OFFSET + 16 * (moved[0].index - 1)
            hint = "A partitioning tool did that. mediakit audit --fix moves it back."
            found.append(Finding("warning", what, hint, where, 16))
    if len(active) > 1:
        what = f"{len(active)} partitions in the MBR have the active flag: many BIOSes refuse that."
        found.append(Finding("warning", what, _REWRITE, _TABLE_OFFSET, 64))
    for index in range(4):
        status = structures.first_sector[_TABLE_OFFSET + 16 * index]
        if status not in (0x00, 0x80):
            what = f"Partition {index + 1} of the MBR has the status {status:#04x}; a BIOS knows 00 and 80."
            found.append(Finding("warning", what, _REWRITE, _TABLE_OFFSET + 16 * index, 1))
    found += _judge_protective(structures, record)
    spans = [
        (f"Partition {p.index} of the MBR", p.start_lba, p.end_lba)
        for p in record.partitions
        if p.type not in (mbr.TYPE_EMPTY, mbr.TYPE_PROTECTIVE)
    ]
    found += _overlaps(spans, _TABLE_OFFSET, 64)
    return found


def _judge_protective(structures: Structures, record: mbr.Mbr) -> list[Finding]:
    """A GPT is looked at behind a protective entry only; isohybrid's own has none and needs none."""
    table = structures.gpt.gpt
    guards = [p for p in record.partitions if p.type == mbr.TYPE_PROTECTIVE]
    if table is None:
        if guards and not structures.gpt.is_present:
            what = "The MBR announces a GPT, but there is none."
            return [Finding("error", what, _REWRITE, SECTOR, SECTOR)]
        return []
    if not guards:
        if not record.partitions:
            what = "The MBR's protective entry is gone: firmware and systems do not look at the GPT."
            hint = "mediakit audit --fix writes it."
            return [Finding("error", what, hint, _TABLE_OFFSET, 64)]
        return []
    if structures.mbr_kind == "isohybrid" and any("ISOHybrid" in p.name for p in table.partitions):
        what = "The isohybrid MBR's entries were replaced by a protective one, as gdisk and parted do."
        hint = "UEFI boots by the GPT as before; old BIOSes may miss the active partition."
        return [Finding("note", what, hint, _TABLE_OFFSET, 64)]
    if guards[0].active:
        what = (
            "The MBR's protective entry has the active flag: strict UEFI firmware does not look at the GPT."
        )
        hint = "mediakit audit --fix gives the flag to an entry of its own, as xorriso does."
        return [Finding("warning", what, hint, _TABLE_OFFSET + 16 * (guards[0].index - 1), 1)]
    reach = guards[0].start_lba + guards[0].sectors
    if guards[0].start_lba == 1 and record.is_protective and reach <= table.last_usable_lba:
        what = f"The MBR's protective entry ends at sector {reach - 1}, before the GPT's partitions may end."
        return [Finding("warning", what, _REWRITE, _TABLE_OFFSET + 16 * (guards[0].index - 1), 16)]
    return []


def _judge_gpt(structures: Structures, table: gpt.Gpt) -> list[Finding]:
    found: list[Finding] = []
    at, size = table.entries_lba * SECTOR, table.array_bytes
    spans = [(f"GPT partition {p.index}", p.start_lba, p.end_lba) for p in table.partitions]
    found += _overlaps([s for s in spans if s[1] <= s[2]], at, size)
    for p in table.partitions:
        inside = table.first_usable_lba <= p.start_lba and p.end_lba <= table.last_usable_lba
        # isohybrid's ISO partition starts at sector 0, and xorriso's tables start theirs there too
        if p.start_lba <= p.end_lba and not inside and p.start_lba > 64:
            what = f"GPT partition {p.index} lies outside the sectors that the GPT calls usable."
            found.append(Finding("warning", what, _REWRITE, at + (p.index - 1) * table.entry_bytes, 128))
    backup = structures.gpt.backup
    if backup is not None and table.header_lba == 1 and backup.entries_lba <= table.entries_lba:
        what = "The backup GPT keeps its entries where the primary's are."
        found.append(Finding("warning", what, _REWRITE, backup.entries_lba * SECTOR, size))
    return found


def _overlaps(spans: list[Span], offset: int, size: int) -> list[Finding]:
    """Partitions that share sectors without one lying in the other."""
    found = []
    for number, (name, start, end) in enumerate(spans[:64]):
        for other, from_lba, to_lba in spans[number + 1 : 64]:
            shares = start <= to_lba and from_lba <= end
            is_nested = (start <= from_lba and to_lba <= end) or (from_lba <= start and end <= to_lba)
            if shares and not is_nested:
                what = f"{name} and {other} overlap without one lying in the other."
                found.append(Finding("error", what, _REWRITE, offset, size))
    return found


def judge_volume(volume: EfiVolume) -> list[Finding]:
    """What a system that mounted the FAT left in it."""
    found = []
    if volume.is_dirty:
        what = f"The FAT filesystem of {volume.origin} was not unmounted cleanly (dirty bit)."
        hint = "Harmless for booting. A system that mounts it may offer to repair it."
        found.append(Finding("note", what, hint, volume.offset_bytes, SECTOR))
    for name, who in volume.traces:
        what = f"{who} left “{name}” in the FAT filesystem of {volume.origin}."
        found.append(Finding("note", what, _HARMLESS, volume.offset_bytes, volume.size_bytes))
    return found
