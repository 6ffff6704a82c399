"""One opened image: a file or block device that holds ISO 9660. Reads only, and only what is asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mediakit.errors import FormatError, SourceError
from mediakit.formats import iso9660
from mediakit.formats.reader import Reader, file_reader
from mediakit.iso.tree import Extent, FileKind, Node, Tree

if TYPE_CHECKING:
    from mediakit.iso.facts import ImageFacts

_DOWNLOAD = "Check the name, or copy or download the image again."
_COMPRESSED = {
    b"\xfd7zXZ\0": "xz",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\3\4": "zip",
}


@dataclass(frozen=True)
class FileRecord:
    """One path of the image, absolute."""

    path: str
    size_bytes: int
    kind: FileKind


class Image:
    """An image with its trees; ``tree`` is the one people see: Rock Ridge, else Joliet, else plain."""

    def __init__(self, path: Path, reader: Reader, size_bytes: int, descriptor: int = -1) -> None:
        """``descriptor`` is closed with the image; the bytes may as well come from memory."""
        self.path = path
        self.size_bytes = size_bytes
        self.reader = reader
        self._descriptor = descriptor
        self.descriptors = iso9660.read_descriptors(self.reader, size_bytes)
        self.trees = tuple(
            Tree(self.reader, size_bytes, volume)
            for volume in self.descriptors.volumes
            if volume.kind in ("primary", "joliet")
        )
        order = {"rockridge": 0, "joliet": 1, "iso9660": 2}
        self.tree = min(self.trees, key=lambda tree: order[tree.kind])
        self._facts: ImageFacts | None = None

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; closing twice is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``; FormatError past the end, DeviceError when reading fails."""
        return self.reader(offset, size)

    def facts(self) -> ImageFacts:
        """What the image is, how it boots, and what is odd about it; computed once."""
        if self._facts is None:
            from mediakit.iso.facts import gather

            self._facts = gather(self)
        return self._facts

    def files(self) -> Iterator[FileRecord]:
        """Every path of the tree; FormatError when the tree is damaged."""
        for path, node in self.tree.walk():
            yield FileRecord(path, node.size_bytes if node.kind == "file" else 0, node.kind)

    def exists(self, path: str) -> bool:
        """Whether ``path`` is a file or folder of the tree (links are followed)."""
        return self.tree.find(path) is not None

    def extents(self, path: str) -> tuple[Extent, ...]:
        """Where the bytes of a file lie, in order; SourceError if it is not there."""
        return tuple(extent for extent in self.file(path).extents if extent.size_bytes)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's contents, at most ``limit`` bytes of them."""
        node = self.file(path)
        left = node.size_bytes if limit is None else min(limit, node.size_bytes)
        if sum(self._inside(extent) for extent in node.extents) < left:
            raise FormatError(
                f"{path} lies outside the image.", "It is truncated: copy or download it again."
            )
        parts = []
        for extent in node.extents:
            parts.append(self.reader(extent.offset_bytes, min(left, extent.size_bytes)))
            left -= len(parts[-1])
            if not left:
                break
        return b"".join(parts)

    def file(self, path: str) -> Node:
        """The node of a file; SourceError if there is none."""
        node = self.tree.find(path)
        if node is None or node.kind == "directory":
            what = "is not in the image" if node is None else "is a folder"
            raise SourceError(f"{path} {what}.", "mediakit inspect --files lists what is there.")
        return node

    def _inside(self, extent: Extent) -> int:
        return extent.size_bytes if sum(extent) <= self.size_bytes else 0


def open_image(path: str | os.PathLike[str]) -> Image:
    """Open a disc image or a device that holds one; SourceError says why it is none."""
    where = Path(path)
    try:
        mode = where.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{where} is a folder, not an image.", "Name the ISO file or the device.")
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise SourceError(f"{where} is neither a file nor a disk.", "Name the ISO file or the device.")
        descriptor = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    except ValueError as error:
        raise SourceError(f"“{where}” is no path.", _DOWNLOAD) from error
    except OSError as error:
        raise SourceError(f"{where} cannot be opened: {error.strerror}.", _DOWNLOAD) from error
    try:
        size_bytes = os.lseek(descriptor, 0, os.SEEK_END)
        reader = file_reader(descriptor, size_bytes)
        if not iso9660.has_descriptor(reader, size_bytes):
            raise SourceError(f"{where} {_what_else(descriptor, size_bytes)}", _DOWNLOAD)
        return Image(where, reader, size_bytes, descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _what_else(descriptor: int, size_bytes: int) -> str:
    """What a file without ISO 9660 looks like, as the end of a sentence."""
    if not size_bytes:
        return "is empty."
    head = file_reader(descriptor, size_bytes)(0, min(size_bytes, 1024))
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return f"is compressed with {name}; unpack it first."
    if size_bytes < (iso9660.FIRST_DESCRIPTOR + 1) * iso9660.BLOCK:
        return f"has only {size_bytes} bytes: too few for a disc image."
    if head[510:512] == b"\x55\xaa":
        return "is the image of a disk, not of a disc: it has no ISO 9660 filesystem."
    return "is not a disc image: it has no ISO 9660 filesystem."
