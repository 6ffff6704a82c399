"""A new FAT filesystem as regions of bytes: deterministic, sparse, every file contiguous. Pure.

What lies between the regions is zeros, so a volume of many GB costs what its files cost. Regions carry a
kind, so that whoever writes them can keep the order data → FATs → directories → boot sector, with flushes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import Literal

from mediakit.errors import FormatError
from mediakit.formats import fat_names, fat_volume
from mediakit.formats.fat_names import ARCHIVE, DIRECTORY, FAT_EPOCH, VOLUME_ID
from mediakit.formats.fat_volume import Volume
from mediakit.plain import dataclass

Kind = Literal["boot", "fat", "info", "directory", "data"]
_END = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}


@dataclass(frozen=True)
class FatFile:
    """A file to be: ``data``, padded with zeros to ``size_bytes`` where that is larger."""

    path: str
    data: bytes = b""
    size_bytes: int | None = None

    @property
    def length(self) -> int:
        return max(len(self.data), self.size_bytes or 0)


@dataclass(frozen=True)
class Region:
    """Bytes at an offset of the volume."""

    offset: int
    data: bytes
    kind: Kind


@dataclass(frozen=True)
class FatImage:
    """A whole new filesystem. ``must_be_zero`` are the ranges (offset, size) that a used disk has to have
    zeroed first: tables and directories, and the zero parts of preallocated files, but no free clusters.
    """

    volume: Volume
    regions: tuple[Region, ...]
    must_be_zero: tuple[tuple[int, int], ...]
    file_extents: dict[str, tuple[int, int]]

    @property
    def size_bytes(self) -> int:
        return self.volume.size_bytes

    def extent(self, path: str) -> tuple[int, int]:
        """Offset and size of a file, which is always contiguous."""
        try:
            return self.file_extents[path.strip("/").casefold()]
        except KeyError:
            raise FormatError(f"There is no file “{path}” in the FAT image.") from None

    def to_bytes(self) -> bytes:
        """The image as one block of memory: for small images."""
        image = bytearray(self.size_bytes)
        for region in self.regions:
            image[region.offset : region.offset + len(region.data)] = region.data
        return bytes(image)


@dataclass
class _Node:
    """A folder (``children``) or a file on the way to clusters."""

    name: str
    file: FatFile | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    first: int = 0
    clusters: int = 0


def build(
    size_bytes: int,
    files: Iterable[FatFile] = (),
    *,
    directories: Sequence[str] = (),
    sector_bytes: int = 512,
    label: str = "",
    serial: int = 0,
    cluster_sectors: int | None = None,
    hidden_sectors: int = 0,
    fat_type: int | None = None,
    timestamp: int = FAT_EPOCH,
) -> FatImage:
    """A filesystem of ``size_bytes`` with ``files`` in the order given (and empty ``directories``).

    FAT32 from 256 MiB on, else what the size allows; ``fat_type`` insists. ``timestamp`` dates every entry.
    FormatError for bad names, doubles, and what does not fit.
    """
    volume = fat_volume.plan(
        size_bytes,
        sector_bytes=sector_bytes,
        label=label,
        serial=serial,
        cluster_sectors=cluster_sectors,
        hidden_sectors=hidden_sectors,
        fat_type=fat_type,
    )
    root = _Node("")
    for path in directories:
        _insert(root, path, None)
    contents = [_insert(root, file.path, file) for file in files]
    folders = _folders(root)
    used = _allocate(volume, root, folders, contents)
    if used - 2 > volume.cluster_count:
        raise FormatError(
            f"The files need {(used - 2) * volume.cluster_bytes} bytes, the FAT filesystem has "
            f"{volume.cluster_count * volume.cluster_bytes}.",
            "Make it larger.",
        )
    regions = _boot(volume, used)
    table = _table(volume, [*folders, *contents])
    regions += [
        Region(volume.fat_offset + copy * volume.fat_bytes, table, "fat") for copy in range(volume.fat_count)
    ]
    for folder, parent in _with_parents(root):
        data = _directory(volume, folder, parent, timestamp)
        offset = volume.cluster_offset(folder.first) if folder.first else volume.root_offset
        regions.append(Region(offset, data, "directory"))
    zero = [(0, volume.data_offset)]
    zero += [(volume.cluster_offset(f.first), f.clusters * volume.cluster_bytes) for f in folders if f.first]
    extents: dict[str, tuple[int, int]] = {}
    for file, node in zip(_files_of(contents), contents, strict=True):
        offset = volume.cluster_offset(node.first) if node.first else 0
        extents[file.path.strip("/").casefold()] = (offset, file.length)
        end = node.clusters * volume.cluster_bytes
        if file.data:
            regions.append(Region(offset, file.data, "data"))
        if end > len(file.data):
            zero.append((offset + len(file.data), end - len(file.data)))
    ordered = tuple(sorted((r for r in regions if any(r.data)), key=lambda r: r.offset))
    return FatImage(volume, ordered, tuple(sorted(zero)), extents)


def _files_of(nodes: Iterable[_Node]) -> list[FatFile]:
    return [node.file for node in nodes if node.file is not None]


def _insert(root: _Node, path: str, file: FatFile | None) -> _Node:
    words = [word for word in path.split("/") if word]
    if not words:
        raise FormatError(f"“{path}” is no path of a file.")
    node = root
    for position, word in enumerate(words):
        fat_names.check_name(word)
        last = position == len(words) - 1
        child = node.children.get(word.casefold())
        if child is None:
            child = node.children[word.casefold()] = _Node(word, file if last else None)
        elif child.file is not None or (last and file is not None):
            raise FormatError(f"“{path}” is there twice; FAT does not tell capitals from small letters.")
        node = child
    return node


def _folders(root: _Node) -> list[_Node]:
    found = [root]
    for child in root.children.values():
        if child.file is None:
            found += _folders(child)
    return found


def _with_parents(folder: _Node, parent: _Node | None = None) -> list[tuple[_Node, _Node | None]]:
    found: list[tuple[_Node, _Node | None]] = [(folder, parent)]
    for child in folder.children.values():
        if child.file is None:
            found += _with_parents(child, folder)
    return found


def _allocate(volume: Volume, root: _Node, folders: list[_Node], contents: list[_Node]) -> int:
    """Give clusters to folders, then to files, in order; returns the first cluster that stays free."""
    free = 2
    for folder in folders:
        size = len(_directory(volume, folder, None if folder is root else root, FAT_EPOCH))
        if folder is root and volume.fat_type != 32:
            if size > volume.root_bytes:
                raise FormatError("The root directory of a FAT12 or FAT16 filesystem holds 512 entries.")
            continue
        folder.first, folder.clusters = free, max(1, -(-size // volume.cluster_bytes))
        free += folder.clusters
    for node in contents:
        assert node.file is not None
        if node.file.length > 0xFFFFFFFF:
            raise FormatError(f"“{node.file.path}” is larger than the 4 GiB that FAT can hold.")
        node.clusters = -(-node.file.length // volume.cluster_bytes)
        node.first = free if node.clusters else 0
        free += node.clusters
    return free


def _directory(volume: Volume, folder: _Node, parent: _Node | None, timestamp: int) -> bytes:
    """A folder's bytes. The root (no parent) carries the label, others ``.`` and ``..``."""
    data = bytearray()
    taken: set[bytes] = set()
    if parent is None:
        if volume.label:
            label = volume.label.encode("ascii").ljust(11)
            data += fat_names.short_entry(label, VOLUME_ID, 0, 0, timestamp)
            taken.add(label)
    else:
        up = parent.first if parent.name else 0  # “..” of a folder in the root says 0, on FAT32 too
        data += fat_names.short_entry(b".".ljust(11), DIRECTORY, folder.first, 0, timestamp)
        data += fat_names.short_entry(b"..".ljust(11), DIRECTORY, up, 0, timestamp)
    for child in folder.children.values():
        entries, short = fat_names.build_entries(
            child.name,
            taken=taken,
            attributes=DIRECTORY if child.file is None else ARCHIVE,
            first_cluster=child.first,
            size_bytes=0 if child.file is None else child.file.length,
            timestamp=timestamp,
        )
        taken.add(short)
        data += entries
    return bytes(data)


def _table(volume: Volume, nodes: list[_Node]) -> bytes:
    """The non-zero head of the FAT."""
    end = _END[volume.fat_type]
    entries = [end & ~0xFF | 0xF8, end]
    for node in sorted((n for n in nodes if n.clusters), key=lambda n: n.first):
        assert node.first == len(entries)
        entries += range(node.first + 1, node.first + node.clusters)
        entries.append(end)
    if volume.fat_type != 12:
        return struct.pack(f"<{len(entries)}{'I' if volume.fat_type == 32 else 'H'}", *entries)
    packed = bytearray()
    for low, high in zip(entries[::2], [*entries[1::2], 0], strict=False):
        packed += (low | high << 12).to_bytes(3, "little")
    return bytes(packed[: volume.fat_bytes])


def _boot(volume: Volume, next_free: int) -> list[Region]:
    sector = volume.build()
    regions = [Region(0, sector, "boot")]
    if volume.fat_type == 32:
        info = build_info(volume, volume.cluster_count - (next_free - 2), next_free)
        size = volume.sector_bytes
        regions += [
            Region(volume.info_sector * size, info, "info"),
            Region(volume.backup_sector * size, sector, "boot"),
            Region((volume.backup_sector + volume.info_sector) * size, info, "info"),
        ]
    return regions


def build_info(volume: Volume, free: int, next_free: int) -> bytes:
    """FAT32's FSInfo sector: a hint of how much is free and where."""
    sector = bytearray(volume.sector_bytes)
    sector[0:4], sector[508:512] = b"RRaA", b"\x00\x00\x55\xaa"
    struct.pack_into("<4sII", sector, 484, b"rrAa", free, min(next_free, volume.cluster_count + 1))
    return bytes(sector)
