"""One directory tree of ISO 9660 (Rock Ridge, Joliet, enhanced or plain), read sparsely and safely.

Own reading of directory records instead of pycdlib's: a lookup reads the few directories on its path, files
of several extents (above 4 GiB) come back whole, and directories that loop, lie outside the image or are
absurdly long are a FormatError. Never writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.formats import iso9660, rockridge
from mediakit.formats.iso9660 import BLOCK, DirectoryRecord, VolumeDescriptor
from mediakit.formats.reader import Reader
from mediakit.formats.rockridge import RockRidge
from mediakit.iso.nodes import MAX_DIRECTORY_BYTES, Extent, FileKind, FileTree, Node, check_name

__all__ = ["MAX_DIRECTORY_BYTES", "Extent", "FileKind", "Node", "Tree"]
_INTERLEAVED = "It is interleaved with another file, as on video discs; mediakit does not read that."
_UNKNOWN_ZISOFS = "It is compressed in a way that is not known (zisofs)."
_KINDS = {"joliet": "joliet", "enhanced": "iso9660_1999", "primary": "iso9660", "supplementary": "iso9660"}


class Tree(FileTree):
    """The tree of one volume descriptor; ``kind`` is rockridge, joliet, iso9660_1999 or iso9660."""

    def __init__(self, reader: Reader, size_bytes: int, volume: VolumeDescriptor) -> None:
        super().__init__(size_bytes)
        self._reader = reader
        self.volume = volume
        self._skip: int | None = None
        self._continuation_bytes_left = size_bytes
        root = volume.root
        self.root = Node("", "directory", root.size_bytes, (_extent(root),), (root,))
        if volume.kind == "primary":
            first = iso9660.parse_record(self._block(root.lba), 0, root.lba * BLOCK)
            self._skip = rockridge.find_skip(first.system_use) if first else None
        self.kind = _KINDS[volume.kind] if self._skip is None else "rockridge"
        self.ignores_case = self._skip is None

    def _read_directory(self, node: Node) -> dict[str, Node]:
        offset, size = node.extents[0]
        if size > MAX_DIRECTORY_BYTES or offset + size > self._size_bytes:
            raise _outside(offset)
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
        if parts:
            raise FormatError("A file of several extents in the disc image is damaged: its end is missing.")
        return found

    def _node(self, records: tuple[DirectoryRecord, ...]) -> Node | None:
        first = records[0]
        if any(record.name != first.name for record in records):
            raise FormatError("A file of several extents in the disc image is damaged.")
        rock = RockRidge() if self._skip is None else rockridge.parse(
            first.system_use, self._skip, self._read_continuation
        )  # fmt: skip
        if rock.is_relocated:
            return None
        name = check_name(rock.name or self._plain(first.name))
        if rock.child_lba is not None:
            return self._relocated(name, rock.child_lba, records)
        kind: FileKind = "directory" if first.is_directory else "file"
        if rock.is_symlink:
            kind = "symlink"
        elif rock.is_special:
            kind = "other"
        extents = _merge(_extent(record) for record in records)
        size = sum(record.size_bytes for record in records)
        is_zisofs = rock.is_zisofs and kind == "file"
        unreadable = _INTERLEAVED if any(record.interleaved for record in records) else ""
        if is_zisofs and rock.uncompressed_bytes is not None:
            size = rock.uncompressed_bytes
        elif is_zisofs:
            unreadable = _UNKNOWN_ZISOFS
        return Node(
            name=name,
            kind=kind,
            size_bytes=size,
            extents=extents,
            records=records,
            target=rock.symlink or "",
            is_zisofs=is_zisofs,
            has_continuation=rock.has_continuation,
            mode=rock.mode,
            moment=rock.modified or first.recorded,
            unreadable=unreadable,
        )

    def _relocated(self, name: str, lba: int, records: tuple[DirectoryRecord, ...]) -> Node:
        """A directory that was moved up because it was too deep (RRIP §4.1.5): its size is in its “.”."""
        own = iso9660.parse_record(self._block(lba), 0, lba * BLOCK)
        if own is None or not own.is_directory:
            raise FormatError(f"The relocated folder “{name}” of the disc image is damaged.")
        mode = rockridge.parse(own.system_use, self._skip or 0, self._read_continuation).mode
        extents = (Extent(lba * BLOCK, own.size_bytes),)
        return Node(name, "directory", own.size_bytes, extents, records, mode=mode)

    def _read_continuation(self, offset: int, size: int) -> bytes:
        """Continuation areas share no bytes, so all of them together are no longer than the image."""
        self._continuation_bytes_left -= size
        if self._continuation_bytes_left < 0:
            raise FormatError("The Rock Ridge continuations of the disc image overlap: it is damaged.")
        return self._reader(offset, size)

    def _plain(self, name: bytes) -> str:
        if self.volume.kind == "joliet":
            return iso9660.joliet_name(name)
        return iso9660.enhanced_name(name) if self.volume.kind == "enhanced" else iso9660.plain_name(name)

    def _block(self, lba: int) -> bytes:
        if (lba + 1) * BLOCK > self._size_bytes:
            raise _outside(lba * BLOCK)
        return self._reader(lba * BLOCK, BLOCK)


def _outside(offset: int) -> FormatError:
    return FormatError(
        f"A folder of the disc image lies at byte {offset}, outside of it.",
        "The image is truncated or damaged: copy or download it again.",
    )


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
