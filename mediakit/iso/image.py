"""One opened image: a file or block device that holds ISO 9660. Reads only, and only what is asked for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mediakit.errors import FormatError, SourceError
from mediakit.formats import iso9660
from mediakit.formats.iso9660 import DescriptorSet
from mediakit.formats.reader import Reader, file_reader
from mediakit.iso import contents, sessions
from mediakit.iso.nodes import Extent, FileKind, FileTree, Node
from mediakit.iso.sessions import Sessions
from mediakit.iso.tree import Tree
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.facts import ImageFacts
    from mediakit.iso.udf_tree import UdfTree

MAX_EXPANDED_BYTES = 64 << 20
"""The most that ``Image.read`` makes of a file that takes less room in the image than it is long."""
_PREFERRED = ("rockridge", "joliet", "iso9660_1999", "iso9660")
_DOWNLOAD = "Check the name, or copy or download the image again."
_COMPRESSED = {
    b"\xfd7zXZ\0": "xz",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\3\4": "zip",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}
_OTHERS = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"qfi\xfb": "a virtual disk (qcow2)",
    b"kdmv": "a virtual disk (VMDK)",
    b"conectix": "a virtual disk (VHD)",
    b"vhdxfile": "a virtual disk (VHDX)",
    b"daa\0": "an archive of PowerISO (DAA)",
    b"%pdf": "a PDF document",
    b"hsqs": "a squashfs filesystem",
}
_PERMISSION = "Run it with sudo, or get its owner's leave to read it."
_RAW_SYNC = b"\0" + b"\xff" * 10 + b"\0"  # ECMA-130 §14.2
_UNRAW = "bchunk or iat make an ISO of it."
_UNPACK = "unxz, gunzip, unzip and the like make the image of it."
_BEGINNING_BYTES = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """One path of the image, absolute."""

    path: str
    size_bytes: int
    kind: FileKind


class Image:
    """An image with its trees; ``tree`` is the one people see.

    That is Rock Ridge, else Joliet, else ISO 9660:1999, else plain; and UDF where those are only a stub that
    says so (Windows' images). ``trees`` are the ISO 9660 ones, ``udf`` is the UDF one where it was needed.
    """

    def __init__(
        self, path: Path, reader: Reader, size_bytes: int, descriptor: int = -1, session_lba: int = 0
    ) -> None:
        """``descriptor`` is closed with the image; the bytes may as well come from memory.

        ``session_lba`` is the block where the session to read starts: not 0 on multi-session discs only.
        """
        self.path = path
        self.size_bytes = size_bytes
        self.reader = reader
        self._descriptor = descriptor
        self._session_lba = session_lba
        start = session_lba + iso9660.FIRST_DESCRIPTOR
        self.descriptors = iso9660.read_descriptors(self.reader, size_bytes, start)
        self.trees = _iso_trees(self.reader, size_bytes, self.descriptors)
        self.udf: UdfTree | None = None
        self.udf_error: FormatError | None = None
        self.tree: FileTree = min(self.trees, key=lambda tree: _PREFERRED.index(tree.kind))
        if iso9660.has_udf(self.reader, size_bytes, start):
            self._look_at_udf()
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

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of the image, and which one its trees are from."""
        return sessions.find(self.reader, self.size_bytes, self._session_lba)

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
        """Where the bytes of a file lie, in order; SourceError if it is not there.

        Of a compressed file (zisofs) that is where its compressed bytes are; a hole (UDF) lies nowhere.
        """
        return tuple(extent for extent in self.file(path).extents if extent.size_bytes)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's contents, at most ``limit`` bytes of them."""
        node = self.file(path)
        wanted = node.size_bytes if limit is None else min(limit, node.size_bytes)
        if wanted > max(node.stored_bytes, MAX_EXPANDED_BYTES):
            raise FormatError(
                f"{path} is {node.size_bytes} bytes long, of which {node.stored_bytes} are in the image.",
                "It is too large to be looked at as a whole.",
            )
        return b"".join(contents.stream(self.reader, self.size_bytes, path, node, 0, wanted))

    def stream(self, path: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """A file's contents from byte ``start`` on, in pieces of at most 1 MiB; zisofs comes uncompressed."""
        node = self.file(path)
        return contents.stream(self.reader, self.size_bytes, path, node, start, size)

    def file(self, path: str) -> Node:
        """The node of a file; SourceError if there is none."""
        node = self.tree.find(path)
        if node is None or node.kind == "directory":
            what = "is not in the image" if node is None else "is a folder"
            hint = "mediakit inspect --files lists what is there."
            if node is None and self.udf_error is not None:
                hint = f"The image's UDF filesystem cannot be read: {self.udf_error.message}"
            raise SourceError(f"{path} {what}.", hint)
        return node

    def _look_at_udf(self) -> None:
        """Use the UDF tree where the ISO 9660 one is a stub: no folders, and fewer or shorter files than UDF.

        (mkisofs' ``-allow-limited-size`` keeps the true size of a file above 4 GiB in UDF only.)
        """
        try:
            shown = self.tree.children(self.tree.root)
            if any(node.kind == "directory" for node in shown.values()):
                return
            from mediakit.iso.udf_tree import UdfTree  # few images are read by it; it takes a moment to load

            self.udf = UdfTree(self.reader, self.size_bytes)
            names = self.udf.children(self.udf.root)
        except FormatError as error:
            self.udf, self.udf_error = None, error
            return
        has_folders = any(node.kind == "directory" for node in names.values())
        longer = any(
            name in shown and node.size_bytes > shown[name].size_bytes for name, node in names.items()
        )
        if has_folders or longer or len(names) > len(shown):
            self.tree = self.udf


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
    except PermissionError as error:
        raise SourceError(f"{where} cannot be opened: {error.strerror}.", _PERMISSION) from error
    except OSError as error:
        raise SourceError(f"{where} cannot be opened: {error.strerror}.", _DOWNLOAD) from error
    try:
        size_bytes = os.lseek(descriptor, 0, os.SEEK_END)
        reader = file_reader(descriptor, size_bytes)
        session = sessions.last_session_of_drive(descriptor) if stat.S_ISBLK(mode) else 0
        if not iso9660.has_descriptor(reader, size_bytes, session + iso9660.FIRST_DESCRIPTOR):
            session = 0
        if not session and not iso9660.has_descriptor(reader, size_bytes):
            what, hint = _what_else(reader, size_bytes)
            raise SourceError(f"{where} {what}", hint)
        return Image(where, reader, size_bytes, descriptor, session)
    except BaseException:
        os.close(descriptor)
        raise


def _iso_trees(reader: Reader, size_bytes: int, descriptors: DescriptorSet) -> tuple[Tree, ...]:
    """The trees of all descriptors; an enhanced one only where it is not the primary tree once more."""
    volumes = [v for v in descriptors.volumes if v.kind in ("primary", "joliet")]
    roots = {volume.root.lba for volume in volumes}
    volumes += [v for v in descriptors.volumes if v.kind == "enhanced" and v.root.lba not in roots]
    return tuple(Tree(reader, size_bytes, volume) for volume in volumes)


def _what_else(reader: Reader, size_bytes: int) -> tuple[str, str]:
    """What a file without ISO 9660 looks like, as the end of a sentence, and what to do."""
    if not size_bytes:
        return "is empty.", _DOWNLOAD
    head = reader(0, min(size_bytes, _BEGINNING_BYTES))
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            return f"is compressed with {name}; unpack it first.", _UNPACK
    for magic, name in _OTHERS.items():
        if head[:64].lstrip().lower().startswith(magic):
            return f"is {name}, not a disc image.", _DOWNLOAD
    if head.startswith(_RAW_SYNC):
        return "has raw CD sectors (2352 bytes), not those of a disc image.", _UNRAW
    if size_bytes < (iso9660.FIRST_DESCRIPTOR + 1) * iso9660.BLOCK:
        return f"has only {size_bytes} bytes: too few for a disc image.", _DOWNLOAD
    if iso9660.has_udf(reader, size_bytes):
        what = "holds UDF alone, without ISO 9660: mediakit reads UDF only on discs that have both."
        return what, _DOWNLOAD
    start = _start_elsewhere(reader, size_bytes, head)
    if start:
        what = f"has a disc image at byte {start}, not at its start: it was written into a partition."
        return what, "Write the image to the whole disk, not to one of its partitions."
    if not any(head):
        what = "begins with zeros: it is wiped, or writing it was cut off."
        return what, "Write or download the image again."
    if head[510:512] == b"\x55\xaa":
        return "is the image of a disk, not of a disc: it has no ISO 9660 filesystem.", _DOWNLOAD
    return "is not a disc image: it has no ISO 9660 filesystem.", _DOWNLOAD


def _start_elsewhere(reader: Reader, size_bytes: int, head: bytes) -> int:
    """Where a disc image lies that somebody wrote into a partition; 0 if there is none."""
    from mediakit.formats import gpt, mbr

    places = [_BEGINNING_BYTES]
    if mbr.has_table(head[:512].ljust(512, b"\0")):
        places += [part.start_lba * 512 for part in mbr.parse(head).partitions]
    table = gpt.read(reader, size_bytes, 512).gpt
    places += [part.start_lba * 512 for part in table.partitions[:128]] if table else []
    for place in places:
        start = place + iso9660.FIRST_DESCRIPTOR * iso9660.BLOCK
        if place > 0 and start + iso9660.BLOCK <= size_bytes and reader(start + 1, 5) == b"CD001":
            return place
    return 0
