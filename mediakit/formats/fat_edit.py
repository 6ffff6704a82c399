"""Adding a file to an existing FAT filesystem as an ordered list of sector writes. Pure: it only plans.

Order: contents of the file and of new folders into free clusters, their chains in every FAT, then the one
directory change that makes them visible, then what the change freed, then FAT32's hint of free space. Flushed
after each, any cut leaves the file absent, old or new; at worst clusters are lost that fsck.fat finds again.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import fat_build, fat_names
from mediakit.formats.fat_names import ARCHIVE, DIRECTORY, ENTRY_BYTES, FREE, DirectoryEntry
from mediakit.units import align_up

if TYPE_CHECKING:
    from mediakit.formats.fat_read import Fat

Writes = list[tuple[int, bytes]]


def plan_add(fat: Fat, path: str, data: bytes, timestamp: int) -> Writes:
    """See ``Fat.plan_add``. FormatError for a bad path, RefusedError when there is no room."""
    words = [word for word in path.split("/") if word]
    for word in words:
        fat_names.check_name(word)
    if not words:
        raise FormatError(f"“{path}” is no path of a file.")
    folder, missing = _deepest(fat, words)
    old = fat.find(path) if len(missing) == 1 else None
    if old is not None and old.is_directory:
        raise FormatError(f"“{path}” is a folder.")
    return _Edit(fat, timestamp).add(folder, missing, data, old)


def plan_overwrite(fat: Fat, path: str, data: bytes, timestamp: int) -> Writes:
    """See ``Fat.plan_overwrite``. FormatError without such a file, RefusedError if its room is small."""
    words = [word for word in path.split("/") if word]
    old = fat.find(path)
    if old is None or old.is_directory:
        raise FormatError(f"There is no file “{path}” in the FAT filesystem.")
    clusters = fat.table.chain(old.first_cluster) if old.first_cluster else []
    step = fat.volume.cluster_bytes
    if len(data) > len(clusters) * step:
        raise RefusedError(f"“{path}” has room for {len(clusters) * step} bytes only.", "Make it shorter.")
    edit = _Edit(fat, timestamp)
    for number, cluster in enumerate(clusters):
        piece = data[number * step : (number + 1) * step]
        if piece:
            whole = piece.ljust(align_up(len(piece), fat.volume.sector_bytes), b"\0")
            edit.writes.append((fat.volume.cluster_offset(cluster), whole))
    edit.resize(_deepest(fat, words)[0], old, len(data))
    return edit.writes


def plan_remove(fat: Fat, path: str, timestamp: int) -> Writes:
    """See ``Fat.plan_remove``. FormatError without such a file."""
    words = [word for word in path.split("/") if word]
    old = fat.find(path)
    if old is None or old.is_directory:
        raise FormatError(f"There is no file “{path}” in the FAT filesystem.")
    return _Edit(fat, timestamp).remove(_deepest(fat, words)[0], old)


class _Edit:
    """One edit in the making: which clusters it takes and what it writes."""

    def __init__(self, fat: Fat, timestamp: int) -> None:
        self.fat = fat
        self.volume = fat.volume
        self.timestamp = timestamp
        self.writes: Writes = []
        self.hint = 2
        self.taken = 0

    def add(self, folder: int, missing: list[str], data: bytes, old: DirectoryEntry | None) -> Writes:
        first = self._store(data)
        name, attributes, size = missing[-1], ARCHIVE, len(data)
        for parent in reversed(missing[:-1]):
            first, size = self._store_folder(name, attributes, first, size), 0
            name, attributes = parent, DIRECTORY
        self._fix_parents(folder, missing)
        if old is not None:
            self.writes += self.fat.table.take_changes()
            self._replace(folder, old, first, size)
        else:
            self._insert(folder, name, attributes, first, size)
        self._free(old)
        self._update_hint()
        return self.writes

    def remove(self, folder: int, old: DirectoryEntry) -> Writes:
        """The name goes before its clusters, the last of its slots before the others: at worst a cut leaves
        pieces of a long name that belong to nothing, or lost clusters.
        """
        size = self.volume.sector_bytes
        extents = self.fat.directory_extents(folder)
        sectors: dict[int, bytearray] = {}
        for slot in reversed(old.slots):
            at = _locate(extents, slot * ENTRY_BYTES)
            sector = at // size * size
            if sector not in sectors:
                sectors[sector] = bytearray(self.fat.reader(sector, size))
            sectors[sector][at - sector] = FREE
        self.writes += [(sector, bytes(data)) for sector, data in sectors.items()]
        self._free(old)
        self._update_hint()
        return self.writes

    def _store(self, data: bytes) -> int:
        """Contents into free clusters, as few pieces as possible; returns the first (0 for nothing)."""
        step = self.volume.cluster_bytes
        clusters = self._allocate(-(-len(data) // step)) if data else []
        padded = data.ljust(len(clusters) * step, b"\0")
        start = 0
        for position in range(1, len(clusters) + 1):
            if position == len(clusters) or clusters[position] != clusters[position - 1] + 1:
                piece = padded[start * step : position * step]
                self.writes.append((self.volume.cluster_offset(clusters[start]), piece))
                start = position
        return clusters[0] if clusters else 0

    def _allocate(self, count: int) -> list[int]:
        clusters = self.fat.table.find_free(count, self.hint)
        self.fat.table.link(clusters)
        self.hint = clusters[-1] + 1
        self.taken += count
        return clusters

    def _store_folder(self, name: str, attributes: int, first: int, size: int) -> int:
        """A new folder that holds one entry; its own ``..`` is set by ``_fix_parents``."""
        entries, _ = fat_names.build_entries(
            name,
            taken=(),
            attributes=attributes,
            first_cluster=first,
            size_bytes=size,
            timestamp=self.timestamp,
        )
        here = self._store(bytes(2 * ENTRY_BYTES) + entries)
        dot = fat_names.short_entry(b".".ljust(11), DIRECTORY, here, 0, self.timestamp)
        self._patch(here, 0, dot)
        return here

    def _fix_parents(self, folder: int, missing: list[str]) -> None:
        """Each new folder's ``..``: they were stored innermost first, so parents follow their children."""
        made = (
            [self._cluster(offset) for offset, _ in self.writes][-(len(missing) - 1) :] if missing[1:] else []
        )
        root = self.volume.root_cluster
        for position, here in enumerate(made):
            up = made[position + 1] if position + 1 < len(made) else (0 if folder in (0, root) else folder)
            dots = fat_names.short_entry(b"..".ljust(11), DIRECTORY, up, 0, self.timestamp)
            self._patch(here, ENTRY_BYTES, dots)

    def _cluster(self, offset: int) -> int:
        return (offset - self.volume.data_offset) // self.volume.cluster_bytes + 2

    def _patch(self, cluster: int, at: int, raw: bytes) -> None:
        """Change bytes of what is about to be written into a new cluster."""
        for index, (offset, data) in enumerate(self.writes):
            if offset == self.volume.cluster_offset(cluster):
                self.writes[index] = (offset, data[:at] + raw + data[at + len(raw) :])

    def resize(self, folder: int, old: DirectoryEntry, size: int) -> None:
        """Another size in the entry of a file that keeps its clusters."""
        self._replace(folder, old, old.first_cluster, size)

    def _replace(self, folder: int, old: DirectoryEntry, first: int, size: int) -> None:
        """Switch an existing short entry to new clusters: one sector."""
        raw = fat_names.short_entry(old.short_name, old.attributes, first, size, self.timestamp)
        self._write_slots(folder, old.slots[-1], raw)

    def _insert(self, folder: int, name: str, attributes: int, first: int, size: int) -> None:
        """A new entry into free slots of ``folder``, or into new clusters behind it."""
        entries, _ = fat_names.build_entries(
            name,
            taken={entry.short_name for entry in self.fat.entries(folder)},
            attributes=attributes,
            first_cluster=first,
            size_bytes=size,
            timestamp=self.timestamp,
        )
        extents = self.fat.directory_extents(folder)
        data = b"".join(self.fat.reader(offset, length) for offset, length in extents)
        slot, end = _free_slots(data, len(entries) // ENTRY_BYTES)
        if slot is not None:
            self.writes += self.fat.table.take_changes()
            self._write_slots(folder, slot, entries)
            return
        if folder == 0 and self.volume.fat_type != 32:
            raise RefusedError("The root directory of the FAT filesystem is full.", "Delete files there.")
        size = align_up(len(entries), self.volume.cluster_bytes)
        addition = self._store(entries.ljust(size, b"\0"))
        self.writes += self.fat.table.take_changes()
        for free in range(end, len(data) // ENTRY_BYTES):  # the end mark would hide the new cluster
            self._write_slots(folder, free, bytes([FREE]) + bytes(ENTRY_BYTES - 1))
        last = self.fat.table.chain(folder or self.volume.root_cluster)[-1]
        self.fat.table.set(last, addition)
        self.writes += self.fat.table.take_changes()

    def _write_slots(self, folder: int, slot: int, raw: bytes) -> None:
        """Slots of a directory, as whole sectors in ascending order: the short entry is the last to come."""
        size = self.volume.sector_bytes
        pieces: dict[int, bytearray] = {}
        pending = dict(self.writes)
        extents = self.fat.directory_extents(folder)
        for index in range(len(raw) // ENTRY_BYTES):
            at = _locate(extents, (slot + index) * ENTRY_BYTES)
            sector = at // size * size
            if sector not in pieces:
                pieces[sector] = bytearray(pending.get(sector) or self.fat.reader(sector, size))
            place = at - sector
            pieces[sector][place : place + ENTRY_BYTES] = raw[index * ENTRY_BYTES : (index + 1) * ENTRY_BYTES]
        self.writes += [(sector, bytes(data)) for sector, data in pieces.items()]

    def _free(self, old: DirectoryEntry | None) -> None:
        if old is None or not old.first_cluster:
            return
        clusters = self.fat.table.chain(old.first_cluster)
        for cluster in clusters:
            self.fat.table.set(cluster, 0)
        self.taken -= len(clusters)
        self.writes += self.fat.table.take_changes()

    def _update_hint(self) -> None:
        if self.volume.fat_type != 32 or not 0 < self.volume.info_sector < self.volume.reserved_sectors:
            return
        offset = self.volume.info_sector * self.volume.sector_bytes
        sector = self.fat.reader(offset, self.volume.sector_bytes)
        (free,) = struct.unpack_from("<I", sector, 488)
        if sector[:4] == b"RRaA" and free != 0xFFFFFFFF:
            left = max(0, free - self.taken)
            self.writes.append((offset, fat_build.build_info(self.volume, left, self.hint)))


def _deepest(fat: Fat, words: list[str]) -> tuple[int, list[str]]:
    """The first cluster of the deepest folder that exists, and the names below it that are to be made."""
    cluster = 0
    for position, word in enumerate(words[:-1]):
        entry = fat.find("/".join(words[: position + 1]))
        if entry is None:
            return cluster, words[position:]
        if not entry.is_directory:
            raise FormatError(f"“{word}” is a file, not a folder.")
        cluster = entry.first_cluster
    return cluster, words[-1:]


def _locate(extents: list[tuple[int, int]], at: int) -> int:
    """Where byte ``at`` of a directory lies on the volume."""
    for offset, length in extents:
        if at < length:
            return offset + at
        at -= length
    raise FormatError("The FAT filesystem is damaged: a directory ends too early.")


def _free_slots(data: bytes, count: int) -> tuple[int | None, int]:
    """The first of ``count`` free slots in a row, and the slot of the end mark (or the end)."""
    run = 0
    total = len(data) // ENTRY_BYTES
    for slot in range(total):
        mark = data[slot * ENTRY_BYTES]
        if mark == 0:
            return (slot - run if total - slot + run >= count else None), slot
        run = run + 1 if mark == FREE else 0
        if run == count:
            return slot - count + 1, slot
    return None, total
