"""The superblock of ext2, ext3 and ext4 (kernel documentation, ``filesystems/ext4/super.rst``). Pure.

It is read to name a filesystem and to see whether its journal waits for replay; trees are read elsewhere.
"""

from __future__ import annotations

import struct
import uuid

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

OFFSET = 1024
SUPERBLOCK_BYTES = 1024
MAGIC = 0xEF53
_HAS_JOURNAL = 0x4
_NEEDS_RECOVERY = 0x4
_EXT4_INCOMPAT = 0x40 | 0x80 | 0x200  # extents, 64bit, flex_bg
_JOURNAL_DEVICE = 0x8


@dataclass(frozen=True)
class Ext4:
    """``kind`` is libblkid's word; ``needs_recovery``: the journal holds changes that were not replayed."""

    kind: str
    label: str
    uuid: uuid.UUID
    needs_recovery: bool
    is_clean: bool
    block_bytes: int
    size_bytes: int
    free_bytes: int
    last_mounted: str


def parse(superblock: bytes) -> Ext4:
    """The superblock from its 1024 bytes; FormatError if it is not one."""
    if len(superblock) < SUPERBLOCK_BYTES or struct.unpack_from("<H", superblock, 0x38)[0] != MAGIC:
        raise FormatError("There is no ext4 here: its magic bytes are missing.")
    (log_block,) = struct.unpack_from("<I", superblock, 0x18)
    if log_block > 6:
        raise FormatError("The ext4 superblock is damaged: its block size makes no sense.")
    block_bytes = 1024 << log_block
    compat, incompat, _ = struct.unpack_from("<III", superblock, 0x5C)
    (blocks,) = struct.unpack_from("<I", superblock, 0x04)
    (free,) = struct.unpack_from("<I", superblock, 0x0C)
    if incompat & 0x80:
        blocks += struct.unpack_from("<I", superblock, 0x150)[0] << 32
        free += struct.unpack_from("<I", superblock, 0x158)[0] << 32
    (state,) = struct.unpack_from("<H", superblock, 0x3A)
    return Ext4(
        kind=_kind(compat, incompat),
        label=_text(superblock[0x78:0x88]),
        uuid=uuid.UUID(bytes=superblock[0x68:0x78]),
        needs_recovery=bool(incompat & _NEEDS_RECOVERY),
        is_clean=bool(state & 1) and not state & 2,
        block_bytes=block_bytes,
        size_bytes=blocks * block_bytes,
        free_bytes=free * block_bytes,
        last_mounted=_text(superblock[0x88:0xC8]),
    )


def read(reader: Reader) -> Ext4:
    """The superblock of the filesystem that starts at the reader's offset 0."""
    return parse(reader(OFFSET, SUPERBLOCK_BYTES))


def _kind(compat: int, incompat: int) -> str:
    if incompat & _JOURNAL_DEVICE:
        return "jbd"
    if incompat & _EXT4_INCOMPAT:
        return "ext4"
    return "ext3" if compat & _HAS_JOURNAL else "ext2"


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
