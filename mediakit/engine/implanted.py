"""isomd5sum's implanted MD5: what it covers, and the fragment sums that say where damage lies. Reads only.

``implantisomd5`` writes into the application-use field of the primary volume descriptor (ECMA-119 8.4.32: 512
bytes from byte 883), and hashes the image up to some sectors before its end with that field as spaces. Beside
the whole sum it keeps the first signs of what the MD5 was after each fragment (rhinstaller/isomd5sum,
libcheckisomd5.c and utilities.c); they are of the beginning up to there, so they find the first damage.
"""

from __future__ import annotations

import re

from mediakit.engine.hashing import Checkpoint
from mediakit.engine.sources import Source
from mediakit.engine.sweep import Item, Piece
from mediakit.errors import FormatError
from mediakit.units import align_up

WHOLE = "image"
_SECTOR = 2048
_DESCRIPTOR = 16 * _SECTOR
_FIELD_OFFSET, _FIELD_SIZE = 883, 512
_MD5 = re.compile(rb"ISO MD5SUM = ([0-9a-f]{32});")
_SKIP = re.compile(rb"SKIPSECTORS = ([0-9]{1,6});")
_SUMS = re.compile(rb"FRAGMENT SUMS = ([0-9a-f]{60});")
_COUNT = re.compile(rb"FRAGMENT COUNT = ([0-9]{1,2});")
_SUMS_SIGNS = 60
_BUFFER = 32768
"""isomd5sum reads so much at a time; a fragment's sum is of all it had read when it saw that it was over."""


def implanted_md5(source: Source) -> Item | None:
    """The whole image as one item, if isomd5sum left its MD5 in it; FormatError if that is nonsense."""
    if not source.is_image or source.size_bytes < _DESCRIPTOR + _SECTOR:
        return None
    descriptor = source.read_at(_DESCRIPTOR, _SECTOR)
    if descriptor[:6] != b"\x01CD001":
        return None
    field = descriptor[_FIELD_OFFSET : _FIELD_OFFSET + _FIELD_SIZE]
    digest, skip = _MD5.search(field), _SKIP.search(field)
    if digest is None:
        return None
    volume = int.from_bytes(descriptor[80:84], "little") * _SECTOR
    end = volume - (int(skip[1]) if skip else 0) * _SECTOR
    start = _DESCRIPTOR + _FIELD_OFFSET
    if end < start + _FIELD_SIZE:
        raise FormatError("The MD5 that is implanted in the image covers less than its descriptors.")
    pieces = (
        Piece(0, start),
        Piece(start, _FIELD_SIZE, b" "),
        Piece(start + _FIELD_SIZE, end - start - _FIELD_SIZE),
    )
    whole = tuple(piece for piece in pieces if piece.size_bytes)
    return Item(WHOLE, whole, digest[1].decode(), "md5", _checkpoints(field, end))


def _checkpoints(field: bytes, end: int) -> tuple[Checkpoint, ...]:
    """Where fragments end and what the sum was there.

    Older versions round a fragment's end otherwise than newer ones; ends on which they differ are left out,
    and so is what an image too small for whole buffers in a fragment has.
    """
    sums, counted = _SUMS.search(field), _COUNT.search(field)
    count = int(counted[1]) if counted else 0
    if sums is None or not 1 <= count <= _SUMS_SIGNS or end // (count + 1) < _BUFFER:
        return ()
    found, signs = [], min(_SUMS_SIGNS // count, 16)
    for number in range(1, count + 1):
        newer = align_up(number * (end // (count + 1)), _BUFFER)
        older = align_up(-(-number * end // (count + 1)), _BUFFER)
        at = (number - 1) * (_SUMS_SIGNS // count)
        if newer == older and newer < end:
            found.append(Checkpoint(min(newer + _BUFFER, end), sums[1][at : at + signs].decode()))
    return tuple(found)
