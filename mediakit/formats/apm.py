"""The Apple partition map: one entry a block, from block 1 of the medium on. Pure.

Source: *Inside Macintosh: Devices*, “The Driver Descriptor Record” and “The Partition Map”: big-endian; every
entry says how many there are. Images for both kinds of drives count 512 or 2048 bytes; hybrid ISOs keep the
map without the driver descriptor, whose block 0 the MBR needs.
"""

from __future__ import annotations

import struct

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

SIGNATURE = b"PM"
DRIVER_SIGNATURE = b"ER"
BLOCK_SIZES = (512, 2048)
MAX_ENTRIES = 128
ENTRY_BYTES = 136
TYPE_MAP, TYPE_HFS, TYPE_FREE = "Apple_partition_map", "Apple_HFS", "Apple_Free"
_ENTRY = struct.Struct(">2sHIII32s32sIII")


@dataclass(frozen=True)
class ApmPartition:
    """One entry; ``index`` counts from 1, blocks count the map's own ``block_bytes``."""

    index: int
    name: str
    type: str
    start_block: int
    blocks: int
    status: int = 0

    @property
    def is_hfs(self) -> bool:
        return self.type == TYPE_HFS


@dataclass(frozen=True)
class AppleMap:
    """The map; offsets and sizes in bytes are blocks times ``block_bytes``."""

    block_bytes: int
    partitions: tuple[ApmPartition, ...]

    def build(self) -> bytes:
        """The entries from block 1 on, one a block; FormatError for names that do not fit."""
        out = bytearray()
        for partition in self.partitions:
            names = [text.encode("mac-roman", "replace") for text in (partition.name, partition.type)]
            if any(len(name) > 32 for name in names):
                raise FormatError(f"The partition name “{partition.name}” is longer than 32 characters.")
            entry = _ENTRY.pack(
                SIGNATURE,
                0,
                len(self.partitions),
                partition.start_block,
                partition.blocks,
                *names,
                0,
                partition.blocks,
                partition.status,
            )
            out += entry.ljust(self.block_bytes, b"\0")
        return bytes(out)


def read(reader: Reader, size_bytes: int) -> AppleMap | None:
    """The map of a medium; None where there is none; FormatError where an entry of it is missing."""
    for block_bytes in BLOCK_SIZES:
        if size_bytes >= 2 * block_bytes and reader(block_bytes, 2) == SIGNATURE:
            return _read(reader, size_bytes, _true_block_bytes(reader, size_bytes, block_bytes))
    return None


def _true_block_bytes(reader: Reader, size_bytes: int, found_at: int) -> int:
    """Discs may hold a map in blocks of 512 bytes and one of 2048: the driver record says which counts."""
    head = reader(0, 4)
    if head[:2] == DRIVER_SIGNATURE:
        (said,) = struct.unpack_from(">H", head, 2)
        if said in BLOCK_SIZES and size_bytes >= 2 * said and reader(said, 2) == SIGNATURE:
            return int(said)
    return found_at


def _read(reader: Reader, size_bytes: int, block_bytes: int) -> AppleMap:
    found: list[ApmPartition] = []
    count = 1
    while len(found) < count:
        offset = (len(found) + 1) * block_bytes
        raw = reader(offset, ENTRY_BYTES) if offset + ENTRY_BYTES <= size_bytes else b""
        if raw[:2] != SIGNATURE:
            raise FormatError(f"The Apple partition map is damaged: entry {len(found) + 1} is missing.")
        _, _, count, start, blocks, name, kind, _, _, status = _ENTRY.unpack_from(raw)
        if not 1 <= count <= MAX_ENTRIES:
            raise FormatError(f"The Apple partition map is damaged: {count} entries make no sense.")
        found.append(ApmPartition(len(found) + 1, _text(name), _text(kind), start, blocks, status))
    return AppleMap(block_bytes, tuple(found))


def _text(raw: bytes) -> str:
    text = raw.split(b"\0", 1)[0].decode("mac-roman")
    return "".join(c if c.isprintable() else "�" for c in text)
