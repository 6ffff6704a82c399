"""Where a medium's files come from: an ISO (file or device), a FAT partition, or a folder. Reads only.

A source knows files by absolute path in the medium and, for an image, where their bytes lie in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mediakit import iso
from mediakit.engine.documents import is_medium_path
from mediakit.engine.manifest import PATH
from mediakit.errors import DeviceError, FormatError, MediakitError, SourceError
from mediakit.formats import gpt, mbr
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import Reader, file_reader, sub_reader
from mediakit.iso.nodes import Node
from mediakit.units import MIB, SECTOR

BLOCK_BYTES = MIB
Span = tuple[int, int]
"""Offset in the image, size; bytes."""


class Source(Protocol):
    """A tree of files, and the image around it where there is one."""

    path: Path
    is_image: bool
    """Whether files have offsets (``spans``) and bytes can be read by offset."""
    is_iso: bool
    """Whether it is the ISO itself, so that its boot areas are where the manifest says."""
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
    is_iso = False
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


class _SpanSource:
    """What an ISO and a FAT partition have in common: files are spans of one image."""

    is_image = True
    is_iso = False
    path: Path
    size_bytes = 0

    def spans(self, path: str) -> tuple[Span, ...]:
        raise NotImplementedError

    def read_at(self, offset: int, size: int) -> bytes:
        raise NotImplementedError

    def size(self, path: str) -> int:
        return sum(size for _, size in self.spans(path))

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


class IsoSource(_SpanSource):
    """An ISO in a file or on a device, through the ISO library."""

    is_iso = True

    def __init__(self, path: Path) -> None:
        self._take(iso.open_image(path))

    @classmethod
    def of(cls, image: iso.Image) -> IsoSource:
        """An image that is open already, and stays its opener's."""
        source = cls.__new__(cls)
        source._take(image)
        return source

    def _take(self, image: iso.Image) -> None:
        self.path = image.path
        self._image = image
        self.size_bytes = image.size_bytes
        self._last: tuple[str, Node] | None = None

    def exists(self, path: str) -> bool:
        try:
            self._file(path)
        except SourceError:
            return False
        return True

    def spans(self, path: str) -> tuple[Span, ...]:
        """Where the stored bytes lie: not the contents, for a compressed file; a hole (UDF) lies nowhere."""
        extents = self._file(path).extents
        return tuple((e.offset_bytes, e.size_bytes) for e in extents if e.size_bytes and not e.is_hole)

    def size(self, path: str) -> int:
        return self._file(path).size_bytes

    def stream(self, path: str, start: int, size: int) -> Iterator[bytes]:
        return self._image.stream(path, start, size)

    def _file(self, path: str) -> Node:
        """The file's node; the last one is remembered, for questions about a file come together."""
        if self._last is None or self._last[0] != path:
            self._last = path, self._image.file(path)
        return self._last[1]

    def read_at(self, offset: int, size: int) -> bytes:
        return self._image.read_at(offset, size)

    def walk(self) -> Iterator[str]:
        return (record.path for record in self._image.files() if record.kind == "file")

    def close(self) -> None:
        self._image.close()


class FatSource(_SpanSource):
    """A medium's files copied to FAT: a whole device or file, or one partition of it."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int, start: int, fat: Fat) -> None:
        self.path, self.size_bytes = path, size_bytes
        self._descriptor, self._start, self._fat = descriptor, start, fat
        self._reader = file_reader(descriptor, size_bytes)

    def exists(self, path: str) -> bool:
        entry = self._fat.find(path)
        return entry is not None and not entry.is_directory

    def spans(self, path: str) -> tuple[Span, ...]:
        return tuple((self._start + offset, size) for offset, size in self._fat.extents(path))

    def read_at(self, offset: int, size: int) -> bytes:
        return self._reader(offset, size)

    def walk(self) -> Iterator[str]:
        return ("/" + entry.path for entry in self._fat.walk() if not entry.is_directory)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_source(path: Path) -> Source:
    """The source behind ``path``: a folder, an ISO, or FAT with a medium's files; SourceError if none."""
    if path.is_dir():
        return FolderSource(path)
    try:
        return IsoSource(path)
    except SourceError:
        if not (path.is_file() or path.is_block_device()):
            raise
        if (found := _open_fat(path)) is None:
            raise
        return found


def _open_fat(path: Path) -> FatSource | None:
    """The first FAT volume at ``path`` that holds an Engine's manifest."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        reader = file_reader(descriptor, size)
        for start, length in _volumes(reader, size):
            try:
                fat = Fat(sub_reader(reader, start, length))
                if fat.exists(PATH):
                    return FatSource(path, descriptor, size, start, fat)
            except MediakitError:
                continue
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _volumes(reader: Reader, size: int) -> Iterator[Span]:
    """The whole of it, then its partitions."""
    if size < 4096:
        return
    yield 0, size
    for sector in (SECTOR, 4096):
        state = gpt.read(reader, size, sector)
        if table := state.primary or state.backup:
            for part in table.partitions:
                yield part.start_lba * sector, (part.end_lba - part.start_lba + 1) * sector
            return
    if mbr.has_signature(head := reader(0, SECTOR)):
        for entry in mbr.parse(head).partitions:
            yield entry.start_lba * SECTOR, entry.sectors * SECTOR


def _unreadable(path: str, error: OSError) -> SourceError:
    return SourceError(f"{path} cannot be read: {error.strerror}.", "The medium is incomplete.")
