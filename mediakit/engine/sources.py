"""Where a medium's files come from: an ISO (file or device), or a folder where it is mounted. Reads only.

A source knows files by absolute path in the medium and, for an image, where their bytes lie in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from mediakit.engine.documents import is_medium_path
from mediakit.errors import DeviceError, FormatError, SourceError
from mediakit.units import MIB

BLOCK_BYTES = MIB
Span = tuple[int, int]
"""Offset in the image, size; bytes."""


class Source(Protocol):
    """A tree of files, and the image around it where there is one."""

    path: Path
    is_image: bool
    size_bytes: int

    def exists(self, path: str) -> bool: ...
    def size(self, path: str) -> int: ...
    def spans(self, path: str) -> tuple[Span, ...]: ...
    def read_at(self, offset: int, size: int) -> bytes: ...
    def stream(self, path: str, start: int, size: int) -> Iterator[bytes]: ...
    def walk(self) -> Iterator[str]: ...
    def close(self) -> None: ...


class FolderSource:
    """A folder where a medium is mounted, or its files were copied to."""

    is_image = False
    size_bytes = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = os.path.realpath(path)

    def exists(self, path: str) -> bool:
        try:
            return self._find(path).is_file()
        except SourceError:
            return False

    def size(self, path: str) -> int:
        try:
            return self._find(path).stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error

    def spans(self, path: str) -> tuple[Span, ...]:
        raise AssertionError("a folder has no offsets")

    def read_at(self, offset: int, size: int) -> bytes:
        raise AssertionError("a folder has no offsets")

    def stream(self, path: str, start: int, size: int) -> Iterator[bytes]:
        try:
            with self._find(path).open("rb", buffering=0) as file:
                file.seek(start)
                while size:
                    block = file.read(min(size, BLOCK_BYTES))
                    if not block:
                        raise FormatError(f"{path} ends {size} bytes early.", "Copy the medium again.")
                    size -= len(block)
                    yield block
        except FileNotFoundError as error:
            raise _unreadable(path, error) from error
        except OSError as error:
            raise DeviceError(
                f"Reading {path} failed: {error.strerror}.", "The medium may be dying."
            ) from error

    def walk(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._root):
            relative = Path(folder).relative_to(self._root)
            for name in names:
                yield "/" + str(relative / name)

    def close(self) -> None:
        return

    def _find(self, path: str) -> Path:
        """The file behind ``path``; a link that leads out of the medium is not followed."""
        found = os.path.realpath(self._root + path)
        if not is_medium_path(path) or not found.startswith(self._root.rstrip("/") + "/"):
            raise SourceError(f"{path} leads out of the medium.", "It is not what it should be.")
        return Path(found)


class ImageSource:
    """An ISO in a file or on a device, through the ISO library."""

    is_image = True

    def __init__(self, path: Path) -> None:
        from mediakit import iso

        self.path = path
        self._image: Any = iso.open_image(path)  # type: ignore[attr-defined,unused-ignore]
        self.size_bytes: int = self._image.size_bytes

    def exists(self, path: str) -> bool:
        return bool(self._image.exists(path))

    def size(self, path: str) -> int:
        return sum(size for _, size in self.spans(path))

    def spans(self, path: str) -> tuple[Span, ...]:
        return tuple((extent.offset_bytes, extent.size_bytes) for extent in self._image.extents(path))

    def read_at(self, offset: int, size: int) -> bytes:
        data: bytes = self._image.read_at(offset, size)
        if len(data) != size:
            raise FormatError(
                f"The image ends at byte {offset + len(data)}.", "It is truncated: download it again."
            )
        return data

    def stream(self, path: str, start: int, size: int) -> Iterator[bytes]:
        for offset, length in self.spans(path):
            skip = min(start, length)
            start -= skip
            position, end = offset + skip, offset + length
            while position < end and size:
                step = min(BLOCK_BYTES, end - position, size)
                yield self.read_at(position, step)
                position += step
                size -= step

    def walk(self) -> Iterator[str]:
        return (record.path for record in self._image.files() if record.kind == "file")

    def close(self) -> None:
        self._image.__exit__(None, None, None)


def open_source(path: Path) -> Source:
    """The source behind ``path``: a folder, an image file, a block device."""
    return FolderSource(path) if path.is_dir() else ImageSource(path)


def _unreadable(path: str, error: OSError) -> SourceError:
    return SourceError(f"{path} cannot be read: {error.strerror}.", "The medium is incomplete.")
