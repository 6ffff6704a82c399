"""zisofs: files that are stored compressed, block by block, and read as if they were not. Pure, bounded.

Sources: *Description of the zisofs Format* (mkzftree, Linux ``fs/isofs/compress.c``) and libisofs'
*Description of the zisofs2 Format*: a header, pointers to where each block starts (and one to the end),
blocks. A block without bytes is zeros. Only the Rock Ridge entry ``ZF`` says that a file is to be read so.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

MAGIC_1 = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07"
MAGIC_2 = b"\xef\x22\x55\xa1\xbc\x1b\x95\xa0"
_ZLIB = 1
_POINTERS_AT_ONCE = 4096
_DAMAGED = "The image is damaged: copy or download it again."


@dataclass(frozen=True)
class Header:
    """The head of a compressed file; a block holds ``block_bytes``, the last one what is left."""

    version: int
    size_bytes: int
    header_bytes: int
    block_bytes: int
    pointer_bytes: int

    @property
    def block_count(self) -> int:
        return -(-self.size_bytes // self.block_bytes)


def uncompressed_bytes(body: bytes) -> int | None:
    """The size that a ``ZF`` entry's body gives; None for an algorithm that is not known."""
    if len(body) >= 12 and body[:2] == b"pz":
        return int(struct.unpack_from("<I", body, 4)[0])  # both byte orders, 32 bits
    if len(body) >= 12 and body[:2] == b"PZ":
        return int(struct.unpack_from("<Q", body, 4)[0])  # little-endian, 64 bits
    return None


def parse_header(data: bytes) -> Header:
    """The header in the first 24 bytes of a compressed file; FormatError if it is none that can be read."""
    if len(data) >= 16 and data[:8] == MAGIC_1:
        (size,) = struct.unpack_from("<I", data, 8)
        return _checked(Header(1, size, data[12] * 4, 1 << min(data[13], 63), 4), 16)
    if len(data) >= 24 and data[:8] == MAGIC_2:
        version, header, algorithm, bits = data[8:12]
        if version or algorithm != _ZLIB:
            raise FormatError("The file is compressed in a way that is not known (zisofs2).")
        (size,) = struct.unpack_from("<Q", data, 12)
        return _checked(Header(2, size, header * 4, 1 << min(bits, 63), 8), 24)
    raise FormatError("The file is said to be compressed (zisofs), but is not.", _DAMAGED)


def blocks(reader: Reader, stored_bytes: int, header: Header, first: int = 0) -> Iterator[bytes]:
    """The blocks from number ``first`` on, uncompressed; ``reader`` reads the ``stored_bytes`` of the file.

    FormatError for pointers or blocks that are damaged; memory for one block at a time.
    """
    count = header.block_count
    table_end = header.header_bytes + (count + 1) * header.pointer_bytes
    if table_end > stored_bytes:
        raise FormatError("A compressed file (zisofs) is cut off.", _DAMAGED)
    for batch in range(first, count, _POINTERS_AT_ONCE):
        pointers = _pointers(reader, header, batch, min(_POINTERS_AT_ONCE, count - batch))
        for number, (start, end) in enumerate(itertools.pairwise(pointers), batch):
            size = min(header.block_bytes, header.size_bytes - number * header.block_bytes)
            if start == end:
                yield bytes(size)
                continue
            # zlib never grows a block by more than a few bytes: a longer one is no block
            if not table_end <= start < end <= stored_bytes or end - start > 2 * header.block_bytes:
                raise FormatError("A compressed file (zisofs) is damaged.", _DAMAGED)
            yield _inflate(reader(start, end - start), size)


def _pointers(reader: Reader, header: Header, first: int, count: int) -> tuple[int, ...]:
    width = header.pointer_bytes
    raw = reader(header.header_bytes + first * width, (count + 1) * width)
    return struct.unpack(f"<{count + 1}{'I' if width == 4 else 'Q'}", raw)


def _inflate(data: bytes, size: int) -> bytes:
    try:
        block = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise FormatError("A compressed file (zisofs) is damaged.", _DAMAGED) from error
    if len(block) != size:
        raise FormatError("A compressed file (zisofs) is damaged.", _DAMAGED)
    return block


def _checked(header: Header, least: int) -> Header:
    if header.header_bytes < least or not 1 << 12 <= header.block_bytes <= 1 << 20:
        raise FormatError("The header of a compressed file (zisofs) is damaged.", _DAMAGED)
    return header
