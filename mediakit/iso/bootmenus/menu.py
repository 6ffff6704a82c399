"""What a followed boot menu is: its entries, the files they name, where in which configuration that stands.

Also how a loader sees the files of a medium: one ``Files`` for the disc's tree, one for each FAT volume.
Reads only names and small configurations.
"""

from __future__ import annotations

from dataclasses import field
from itertools import islice
from typing import TYPE_CHECKING, Literal, Protocol

from mediakit.errors import FormatError
from mediakit.formats.fat_read import Fat
from mediakit.iso import contents
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.image import Image
    from mediakit.iso.nodes import FileTree, Node

MAX_CONFIG_BYTES = 256 << 10
"""What is read of a configuration: the largest menus of real media have some 60 KiB."""
MAX_FOLDER_NAMES = 300
State = Literal["there", "missing", "unknown", "elsewhere"]


@dataclass(frozen=True)
class Place:
    """Bytes of a configuration; ``offset_bytes`` counts from the image's start, where that can be said,
    ``start`` from the configuration's own.
    """

    config: str
    line: int
    offset_bytes: int | None = None
    size_bytes: int | None = None
    start: int = 0

    def __str__(self) -> str:
        return f"{self.config}, line {self.line}"


@dataclass(frozen=True)
class MenuFile:
    """A file that an entry names. ``why`` says, for “unknown” and “elsewhere”, what it depends on.

    “elsewhere”: the menu looks for it on a volume that this medium is not.
    """

    role: str
    path: str
    state: State
    place: Place
    why: str = ""
    size_bytes: int = 0


@dataclass(frozen=True)
class MenuEntry:
    """One line of the menu; ``title`` has its submenus in front, ``arguments`` are kernels' command lines."""

    title: str
    entry_id: str
    place: Place
    files: tuple[MenuFile, ...] = ()
    arguments: tuple[tuple[str, Place], ...] = ()
    is_default: bool = False

    @property
    def is_broken(self) -> bool:
        return any(file.state == "missing" for file in self.files)

    @property
    def names_files(self) -> bool:
        return any(file.state in ("there", "missing") for file in self.files)


@dataclass(frozen=True)
class Menu:
    """One loader's menu. ``configs`` are what it was read from, ``includes`` what they ask for besides."""

    loader: Literal["grub", "isolinux", "systemd-boot"]
    firmware: Literal["bios", "uefi"]
    configs: tuple[str, ...]
    entries: tuple[MenuEntry, ...] = ()
    includes: tuple[MenuFile, ...] = ()
    problems: tuple[tuple[Place, str], ...] = field(default=())

    @property
    def is_dead(self) -> bool:
        """Whether none of the entries that name files of this medium finds all of them."""
        named = [entry for entry in self.entries if entry.names_files]
        return bool(named) and all(entry.is_broken for entry in named)


@dataclass(frozen=True)
class Spot:
    """A file that is there; ``offset_bytes`` is where it starts in the image, None if it is in pieces."""

    size_bytes: int
    offset_bytes: int | None


class Files(Protocol):
    """One filesystem of the medium. Paths are absolute; ``name`` tells it in sentences."""

    name: str

    def find(self, path: str) -> Spot | None:
        """The file there; None for none, for a folder, and where the tree is damaged."""
        ...

    def has(self, path: str) -> bool:
        """Whether a file or folder is there."""
        ...

    def read(self, path: str) -> bytes:
        """A small file's contents; FormatError where it cannot be read."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names in a folder; empty where there is none, and where the tree is damaged."""
        ...


def read_config(files: Files, path: str, spot: Spot | None) -> tuple[bytes, bool]:
    """The lines that are read of the configuration at ``spot``, and whether that is all of it; FormatError
    where it cannot be read.
    """
    text = files.read(path)
    if spot is None or spot.size_bytes <= len(text):
        return text, True
    return text[: text.rfind(b"\n") + 1], False


class DiscFiles:
    """The disc's own tree. ``any_case``: as ISOLINUX reads, by the plain and Joliet names too."""

    def __init__(self, image: Image, *, any_case: bool = False) -> None:
        self.name = ""
        self._image = image
        self._trees: tuple[FileTree, ...] = image.trees if any_case else (image.tree,)
        self._any_case = any_case

    def find(self, path: str) -> Spot | None:
        for tree in self._trees:
            node = self._node(tree, path)
            if node is not None and node.kind == "file":
                ends = [sum(extent) for extent in node.extents if not extent.is_hole]
                if max(ends, default=0) > self._image.size_bytes:
                    continue
                is_plain = len(node.extents) == 1 and not node.is_zisofs and not node.extents[0].is_hole
                return Spot(node.size_bytes, node.extents[0].offset_bytes if is_plain else None)
        return None

    def has(self, path: str) -> bool:
        return any(self._node(tree, path) is not None for tree in self._trees)

    def read(self, path: str) -> bytes:
        for tree in self._trees:
            node = self._node(tree, path)
            if node is not None and node.kind == "file":
                size = min(node.size_bytes, MAX_CONFIG_BYTES)
                pieces = contents.stream(self._image.reader, self._image.size_bytes, path, node, 0, size)
                return b"".join(pieces)
        raise FormatError(f"{path} is not there.")

    def names(self, folder: str) -> list[str]:
        for tree in self._trees:
            node = self._node(tree, folder)
            if node is not None and node.kind == "directory":
                try:
                    return list(islice(tree.children(node), MAX_FOLDER_NAMES))
                except FormatError:
                    continue
        return []

    def _node(self, tree: FileTree, path: str) -> Node | None:
        try:
            node = tree.find(path)
            if node is None and self._any_case:
                node = tree.find(path.lower()) or tree.find(path.upper())
        except FormatError:
            return None
        return node


class FatFiles:
    """A FAT volume that starts at ``offset_bytes`` of the image."""

    def __init__(self, fat: Fat, offset_bytes: int, name: str) -> None:
        self.name = name
        self.fat = fat
        self.offset_bytes = offset_bytes

    def find(self, path: str) -> Spot | None:
        try:
            entry = self.fat.find(path)
            if entry is None or entry.is_directory:
                return None
            extents = self.fat.extents(path) if entry.size_bytes < MAX_CONFIG_BYTES else []
        except FormatError:
            return None
        return Spot(entry.size_bytes, self.offset_bytes + extents[0][0] if len(extents) == 1 else None)

    def has(self, path: str) -> bool:
        try:
            return not path.strip("/") or self.fat.exists(path)
        except FormatError:
            return False

    def read(self, path: str) -> bytes:
        return self.fat.read(path.strip("/"), MAX_CONFIG_BYTES)

    def names(self, folder: str) -> list[str]:
        try:
            entry = self.fat.find(folder) if folder.strip("/") else None
            if folder.strip("/") and (entry is None or not entry.is_directory):
                return []
            found = self.fat.names(entry.first_cluster if entry is not None else 0)
            return [one.name for one in islice(found, MAX_FOLDER_NAMES)]
        except FormatError:
            return []
