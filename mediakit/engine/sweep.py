"""Many hashes over one image in one pass: each byte is read once, in order, for every hash.

``Item`` says which bytes make one file or area; ``sweep`` reads them and says which do not match. Reads only.
Reading goes on while threads hash (``engine.hashing``).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import field
from functools import cached_property

from mediakit.engine.hashing import Checkpoint, Hashers, RunningDigest
from mediakit.errors import DeviceError, FormatError
from mediakit.plain import dataclass
from mediakit.progress import Cancel
from mediakit.units import KIB, MIB

READ_BYTES = MIB
RETRY_BYTES = 64 * KIB
CONTENT_DIFFERS = "its content differs"
Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Piece:
    """Bytes of the image, or with ``fill`` that many equal bytes in their place."""

    offset_bytes: int
    size_bytes: int
    fill: bytes = b""


@dataclass(frozen=True)
class Item:
    """What is hashed as one: ``pieces`` in ascending order, and the digest that they must have."""

    path: str
    pieces: tuple[Piece, ...]
    digest: str
    algorithm: str = "sha256"
    checkpoints: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True)
class Damage:
    """What is wrong with one file or area, and where in the image (in the file, for a folder)."""

    path: str
    offset_bytes: int
    size_bytes: int
    cause: str


@dataclass
class _Running:
    """An item on its way."""

    item: Item
    hashers: Hashers
    left: deque[Piece] = field(default_factory=deque)
    failed: list[Damage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = deque(self.item.pieces)
        self._skip_filled()

    @cached_property
    def digest(self) -> RunningDigest:
        """Made when the first bytes come: thousands of items wait."""
        return self.hashers.digest(self.item.algorithm, self.item.checkpoints)

    def feed(self, offset: int, data: memoryview | bytes) -> None:
        """Take what is ours of ``data``, which lies at ``offset``."""
        end = offset + len(data)
        while self.left and self.left[0].offset_bytes < end:
            piece = self.left.popleft()
            stop = min(piece.offset_bytes + piece.size_bytes, end)
            self.digest.update(data[piece.offset_bytes - offset : stop - offset])
            rest = piece.offset_bytes + piece.size_bytes - stop
            if rest:
                self.left.appendleft(Piece(stop, rest))
            self._skip_filled()

    def lose(self, offset: int, size: int, cause: str) -> None:
        """The bytes from ``offset`` could not be had."""
        end = offset + size
        while self.left and self.left[0].offset_bytes < end:
            piece = self.left.popleft()
            start, stop = piece.offset_bytes, min(piece.offset_bytes + piece.size_bytes, end)
            if self.failed and self.failed[-1].offset_bytes + self.failed[-1].size_bytes == start:
                last = self.failed.pop()
                self.failed.append(Damage(last.path, last.offset_bytes, stop - last.offset_bytes, last.cause))
            else:
                self.failed.append(Damage(self.item.path, start, stop - start, cause))
            if piece.offset_bytes + piece.size_bytes > stop:
                self.left.appendleft(Piece(stop, piece.offset_bytes + piece.size_bytes - stop))
            self._skip_filled()

    def result(self) -> list[Damage]:
        """What is wrong with it, when everything has been hashed."""
        if self.failed or self.digest.hexdigest() == self.item.digest:
            return self.failed
        first, last = self.item.pieces[0], self.item.pieces[-1]
        start, end = first.offset_bytes, last.offset_bytes + last.size_bytes
        if self.digest.wrong_bytes is not None:
            end = start + self.digest.wrong_bytes
        start += self.digest.good_bytes
        return [Damage(self.item.path, start, end - start, CONTENT_DIFFERS)]

    def _skip_filled(self) -> None:
        while self.left and self.left[0].fill:
            piece = self.left.popleft()
            for start in range(0, piece.size_bytes, READ_BYTES):
                self.digest.update(piece.fill * min(READ_BYTES, piece.size_bytes - start))


def sweep(
    items: Iterable[Item], read: Read, advance: Callable[[int], None], cancel: Cancel, jobs: int = 0
) -> list[Damage]:
    """Hash all items in one pass over ``read(offset, size)``; ``advance`` hears of bytes that are read.

    ``jobs`` threads hash meanwhile; 0 for as many as are good here. An item's checkpoints narrow its damage
    down; they count bytes from its first one, so its pieces must be without gaps.
    """
    with Hashers(jobs) as hashers:
        running = sorted((_Running(item, hashers) for item in items), key=_start)
        _pass(running, read, advance, cancel)
    damaged = [damage for one in running for damage in one.result()]
    return sorted(damaged, key=lambda d: (d.offset_bytes, d.path))


def _pass(running: list[_Running], read: Read, advance: Callable[[int], None], cancel: Cancel) -> None:
    waiting, active = deque(running), list[_Running]()
    position = 0
    while waiting or active:
        position = max(position, min(_start(one) for one in (*active, *itertools.islice(waiting, 1))))
        size = _block(position, active, waiting)
        while waiting and _start(waiting[0]) < position + max(size, 1):
            active.append(waiting.popleft())
        cancel.check()
        if size:
            _read_block(active, read, position, size)
        position += size
        advance(size)
        active = [one for one in active if one.left]


def total_bytes(items: Iterable[Item]) -> int:
    """How many bytes ``sweep`` will read: overlapping pieces count once."""
    spans = sorted(
        (p.offset_bytes, p.offset_bytes + p.size_bytes) for item in items for p in item.pieces if not p.fill
    )
    total = end = 0
    for start, stop in spans:
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total


def is_ascending(spans: Iterable[tuple[int, int]]) -> bool:
    """Whether spans can be hashed in one pass."""
    end = 0
    for offset, size in spans:
        if offset < end:
            return False
        end = offset + size
    return True


def _start(one: _Running) -> int:
    return one.left[0].offset_bytes if one.left else 0


def _block(position: int, active: list[_Running], waiting: deque[_Running]) -> int:
    """How many bytes to read at ``position``: as far as somebody wants them without a gap, 1 MiB at most."""
    end = position
    limit = position + READ_BYTES
    for one in itertools.chain(active, waiting):
        if one.left and _start(one) > end:
            if one in active:
                continue
            break
        for piece in one.left:
            if piece.fill or piece.offset_bytes > end:
                break
            end = max(end, piece.offset_bytes + piece.size_bytes)
        if end >= limit:
            return READ_BYTES
    return min(end, limit) - position


def _read_block(active: list[_Running], read: Read, position: int, size: int) -> None:
    try:
        data = memoryview(read(position, size))
    except (DeviceError, FormatError) as error:
        if size > RETRY_BYTES:
            for start in range(position, position + size, RETRY_BYTES):
                _read_block(active, read, start, min(RETRY_BYTES, position + size - start))
            return
        cause = "it cannot be read" if isinstance(error, DeviceError) else "the image ends before it does"
        for one in active:
            one.lose(position, size, cause)
        return
    for one in active:
        one.feed(position, data)
