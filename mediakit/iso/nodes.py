"""Names in a tree, whatever filesystem they come from: nodes, extents, looking up a path, walking everything.

What is read from the medium is the subclass's; what a hostile medium may do to who follows it is held here:
folders inside themselves, folders that share their bytes, links that loop, names that no system allows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal, NamedTuple

from mediakit.errors import FormatError
from mediakit.formats.iso9660 import DirectoryRecord
from mediakit.plain import dataclass

MAX_DIRECTORY_BYTES = 64 << 20
MAX_DEPTH = 256
MAX_LINKS = 8
MAX_STEPS = 512
"""Names that are looked up on the way to one file: links may name long ways."""
HOLE = -1
_DAMAGED = "The image is damaged: copy or download it again."
FileKind = Literal["file", "directory", "symlink", "other"]


class Extent(NamedTuple):
    """A piece of a file in the image; ``offset_bytes`` is HOLE for zeros that are stored nowhere (UDF)."""

    offset_bytes: int
    size_bytes: int

    @property
    def is_hole(self) -> bool:
        return self.offset_bytes == HOLE


@dataclass(frozen=True, slots=True)
class Node:
    """One name in a directory.

    ``records`` are its ISO 9660 directory records: several for a multi-extent file, none in UDF.
    ``size_bytes`` is what a reader gets; for a zisofs file that is more than its extents hold. ``mode`` is
    POSIX, where known. ``unreadable`` is a sentence that says why its contents cannot be read, or empty.
    """

    name: str
    kind: FileKind
    size_bytes: int
    extents: tuple[Extent, ...]
    records: tuple[DirectoryRecord, ...]
    target: str = ""
    is_zisofs: bool = False
    has_continuation: bool = False
    mode: int | None = None
    moment: bytes = b""
    unreadable: str = ""

    @property
    def stored_bytes(self) -> int:
        """What the extents hold."""
        return sum(extent.size_bytes for extent in self.extents)


class FileTree(ABC):
    """A tree of one filesystem of an image; ``kind`` is its name in ``inspect --json``."""

    kind: str
    root: Node
    ignores_case: bool

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._cache: dict[int, dict[str, Node]] = {}
        self._folded: dict[int, dict[str, Node]] = {}
        self._left = size_bytes

    @abstractmethod
    def _read_directory(self, node: Node) -> dict[str, Node]:
        """Name → node of one directory, in the order on the medium; FormatError where it is damaged."""

    def find(self, path: str) -> Node | None:
        """The node of an absolute path, symbolic links followed inside the tree; None if it is not there.

        Names compare exactly in Rock Ridge, elsewhere an exact one comes before one with other capitals (GRUB
        and Windows read them so too).
        """
        words = [word for word in reversed(path.split("/")) if word not in ("", ".")]
        trail: list[Node] = [self.root]
        links = steps = 0
        while words:
            word = words.pop()
            steps += 1
            if steps > MAX_STEPS:
                return None
            if word == "..":
                trail = trail[:-1] or [self.root]
                continue
            here = trail[-1]
            if here.kind != "directory" or len(trail) > MAX_DEPTH:
                return None
            node = self._lookup(here, word)
            if node is None:
                return None
            if node.kind == "symlink":
                links += 1
                if links > MAX_LINKS:
                    return None
                words += [w for w in reversed(node.target.split("/")) if w not in ("", ".")]
                trail = [self.root] if node.target.startswith("/") else trail
                continue
            trail.append(node)
        return trail[-1]

    def children(self, node: Node) -> dict[str, Node]:
        """Name → node of a directory, in the order on the medium.

        FormatError for damage, and for folders that share bytes, told by their sum: a small image could else
        hold thousands of overlapping ones and keep its reader busy for hours.
        """
        start = _identity(node)
        if start not in self._cache:
            if node.stored_bytes > self._left:
                raise FormatError("Folders of the disc image overlap each other.", _DAMAGED)
            self._cache[start] = self._read_directory(node)
            self._left -= node.stored_bytes
        return self._cache[start]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every path with its node, directories before what is in them.

        FormatError for folders inside themselves, and where ``children`` raises it.
        """
        seen: set[int] = set()
        stack: list[tuple[str, Node, int]] = [("", self.root, 0)]
        while stack:
            prefix, directory, depth = stack.pop()
            start = _identity(directory)
            if start in seen or depth > MAX_DEPTH:
                raise FormatError(
                    f"The folder “{prefix or '/'}” of the disc image is inside itself.", _DAMAGED
                )
            seen.add(start)
            children = self.children(directory)
            folders = []
            for name, node in children.items():
                path = f"{prefix}/{name}"
                yield path, node
                if node.kind == "directory":
                    folders.append((path, node, depth + 1))
            stack += reversed(folders)

    def _lookup(self, directory: Node, word: str) -> Node | None:
        children = self.children(directory)
        node = children.get(word)
        if node is None and self.ignores_case:
            start = _identity(directory)
            if start not in self._folded:
                # the first of several equal names wins, as it does on the medium
                folded = {name.casefold(): n for name, n in reversed(children.items())}
                self._folded[start] = folded
            node = self._folded[start].get(word.casefold())
        return node


def check_name(name: str) -> str:
    """The name again; FormatError if it would lead out of its folder or cannot be a name anywhere."""
    if not name or name in (".", "..") or "/" in name or "\0" in name:
        raise FormatError(f"The disc image holds a file with the name “{name}”, which no system allows.")
    return name


def _identity(directory: Node) -> int:
    """Two directories are the same one if they start at the same byte."""
    return next((e.offset_bytes for e in directory.extents if not e.is_hole), HOLE)
