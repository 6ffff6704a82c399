"""The contents of one file of an image, piece by piece: extents joined, holes filled, zisofs uncompressed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from mediakit.errors import FormatError, UsageError
from mediakit.formats import zisofs
from mediakit.formats.reader import Reader
from mediakit.iso.nodes import Extent, Node

PIECE_BYTES = 1 << 20


def stream(
    reader: Reader, image_bytes: int, path: str, node: Node, start: int = 0, size: int | None = None
) -> Iterator[bytes]:
    """``size`` bytes from ``start`` on (all that follow by default) in pieces of at most 1 MiB.

    FormatError where bytes that are asked for lie outside the image or are damaged; it names the file.
    """
    if start < 0 or (size is not None and size < 0):
        raise UsageError(f"{path} cannot be read from byte {start} on, {size} bytes.")
    if node.unreadable:
        raise FormatError(f"{path} cannot be read. {node.unreadable}")
    end = node.size_bytes if size is None else min(start + size, node.size_bytes)
    if start >= end:
        return iter(())
    if node.is_zisofs:
        return _uncompressed(joined_reader(reader, image_bytes, path, node.extents), path, node, start, end)
    return _plain(joined_reader(reader, image_bytes, path, node.extents), start, end)


def joined_reader(reader: Reader, image_bytes: int, path: str, extents: tuple[Extent, ...]) -> Reader:
    """A reader over the bytes that ``extents`` hold one behind the other; FormatError for those outside."""
    ends = list(accumulate(extent.size_bytes for extent in extents))

    def read(offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        number = bisect_right(ends, offset)
        while size:
            if number >= len(extents):
                raise FormatError(f"{path} is damaged: its end is missing.")
            extent = extents[number]
            skipped = offset - (ends[number] - extent.size_bytes)
            length = min(size, extent.size_bytes - skipped)
            if extent.is_hole:
                parts.append(bytes(length))
            elif extent.offset_bytes + skipped + length > image_bytes:
                raise FormatError(
                    f"{path} lies outside the image.", "It is truncated: copy or download it again."
                )
            else:
                parts.append(reader(extent.offset_bytes + skipped, length))
            offset += length
            size -= length
            number += 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return read


def _plain(read: Reader, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, PIECE_BYTES):
        yield read(at, min(PIECE_BYTES, end - at))


def _uncompressed(read: Reader, path: str, node: Node, start: int, end: int) -> Iterator[bytes]:
    try:
        header = zisofs.parse_header(read(0, min(24, node.stored_bytes)))
        if header.size_bytes != node.size_bytes:
            raise FormatError("Its directory entry and its header give different lengths.")
        first = start // header.block_bytes
        at = first * header.block_bytes
        for block in zisofs.blocks(read, node.stored_bytes, header, first):
            piece = block[max(0, start - at) : end - at]
            at += len(block)
            if piece:
                yield piece
            if at >= end:
                return
    except FormatError as error:
        raise FormatError(f"{path} cannot be read. {error.message}", error.hint) from error
