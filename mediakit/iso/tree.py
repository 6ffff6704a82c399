"""One directory tree of an ISO 9660 filesystem (Rock Ridge, Joliet or plain), read sparsely and safely.

Own reading of directory records instead of pycdlib's: a lookup reads the few directories on its path, files
of several extents (above 4 GiB) come back whole, and directories that loop, lie outside the image or are
absurdly long are a FormatError. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from mediakit.errors import FormatError
from mediakit.formats import iso9660, rockridge
from mediakit.formats.iso9660 import BLOCK, DirectoryRecord, VolumeDescriptor
from mediakit.formats.reader import Reader
from mediakit.formats.rockridge import RockRidge

MAX_DIRECTORY_BYTES = 64 << 20
MAX_DEPTH = 64
MAX_LINKS = 8
FileKind = Literal["file", "directory", "symlink", "other"]


class Extent(NamedTuple):
    """A piece of a file in the image."""

    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Node:
    """One name in a directory. ``records`` are its directory records: several for a multi-extent file."""

    name: str
    kind: FileKind
    size_bytes: int
    extents: tuple[Extent, ...]
    records: tuple[DirectoryRecord, ...]
    target: str = ""
    is_zisofs: bool = False
    has_continuation: bool = False


class Tree:
    """The tree of one volume descriptor; ``kind`` is rockridge, joliet or iso9660."""

    def __init__(self, reader: Reader, size_bytes: int, volume: VolumeDescriptor) -> None:
        self._reader = reader
        self._size_bytes = size_bytes
        self._volume = volume
        self._cache: dict[int, dict[str, Node]] = {}
        self._skip: int | None = None
        root = volume.root
        self.root = Node("", "directory", root.size_bytes, (_extent(root),), (root,))
        if volume.kind == "primary":
            first = iso9660.parse_record(self._block(root.lba), 0, root.lba * BLOCK)
            self._skip = rockridge.find_skip(first.system_use) if first else None
        self.kind = {"joliet": "joliet"}.get(volume.kind, "iso9660" if self._skip is None else "rockridge")

    def find(self, path: str) -> Node | None:
        """The node of an absolute path, symbolic links followed inside the tree; None if it is not there.

        Names compare exactly in Rock Ridge, without regard to capitals elsewhere (GRUB reads them so too).
        """
        words = [word for word in path.split("/") if word not in ("", ".")]
        trail: list[Node] = [self.root]
        links = 0
        while words:
            word = words.pop(0)
            if word == "..":
                trail = trail[:-1] or [self.root]
                continue
            here = trail[-1]
            if here.kind != "directory":
                return None
            node = self._lookup(here, word)
            if node is None:
                return None
            if node.kind == "symlink":
                links += 1
                if links > MAX_LINKS:
                    return None
                words = [w for w in node.target.split("/") if w not in ("", ".")] + words
                trail = [self.root] if node.target.startswith("/") else trail
                continue
            trail.append(node)
        return trail[-1]

    def children(self, node: Node) -> dict[str, Node]:
        """Name → node of a directory, in the order on the medium."""
        start = node.extents[0].offset_bytes // BLOCK
        if start not in self._cache:
            self._cache[start] = self._read_directory(node)
        return self._cache[start]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every path with its node, directories before what is in them; FormatError for a loop."""
        seen: set[int] = set()
        stack: list[tuple[str, Node, int]] = [("", self.root, 0)]
        while stack:
            prefix, directory, depth = stack.pop()
            start = directory.extents[0].offset_bytes
            if start in seen or depth > MAX_DEPTH:
                raise FormatError(f"The folder “{prefix or '/'}” of the disc image is inside itself.")
            seen.add(start)
            folders = []
            for name, node in self.children(directory).items():
                path = f"{prefix}/{name}"
                yield path, node
                if node.kind == "directory":
                    folders.append((path, node, depth + 1))
            stack += reversed(folders)

    def _lookup(self, directory: Node, word: str) -> Node | None:
        children = self.children(directory)
        node = children.get(word)
        if node is None and self.kind != "rockridge":
            folded = word.casefold()
            node = next((n for name, n in children.items() if name.casefold() == folded), None)
        return node

    def _read_directory(self, node: Node) -> dict[str, Node]:
        offset, size = node.extents[0]
        if size > MAX_DIRECTORY_BYTES or offset + size > self._size_bytes:
            raise FormatError(
                f"A folder of the disc image lies at byte {offset}, outside of it.",
                "The image is truncated or damaged: copy or download it again.",
            )
        found: dict[str, Node] = {}
        parts: list[DirectoryRecord] = []
        for record in iso9660.parse_directory(self._reader(offset, size), offset):
            if record.is_self_or_parent or record.flags & iso9660.FLAG_ASSOCIATED:
                continue
            parts.append(record)
            if record.continues:
                continue
            child = self._node(tuple(parts))
            parts = []
            if child is not None:
                found.setdefault(child.name, child)
        return found

    def _node(self, records: tuple[DirectoryRecord, ...]) -> Node | None:
        first = records[0]
        if any(record.interleaved for record in records):
            raise FormatError("The disc image has interleaved files; they are not supported.")
        if any(record.name != first.name for record in records):
            raise FormatError("A file of several extents in the disc image is damaged.")
        rock = RockRidge() if self._skip is None else rockridge.parse(
            first.system_use, self._skip, self._reader
        )  # fmt: skip
        if rock.is_relocated:
            return None
        name = rock.name or self._plain(first.name)
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise FormatError(f"The disc image holds a file with the name “{name}”, which no system allows.")
        if rock.child_lba is not None:
            return self._relocated(name, rock.child_lba, records)
        kind: FileKind = "directory" if first.is_directory else "file"
        if rock.is_symlink:
            kind = "symlink"
        elif rock.is_special:
            kind = "other"
        extents = _merge(_extent(record) for record in records)
        size = sum(record.size_bytes for record in records)
        return Node(
            name, kind, size, extents, records, rock.symlink or "", rock.is_zisofs, rock.has_continuation
        )

    def _relocated(self, name: str, lba: int, records: tuple[DirectoryRecord, ...]) -> Node:
        """A directory that was moved up because it was too deep (RRIP §4.1.5): its size is in its “.”."""
        own = iso9660.parse_record(self._block(lba), 0, lba * BLOCK)
        if own is None or not own.is_directory:
            raise FormatError(f"The relocated folder “{name}” of the disc image is damaged.")
        return Node(name, "directory", own.size_bytes, (Extent(lba * BLOCK, own.size_bytes),), records)

    def _plain(self, name: bytes) -> str:
        return iso9660.joliet_name(name) if self.kind == "joliet" else iso9660.plain_name(name)

    def _block(self, lba: int) -> bytes:
        if (lba + 1) * BLOCK > self._size_bytes:
            raise FormatError(
                f"A folder of the disc image lies at byte {lba * BLOCK}, outside of it.",
                "The image is truncated or damaged: copy or download it again.",
            )
        return self._reader(lba * BLOCK, BLOCK)


def _extent(record: DirectoryRecord) -> Extent:
    return Extent(record.lba * BLOCK, record.size_bytes)


def _merge(extents: Iterator[Extent]) -> tuple[Extent, ...]:
    """Without empty pieces, neighbours joined; a directory's or an empty file's one piece stays."""
    merged: list[Extent] = []
    for extent in extents:
        if merged and sum(merged[-1]) == extent.offset_bytes:
            merged[-1] = Extent(merged[-1].offset_bytes, merged[-1].size_bytes + extent.size_bytes)
        else:
            merged.append(extent)
    return tuple(merged)
