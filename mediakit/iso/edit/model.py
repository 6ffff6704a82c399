"""An edit as a document: regions of bytes in the order in which they are written. No I/O, no decisions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from mediakit.iso.edit.record import Record
from mediakit.plain import dataclass

Source = bytes | tuple[Path, int]
"""Bytes, or a file of this system and the offset at which they begin in it."""


@dataclass(frozen=True)
class Region:
    """Bytes that go to ``offset_bytes``. Regions of one ``phase`` may reach the medium in any order; what was
    written in a phase is flushed before the next one begins."""

    offset_bytes: int
    size_bytes: int
    why: str
    phase: int
    source: Source


@dataclass(frozen=True)
class EditPlan:
    """All of an edit. ``regions`` are in the order of writing; ``record`` is what redo and undo go by."""

    path: Path
    old_size_bytes: int
    new_size_bytes: int
    regions: tuple[Region, ...]
    record: Record
    notes: tuple[str, ...] = ()

    @property
    def bytes_written(self) -> int:
        return sum(region.size_bytes for region in self.regions)

    def phases(self) -> Iterator[tuple[int, list[Region]]]:
        """Phase by phase, in order."""
        for phase, regions in groupby(self.regions, key=lambda region: region.phase):
            yield phase, list(regions)

    def to_json(self) -> dict[str, Any]:
        """``bytes_written`` and ``regions`` of ``rewrite --json``."""
        return {
            "bytes_written": self.bytes_written,
            "regions": [
                {"offset_bytes": r.offset_bytes, "size_bytes": r.size_bytes, "why": r.why}
                for r in self.regions
            ],
        }
