"""Reading a FAT12, FAT16 or FAT32 filesystem through a Reader: names, contents, extents. Never writes.

Hostile volumes are the normal case: chains that loop or leave the volume, folders inside themselves and
directories without end are a FormatError, not a hang.
"""

from __future__ import annotations

from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.formats import fat_names, fat_volume
from mediakit.formats.fat_names import VOLUME_ID, DirectoryEntry
from mediakit.formats.fat_table import FatTable
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

MAX_DEPTH = 64
MAX_DIRECTORY_BYTES = 2 << 20  # 65536 slots, the most a FAT directory may have
MAX_KNOWN_BYTES, MAX_KNOWN_NAMES = 64 << 20, 200_000
"""Directories that one reader looks names up in, with clusters of 32 KiB; their names are kept."""


@dataclass(frozen=True)
class FatEntry:
    """One file or folder of the tree; ``path`` has no leading slash."""

    path: str
    is_directory: bool
    size_bytes: int
    first_cluster: int


class Fat:
    """An existing filesystem; FormatError if there is none. ``type`` is 12, 16 or 32."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.volume = fat_volume.parse(reader(0, 512))
        self.table = FatTable(reader, self.volume)
        self._known: dict[int, list[DirectoryEntry]] = {}
        self._left_bytes, self._left_names = MAX_KNOWN_BYTES, MAX_KNOWN_NAMES

    @property
    def type(self) -> int:
        return self.volume.fat_type

    @property
    def serial(self) -> int:
        return self.volume.serial

    @property
    def serial_text(self) -> str:
        """The serial as GRUB and blkid write it: ``1234-ABCD``."""
        return f"{self.serial >> 16:04X}-{self.serial & 0xFFFF:04X}"

    @property
    def label(self) -> str:
        """The label of the root directory, or the boot sector's."""
        for entry in self.entries(0):
            if entry.attributes & 0x18 == VOLUME_ID:
                return entry.short_name.decode("cp437").rstrip(" ")
        return self.volume.label

    @property
    def free_bytes(self) -> int:
        """Counted in the table itself, not taken from the hint."""
        clusters = range(2, self.volume.cluster_count + 2)
        return sum(not self.table.get(cluster) for cluster in clusters) * self.volume.cluster_bytes

    def walk(self) -> Iterator[FatEntry]:
        """Every file and folder, folders before what is in them.

        FormatError for folders inside themselves, and for ones that share bytes, told by their sum: a small
        volume could else hold thousands of overlapping ones.
        """
        yield from _Walk(self).folder(0, "", 0)

    def find(self, path: str) -> DirectoryEntry | None:
        """The entry of ``path``, capitals and small letters being equal; None if it is not there."""
        cluster, entry = 0, None
        for word in (w for w in path.split("/") if w):
            if entry is not None and not entry.is_directory:
                return None
            entry = next((e for e in self.names(cluster) if _is_called(e, word)), None)
            if entry is None:
                return None
            cluster = entry.first_cluster
        return entry

    def exists(self, path: str) -> bool:
        return self.find(path) is not None

    def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's contents, at most ``limit`` bytes; FormatError if it is no file."""
        parts, left = [], self._file(path).size_bytes
        left = left if limit is None else min(left, limit)
        for offset, size in self.extents(path):
            if left <= 0:
                break
            parts.append(self.reader(offset, min(size, left)))
            left -= size
        return b"".join(parts)

    def extents(self, path: str) -> list[tuple[int, int]]:
        """Where a file's bytes lie: (offset, size) pieces that add up to its size."""
        entry = self._file(path)
        if not entry.size_bytes:
            return []
        step = self.volume.cluster_bytes
        count = -(-entry.size_bytes // step)
        clusters = self.table.chain(entry.first_cluster, count)
        if len(clusters) < count:
            raise FormatError(f"“{path}” is damaged: its chain of clusters is shorter than the file.")
        pieces: list[tuple[int, int]] = []
        left = entry.size_bytes
        for cluster in clusters:
            offset, size = self.volume.cluster_offset(cluster), min(step, left)
            if pieces and sum(pieces[-1]) == offset:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + size)
            else:
                pieces.append((offset, size))
            left -= size
        return pieces

    def plan_add(
        self, path: str, data: bytes, *, timestamp: int = fat_names.FAT_EPOCH
    ) -> list[tuple[int, bytes]]:
        """Writes (offset, whole sectors) that add or replace a file; flush after each, in this order.

        See ``fat_edit``: after any cut the file is absent, old or new, and never half.
        """
        from mediakit.formats import fat_edit

        self._forget()
        writes = fat_edit.plan_add(self, path, data, timestamp)
        self._forget()
        return writes

    def plan_overwrite(
        self, path: str, data: bytes, *, timestamp: int = fat_names.FAT_EPOCH
    ) -> list[tuple[int, bytes]]:
        """Writes (offset, whole sectors) that put other contents into a file's own clusters.

        For volumes that are full. Unlike with ``plan_add``, a cut leaves old and new contents mixed; the
        filesystem itself stays whole.
        """
        from mediakit.formats import fat_edit

        self._forget()
        writes = fat_edit.plan_overwrite(self, path, data, timestamp)
        self._forget()
        return writes

    def _forget(self) -> None:
        self._known.clear()
        self._left_bytes, self._left_names = MAX_KNOWN_BYTES, MAX_KNOWN_NAMES

    def plan_remove(self, path: str, *, timestamp: int = fat_names.FAT_EPOCH) -> list[tuple[int, bytes]]:
        """Writes (offset, whole sectors) that take a file away; flush after each, in this order."""
        from mediakit.formats import fat_edit

        self._forget()
        writes = fat_edit.plan_remove(self, path, timestamp)
        self._forget()
        return writes

    def names(self, cluster: int) -> Iterator[DirectoryEntry]:
        """The files and folders of a directory, without label, ``.`` and ``..``; cluster 0 is the root.

        Read once, until ``plan_add`` and its like change something; FormatError where all that was
        looked into is absurdly long.
        """
        if cluster not in self._known:
            self._left_bytes -= sum(size for _, size in self.directory_extents(cluster))
            if self._left_bytes < 0 or self._left_names < 0:
                raise FormatError("The FAT filesystem is damaged: its folders are absurdly long.")
            self._known[cluster] = [entry for entry in self.entries(cluster) if _is_name(entry)]
            self._left_names -= len(self._known[cluster])
        yield from self._known[cluster]

    def entries(self, cluster: int) -> Iterator[DirectoryEntry]:
        """Every entry of the directory that starts at ``cluster``."""
        data = b"".join(self.reader(offset, size) for offset, size in self.directory_extents(cluster))
        return fat_names.parse_directory(data)

    def directory_extents(self, cluster: int) -> list[tuple[int, int]]:
        """Where a directory's bytes lie, cluster by cluster; cluster 0 is the root."""
        if cluster == 0 and self.type != 32:
            return [(self.volume.root_offset, self.volume.root_bytes)]
        most = MAX_DIRECTORY_BYTES // self.volume.cluster_bytes
        clusters = self.table.chain(cluster or self.volume.root_cluster, most + 1)
        if len(clusters) > most:
            raise FormatError("The FAT filesystem is damaged: a directory is absurdly long.")
        return [(self.volume.cluster_offset(c), self.volume.cluster_bytes) for c in clusters]

    def _file(self, path: str) -> DirectoryEntry:
        entry = self.find(path)
        if entry is None:
            raise FormatError(f"There is no “{path}” in the FAT filesystem.")
        if entry.is_directory:
            raise FormatError(f"“{path}” is a folder.")
        return entry


class _Walk:
    """One walk over a volume."""

    def __init__(self, fat: Fat) -> None:
        self._fat = fat
        self._seen: set[int] = set()
        self._left = fat.volume.size_bytes

    def folder(self, cluster: int, prefix: str, depth: int) -> Iterator[FatEntry]:
        if depth > MAX_DEPTH or cluster in self._seen:
            raise FormatError("The FAT filesystem is damaged: a folder is inside itself.")
        self._seen.add(cluster)
        self._left -= sum(size for _, size in self._fat.directory_extents(cluster))
        if self._left < 0:
            raise FormatError("The FAT filesystem is damaged: its folders overlap each other.")
        for entry in self._fat.entries(cluster):
            if not _is_name(entry):
                continue
            path = prefix + entry.name
            yield FatEntry(path, entry.is_directory, entry.size_bytes, entry.first_cluster)
            if entry.is_directory:
                if not entry.first_cluster:
                    raise FormatError("The FAT filesystem is damaged: a folder has no clusters.")
                yield from self.folder(entry.first_cluster, path + "/", depth + 1)


def _is_name(entry: DirectoryEntry) -> bool:
    """Whether it is a file or folder of its own: no label, ``.`` or ``..``."""
    return not entry.attributes & VOLUME_ID and entry.short_name[:2] not in (b". ", b"..")


def _is_called(entry: DirectoryEntry, word: str) -> bool:
    folded = word.casefold()
    return entry.name.casefold() == folded or fat_names.short_text(entry.short_name).casefold() == folded
