"""A stick, or a file opened as one, as the medium of an edit: what ``iso.edit`` writes to, on a ``Target``.

The target was checked and is ours alone (``block.target``); this only fits the two together, and says where
an edit has to end, because ENGINE-DATA begins there.
"""

from __future__ import annotations

from mediakit import iso
from mediakit.block.target import Target
from mediakit.stick import tables
from mediakit.units import SECTOR


class TargetMedium:
    """``iso.edit.medium.Medium`` over a ``Target``; reads go past the page cache."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def size_bytes(self) -> int:
        return self._target.size_bytes

    def read(self, offset: int, size: int) -> bytes:
        return self._target.reader(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """A file grows when something is written behind its end, as files do."""
        if self._target.is_file and offset + len(data) > self._target.size_bytes:
            self._target.resize(offset + len(data))
        self._target.write(offset, data)

    def flush(self) -> None:
        self._target.flush()

    def resize(self, size_bytes: int) -> None:
        """A file gets another size; a device only says whether it is large enough."""
        self._target.resize(size_bytes)


def end_limit(image: iso.Image) -> int | None:
    """Where ENGINE-DATA begins on a written stick: an edit has to end before it. None without one."""
    found = tables.find_data(image.facts().structures.gpt, image.read_at(0, SECTOR))
    return found.span.offset_bytes if found is not None else None
