"""What somebody wants changed in an image, as plain data. Knows nothing of how it is done.

Paths are absolute paths in the image, as its people see them (Rock Ridge, else Joliet, else plain names).
"""

from __future__ import annotations

from pathlib import Path

from mediakit.errors import UsageError
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Put:
    """Add or replace a file; folders that are missing are made.

    ``source`` is a file of this system or the bytes themselves. ``mode`` are permission bits; by default a
    replaced file keeps its own and a new one gets 0444.
    """

    path: str
    source: Path | bytes
    mode: int | None = None


@dataclass(frozen=True)
class Carry:
    """Add or replace a file like ``Put``, with bytes that lie at ``offset_bytes`` of a file of this system.

    For contents that an image holds already: ``date`` is the seven bytes of its directory record.
    """

    path: str
    source: Path
    offset_bytes: int
    size_bytes: int
    mode: int | None
    date: bytes


@dataclass(frozen=True)
class Remove:
    """Take a file, a link or a folder with all in it out of the trees; its bytes stay where they are."""

    path: str


@dataclass(frozen=True)
class Overwrite:
    """Replace the contents of a file where it lies, zero-padded to its size; refused when ``data`` is larger.

    For rooms that were made for it (``/custom/answers.toml``): no directory changes. With ``secret`` the old
    bytes are kept nowhere, and undo cannot bring them back; unless ``keeps_old`` says that only the new ones
    are secret.
    """

    path: str
    data: bytes
    why: str
    secret: bool = False
    keeps_old: bool = False


@dataclass(frozen=True)
class Patch:
    """Bytes of a boot structure at ``offset_bytes`` of the image, which must lie inside of it.

    Those of a lower ``order`` are on the medium before those of a higher one.
    """

    offset_bytes: int
    data: bytes
    why: str
    order: int = 0


@dataclass(frozen=True)
class SetVolumeId:
    """Another label, in every volume descriptor of every descriptor set."""

    label: str


Change = Put | Carry | Remove | Overwrite | Patch | SetVolumeId


def split_path(path: str) -> list[str]:
    """The names of an absolute path; UsageError for what is none or names the root."""
    words = [word for word in path.split("/") if word not in ("", ".")]
    if not path.startswith("/") or ".." in words:
        raise UsageError(f"“{path}” is no absolute path in the image.", "Write it like /boot/grub/grub.cfg.")
    if not words:
        raise UsageError("The root folder itself cannot be changed.", "Name a file or folder in it.")
    if any("\0" in word for word in words):
        raise UsageError(f"“{path}” holds a character that no name may have.")
    return words
