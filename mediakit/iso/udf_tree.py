"""The directory tree of a UDF filesystem, in the shape of the other trees. Never writes.

It is what people see where the ISO 9660 tree is only a stub that says so: Windows' own images. On images
where both are whole (“UDF bridge”) the ISO 9660 trees are used, as boot loaders do.
"""

from __future__ import annotations

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.formats.udf import Address, parse_path
from mediakit.formats.udf_volume import UdfFile, UdfVolume
from mediakit.iso.nodes import MAX_DIRECTORY_BYTES, Extent, FileKind, FileTree, Node, check_name

MAX_TARGET_BYTES = 4096


class UdfTree(FileTree):
    """A tree of kind “udf”: names compare exactly or, as Windows does it, without regard to capitals."""

    kind = "udf"
    ignores_case = True

    def __init__(self, reader: Reader, size_bytes: int) -> None:
        """FormatError if there is no UDF volume that can be read."""
        super().__init__(size_bytes)
        self.volume = UdfVolume(reader, size_bytes)
        self._entries: dict[int, UdfFile] = {}
        self.root = self._node("", self.volume.root)
        if self.root.kind != "directory":
            raise FormatError("The root folder of the UDF filesystem is none.")

    def _read_directory(self, node: Node) -> dict[str, Node]:
        directory = self._entries[_key(node)]
        found: dict[str, Node] = {}
        for fid in self.volume.names(directory):
            child = self._node(check_name(fid.name), fid.icb.address)
            found.setdefault(child.name, child)
        return found

    def _node(self, name: str, address: Address) -> Node:
        file = self.volume.file(address)
        kind: FileKind = "other"
        target = ""
        if file.is_directory:
            kind = "directory"
        elif file.is_regular:
            kind = "file"
        elif file.is_symlink:
            kind = "symlink"
            if file.entry.size_bytes > MAX_TARGET_BYTES:
                raise FormatError(f"The link “{name}” of the UDF filesystem is absurdly long.")
            target = parse_path(self.volume.contents(file))
        size = file.entry.size_bytes
        if kind == "directory" and size > MAX_DIRECTORY_BYTES:
            raise FormatError(f"The folder “{name}” of the UDF filesystem is absurdly long.")
        extents = tuple(Extent(offset, length) for offset, length in file.pieces)
        extents = extents or (Extent(file.at_byte, 0),)
        if kind == "directory" and any(extent.is_hole for extent in extents):
            raise FormatError(f"The folder “{name}” of the UDF filesystem is stored nowhere.")
        node = Node(name, kind, size, extents, (), target, moment=file.entry.modified)
        if kind == "directory":
            self._entries[_key(node)] = file
        return node


def _key(directory: Node) -> int:
    """Where a directory's first byte lies: no two directories share it."""
    return directory.extents[0].offset_bytes
