"""The file allocation table: chains of clusters, read sparsely and changed in memory, sector by sector.

Source: Microsoft's *FAT: General Overview of On-Disk Format* 1.03, “FAT Data Structure”. Only what is looked
at is read; what was changed is handed out as whole sectors for each copy of the table.
"""

from __future__ import annotations

import itertools

from mediakit.errors import FormatError, RefusedError
from mediakit.formats.fat_volume import Volume
from mediakit.formats.reader import Reader

_PAGE_SECTORS = 8
_END = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
_FIRST_END = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}


class FatTable:
    """The first copy of a volume's FAT."""

    def __init__(self, reader: Reader, volume: Volume) -> None:
        self._reader = reader
        self._volume = volume
        self._pages: dict[int, bytearray] = {}
        self._dirty: set[int] = set()
        self._page_bytes = _PAGE_SECTORS * volume.sector_bytes

    def get(self, cluster: int) -> int:
        """The raw value of a cluster's entry: 0 is free, the next cluster, or an end mark."""
        bits = self._volume.fat_type
        if bits == 12:
            at = cluster + cluster // 2
            pair = self._byte(at) | self._byte(at + 1) << 8
            return pair >> 4 if cluster & 1 else pair & 0xFFF
        width = bits // 8
        at = cluster * width
        page = self._page(at // self._page_bytes)
        value = int.from_bytes(page[at % self._page_bytes : at % self._page_bytes + width], "little")
        return value & 0x0FFFFFFF if bits == 32 else value

    def set(self, cluster: int, value: int) -> None:
        """Change an entry in memory; FAT32 keeps its upper four bits."""
        bits = self._volume.fat_type
        if bits == 12:
            at = cluster + cluster // 2
            pair = self._byte(at) | self._byte(at + 1) << 8
            pair = pair & 0x00F | value << 4 if cluster & 1 else pair & 0xF000 | value
            self._put(at, bytes((pair & 0xFF, pair >> 8)))
        elif bits == 16:
            self._put(cluster * 2, value.to_bytes(2, "little"))
        else:
            keep = self._byte(cluster * 4 + 3) & 0xF0
            raw = bytearray(value.to_bytes(4, "little"))
            raw[3] |= keep
            self._put(cluster * 4, bytes(raw))

    def link(self, clusters: list[int]) -> None:
        """Make ``clusters`` one chain with an end mark."""
        for here, after in itertools.pairwise(clusters):
            self.set(here, after)
        if clusters:
            self.set(clusters[-1], _END[self._volume.fat_type])

    def chain(self, first: int, most: int | None = None) -> list[int]:
        """The clusters of a chain; FormatError when it leaves the volume, meets a free cluster or loops.

        ``most``: follow it no longer than that; it may go on.
        """
        clusters: list[int] = []
        seen: set[int] = set()
        cluster = first
        while cluster < _FIRST_END[self._volume.fat_type] and (most is None or len(clusters) < most):
            if not self._volume.is_cluster(cluster) or cluster in seen:
                raise FormatError("The FAT filesystem is damaged: a chain of clusters is broken.")
            seen.add(cluster)
            clusters.append(cluster)
            cluster = self.get(cluster)
        return clusters

    def find_free(self, count: int, hint: int = 2) -> list[int]:
        """``count`` free clusters, in one run if there is one; RefusedError when the volume is full."""
        last = self._volume.cluster_count + 2
        start = hint if 2 <= hint < last else 2
        scattered: list[int] = []
        for first, end in ((start, last), (2, start)):
            run: list[int] = []
            for cluster in range(first, end):
                if self.get(cluster):
                    run = []
                    continue
                run.append(cluster)
                if len(scattered) < count:
                    scattered.append(cluster)
                if len(run) >= count:
                    return run
        if len(scattered) < count:
            raise RefusedError("The FAT filesystem is full.", "Delete what is not needed, or make it larger.")
        return scattered

    def take_changes(self) -> list[tuple[int, bytes]]:
        """The changed sectors as runs, for every copy of the table; the table counts as unchanged after."""
        size = self._volume.sector_bytes
        runs: list[tuple[int, bytearray]] = []
        for sector in sorted(self._dirty):
            page = self._page(sector // _PAGE_SECTORS)
            at = sector % _PAGE_SECTORS * size
            if runs and runs[-1][0] + len(runs[-1][1]) == sector * size:
                runs[-1][1].extend(page[at : at + size])
            else:
                runs.append((sector * size, bytearray(page[at : at + size])))
        self._dirty.clear()
        return [
            (self._volume.fat_offset + copy * self._volume.fat_bytes + offset, bytes(data))
            for copy in range(self._volume.fat_count)
            for offset, data in runs
        ]

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            start = number * self._page_bytes
            size = min(self._page_bytes, self._volume.fat_bytes - start)
            if size <= 0:
                raise FormatError("The FAT filesystem is damaged: a cluster lies outside its table.")
            page = bytearray(self._reader(self._volume.fat_offset + start, size))
            self._pages[number] = page
        return page

    def _byte(self, at: int) -> int:
        return self._page(at // self._page_bytes)[at % self._page_bytes]

    def _put(self, at: int, raw: bytes) -> None:
        for index, byte in enumerate(raw, at):
            self._page(index // self._page_bytes)[index % self._page_bytes] = byte
            self._dirty.add(index // self._volume.sector_bytes)
