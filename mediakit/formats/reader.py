"""How formats see bytes: a ``Reader`` gives exactly the bytes asked for, or says that they are not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from mediakit.errors import DeviceError, FormatError

_CACHE_BLOCK = 64 << 10
Reader = Callable[[int, int], bytes]
"""``reader(offset_bytes, size_bytes)`` → exactly ``size_bytes`` bytes; FormatError past the end."""


def bytes_reader(data: bytes | bytearray | memoryview) -> Reader:
    """A reader over bytes in memory."""

    def read(offset: int, size: int) -> bytes:
        _check(offset, size, len(data))
        return bytes(data[offset : offset + size])

    return read


def file_reader(descriptor: int, size_bytes: int) -> Reader:
    """A reader over an open file of ``size_bytes``; DeviceError when the medium fails."""

    def read(offset: int, size: int) -> bytes:
        _check(offset, size, size_bytes)
        parts: list[bytes] = []
        while size:
            try:
                part = os.pread(descriptor, size, offset)
            except OSError as error:
                raise DeviceError(
                    f"Reading at byte {offset} failed: {error.strerror}.", "The medium may be dying."
                ) from error
            if not part:
                raise FormatError(
                    f"The data ends at byte {offset}.", "It is truncated: copy or download it again."
                )
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return b"".join(parts)

    return read


def cached_reader(reader: Reader, size_bytes: int, limit_blocks: int = 512) -> Reader:
    """A reader that fetches blocks of 64 KiB and keeps the last ``limit_blocks`` of them (32 MiB).

    For looking around on a medium where each access takes its time and that nobody changes meanwhile. Pieces
    that are larger than a block are read as they are. Like every reader it reads no byte past ``size_bytes``.
    """
    blocks: dict[int, bytes] = {}

    def block(number: int) -> bytes:
        data = blocks.pop(number, None)
        if data is None:
            start = number * _CACHE_BLOCK
            data = reader(start, min(_CACHE_BLOCK, size_bytes - start))
            if len(blocks) >= limit_blocks:
                del blocks[next(iter(blocks))]
        blocks[number] = data  # the last one used lies last
        return data

    def read(offset: int, size: int) -> bytes:
        _check(offset, size, size_bytes)
        if size > _CACHE_BLOCK or not size:
            return reader(offset, size)
        first, start = divmod(offset, _CACHE_BLOCK)
        end = start + size
        try:
            if end <= _CACHE_BLOCK:
                return block(first)[start:end]
            return block(first)[start:] + block(first + 1)[: end - _CACHE_BLOCK]
        except DeviceError:
            return reader(offset, size)  # a bad sector near it is none in it

    return read


def sub_reader(reader: Reader, start: int, size_bytes: int) -> Reader:
    """A reader over ``size_bytes`` of another one, from ``start`` (a partition of a disk)."""

    def read(offset: int, size: int) -> bytes:
        _check(offset, size, size_bytes)
        return reader(start + offset, size)

    return read


def patched_reader(reader: Reader, patches: Sequence[tuple[int, bytes]]) -> Reader:
    """A reader that sees each of ``patches`` (offset, bytes) in place of what lies there, later ones on top.

    The sequence is looked at with every read: what is added to it meanwhile is seen.
    """

    def read(offset: int, size: int) -> bytes:
        data = bytearray(reader(offset, size))
        for at, new in patches:
            start, end = max(at, offset), min(at + len(new), offset + size)
            if start < end:
                data[start - offset : end - offset] = new[start - at : end - at]
        return bytes(data)

    return read


def _check(offset: int, size: int, limit: int) -> None:
    if offset < 0 or size < 0 or offset + size > limit:
        raise FormatError(f"Bytes {offset} to {offset + size} lie outside the {limit} bytes that are there.")
