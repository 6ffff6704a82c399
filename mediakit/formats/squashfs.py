"""The superblock of a squashfs 4.0 filesystem (Linux ``fs/squashfs/squashfs_fs.h``). Pure.

It is read to know how many bytes of a slot an image uses and how it is compressed; nothing here unpacks it.
"""

from __future__ import annotations

import struct

from mediakit.errors import FormatError
from mediakit.plain import dataclass

SUPERBLOCK_BYTES = 96
MAGIC = b"hsqs"
_COMPRESSIONS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
_LAYOUT = struct.Struct("<4sIIIIHHHHHHQQQQQQQQ")


@dataclass(frozen=True)
class Squashfs:
    """What the superblock says. ``bytes_used`` is the image's own length, without padding."""

    inode_count: int
    created: int
    block_bytes: int
    compression: str
    bytes_used: int
    root_inode: int


def parse(data: bytes) -> Squashfs:
    """The superblock in the first 96 bytes of ``data``; FormatError if it is not one."""
    if len(data) < SUPERBLOCK_BYTES or data[:4] != MAGIC:
        raise FormatError("There is no squashfs here: its magic bytes are missing.")
    (_, inodes, created, block, _, compression, log2, _, _, major, minor, root, used, *tables) = (
        _LAYOUT.unpack_from(data)
    )
    if (major, minor) != (4, 0):
        raise FormatError(f"This squashfs has version {major}.{minor}; only 4.0 is known.")
    if not 12 <= log2 <= 20 or block != 1 << log2:
        raise FormatError("The squashfs superblock is damaged: its block size makes no sense.")
    if compression not in _COMPRESSIONS:
        raise FormatError(f"The squashfs is compressed in an unknown way ({compression}).")
    if used < SUPERBLOCK_BYTES or any(table >= used for table in tables if table != 2**64 - 1):
        raise FormatError("The squashfs superblock is damaged: its tables lie outside the image.")
    return Squashfs(inodes, created, block, _COMPRESSIONS[compression], used, root)
