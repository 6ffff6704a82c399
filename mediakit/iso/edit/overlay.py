"""Reading an image as it will be: what is there, with a plan's regions laid over it. Never writes."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable

from mediakit.errors import DeviceError, FormatError
from mediakit.formats.reader import Reader
from mediakit.iso.edit.model import EditPlan, Region, Source
from mediakit.iso.image import Image


def read_source(source: Source, at: int, size: int) -> bytes:
    """``size`` bytes from byte ``at`` of a region's source; DeviceError when a file became shorter."""
    if isinstance(source, bytes):
        return source[at : at + size]
    path, start = source
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, size, start + at)
            while len(data) < size:
                more = os.pread(descriptor, size - len(data), start + at + len(data))
                if not more:
                    raise DeviceError(f"{path} became shorter while it was read.", "Try again.")
                data += more
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return data


def overlay_reader(reader: Reader, size_bytes: int, regions: Iterable[Region], new_size_bytes: int) -> Reader:
    """A reader over ``new_size_bytes``: later regions win over earlier ones, all of them over ``reader``.

    Behind the old end, where no region lies, there are zeros.
    """
    pieces = _flatten(regions)
    starts = [piece[0] for piece in pieces]

    def read(offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > new_size_bytes:
            raise FormatError(
                f"Bytes {offset} to {offset + size} lie outside the {new_size_bytes} bytes that are there."
            )
        inside = max(0, min(offset + size, size_bytes) - offset)
        first = max(0, bisect_right(starts, offset) - 1)
        if first < len(pieces) and pieces[first][0] <= offset and offset + size <= pieces[first][1]:
            start, _, source, at = pieces[first]
            return read_source(source, at + offset - start, size)
        data = bytearray(reader(offset, inside) if inside else b"")
        data += bytes(size - len(data))
        for start, end, source, at in pieces[first:]:
            if start >= offset + size:
                break
            low, high = max(start, offset), min(end, offset + size)
            if low < high:
                data[low - offset : high - offset] = read_source(source, at + low - start, high - low)
        return bytes(data)

    return read


def planned_image(image: Image, plan: EditPlan) -> Image:
    """The image as it will be when ``plan`` is done."""
    size = plan.new_size_bytes
    return Image(image.path, overlay_reader(image.reader, plan.old_size_bytes, plan.regions, size), size)


Piece = tuple[int, int, Source, int]


def _flatten(regions: Iterable[Region]) -> list[Piece]:
    """Pieces (start, end, source, offset in it) that do not overlap, sorted."""
    pieces: list[Piece] = []
    for region in regions:
        start, end = region.offset_bytes, region.offset_bytes + region.size_bytes
        at = bisect_right(pieces, start, key=lambda piece: piece[1])
        kept: list[Piece] = []
        stop = at
        while stop < len(pieces) and pieces[stop][0] < end:
            low, high, source, skip = pieces[stop]
            if low < start:
                kept.append((low, start, source, skip))
            if high > end:
                kept.append((end, high, source, skip + end - low))
            stop += 1
        before = [piece for piece in kept if piece[1] <= start]
        after = [piece for piece in kept if piece[0] >= end]
        pieces[at:stop] = [*before, (start, end, region.source, 0), *after]
    return pieces
