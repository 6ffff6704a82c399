"""isomd5sum's implanted MD5, made anew for an image that is changed on purpose. Pure but for what it reads.

Fedora's and Red Hat's media check themselves when they boot, by their menu's default entry, and stop where
the sum is wrong or missing. Source: rhinstaller/isomd5sum ``libimplantisomd5.c`` and ``utilities.c``: the
image is hashed in pieces of 32 KiB up to some sectors before its end, the field itself as spaces; where a
piece begins in another 21st part than the one before, the first digits of the sum so far are a fragment's.
Only a sum that was right before is made anew: damage does not become right by being changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

from mediakit.formats.reader import Reader
from mediakit.plain import dataclass
from mediakit.progress import Cancel
from mediakit.units import MIB

_SECTOR = 2048
_DESCRIPTOR = 16 * _SECTOR
FIELD_OFFSET, FIELD_BYTES = _DESCRIPTOR + 883, 512
_BUFFER = 32768
_FRAGMENTS, _SIGNS = 20, 3
_MD5 = re.compile(rb"ISO MD5SUM = ([0-9a-f]{32});")
_SKIP = re.compile(rb"SKIPSECTORS = ([0-9]{1,6});")
_SUMS = re.compile(rb"FRAGMENT SUMS = [0-9a-f]{0,60};")
_BLANK = b" " * FIELD_BYTES
MARK = b"ISO MD5SUM"
RENEWED = "The checksum implanted in the image (isomd5sum) is made anew."
WRONG = (
    "The image is not what its implanted checksum (isomd5sum) says: it was damaged before, and the checksum "
    "is removed."
)


@dataclass(frozen=True)
class Implant:
    """What an image says of its own sum: ``field`` as it lies there, hashed are the bytes before ``end``."""

    field: bytes
    digest: str
    end: int

    def for_volume(self, volume_bytes: int) -> Implant:
        """The same for an image of another length."""
        return replace(self, end=volume_bytes - _skipped(self.field))


def read(reader: Reader, size_bytes: int) -> Implant | None:
    """The implant of an image; None where it has none, or one that cannot be right."""
    if size_bytes < _DESCRIPTOR + _SECTOR:
        return None
    descriptor = reader(_DESCRIPTOR, _SECTOR)
    field = descriptor[883 : 883 + FIELD_BYTES]
    found = _MD5.search(field)
    if descriptor[:6] != b"\x01CD001" or found is None:
        return None
    end = volume_bytes(reader) - _skipped(field)
    if not FIELD_OFFSET + FIELD_BYTES <= end <= size_bytes:
        return None
    return Implant(field, found[1].decode(), end)


def volume_bytes(reader: Reader) -> int:
    """The size that the primary descriptor gives (ECMA-119 §8.4.8)."""
    return int.from_bytes(reader(_DESCRIPTOR + 80, 4), "little") * _SECTOR


class Sum:
    """The sum of one image whose bytes pass in order."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._hash = hashlib.md5(usedforsecurity=False)
        self._at = 0
        self._stops = _fragment_ends(end)
        self._fragments = b""

    def update(self, offset: int, data: bytes) -> None:
        """The bytes at ``offset``, where the last ones ended; what lies behind the sum's end is left out."""
        assert offset == self._at, "the image must pass in order"
        self._at += len(data)
        low, high = max(FIELD_OFFSET, offset), min(FIELD_OFFSET + FIELD_BYTES, offset + len(data))
        if low < high:
            data = data[: low - offset] + _BLANK[: high - low] + data[high - offset :]
        view = memoryview(data)[: max(0, self._end - offset)]
        while self._stops and self._stops[0] <= offset + len(view):
            size = self._stops.pop(0) - offset
            self._hash.update(view[:size])
            view, offset = view[size:], offset + size
            digits = (f"{byte:x}"[0] for byte in self._hash.digest()[:_SIGNS])
            self._fragments += "".join(digits).encode()
        self._hash.update(view)

    def digest(self) -> str:
        return self._hash.hexdigest()

    def field(self, old: Implant) -> bytes:
        """The field that says this sum, with everything else as in ``old``."""
        field = _MD5.sub(f"ISO MD5SUM = {self.digest()};".encode(), old.field, count=1)
        field = _SUMS.sub(b"FRAGMENT SUMS = " + self._fragments + b";", field, count=1)
        return field.rstrip(b" ")[:FIELD_BYTES].ljust(FIELD_BYTES, b" ")


def renew(
    old: Implant,
    before: Reader,
    after: Reader,
    after_volume_bytes: int,
    advance: Callable[[int], None] = lambda size: None,
    cancel: Cancel | None = None,
) -> bytes | None:
    """The field for ``after``, a changed image; None where ``before`` is not what its own sum says."""
    stop = cancel or Cancel()
    was, new = Sum(old.end), Sum(old.for_volume(after_volume_bytes).end)
    for total, reader, end in ((was, before, old.end), (new, after, new._end)):
        for offset in range(0, end, MIB):
            stop.check()
            size = min(MIB, end - offset)
            total.update(offset, reader(offset, size))
            advance(size)
        if total is was and was.digest() != old.digest:
            return None
    return new.field(old)


def _skipped(field: bytes) -> int:
    skip = _SKIP.search(field)
    return int(skip[1]) * _SECTOR if skip else 0


def _fragment_ends(end: int) -> list[int]:
    """Where the sum so far is a fragment's, each place once."""
    starts = (-(-part * end // (_FRAGMENTS + 1)) for part in range(1, _FRAGMENTS + 1))
    ends = (-(-start // _BUFFER) * _BUFFER + _BUFFER for start in starts)
    return sorted({min(place, end) for place in ends if place - _BUFFER < end})
