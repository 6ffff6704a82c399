"""What lies on a disk, in libblkid's words, from superblocks alone; nothing is mounted, nothing written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mediakit.formats.reader import Reader
from mediakit.units import SECTOR


@dataclass(frozen=True)
class Content:
    """One filesystem, volume member or area. ``partition`` is its number, 0 for the whole disk."""

    kind: str
    partition: int
    offset_bytes: int
    size_bytes: int
    label: str = ""
    uuid: str = ""
    what: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def identify(reader: Reader, size_bytes: int, *, sector_bytes: int = SECTOR) -> list[Content]:
    """What lies on ``size_bytes`` of ``reader``: each partition's content, or the whole disk's."""
    return []
