"""What an edit is made of: files put, removed or overwritten, bytes patched, the label set. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Put:
    """Add or replace the file ``path``; folders on the way are made."""

    path: str
    source: Path | bytes
    mode: int | None = None


@dataclass(frozen=True)
class Remove:
    """Remove the file or folder ``path``."""

    path: str


@dataclass(frozen=True)
class Overwrite:
    """New bytes in a file's own extents, padded with zeros; ``secret``: undo must not keep the old ones."""

    path: str
    data: bytes = field(repr=False)
    why: str = ""
    secret: bool = False


@dataclass(frozen=True)
class Patch:
    """New bytes at ``offset_bytes`` of the image."""

    offset_bytes: int
    data: bytes = field(repr=False)
    why: str = ""


@dataclass(frozen=True)
class SetVolumeId:
    """A new volume id in every descriptor."""

    label: str


Change = Put | Remove | Overwrite | Patch | SetVolumeId
