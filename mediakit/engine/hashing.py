"""Running digests, each fed in order, several of them on several threads. Never reads anything itself.

hashlib gives the interpreter's lock back while it works, so threads use more than one core. What waits to be
hashed is bounded: whoever feeds is held up when the hashing falls behind.
"""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType

from mediakit.plain import dataclass

Data = bytes | memoryview
MAX_WAITING = 64
"""Pieces (of at most 1 MiB) that may wait, over all digests."""

SMALL_BYTES = 32 << 10
"""What is smaller is hashed before a thread would have heard of it."""


@dataclass(frozen=True)
class Checkpoint:
    """What the digest of the first ``done_bytes`` begins with, one sign a byte (isomd5sum's fragments)."""

    done_bytes: int
    signs: str


class Hashers(AbstractContextManager["Hashers"]):
    """The threads behind some digests; ``jobs`` 1 hashes where it is fed."""

    def __init__(self, jobs: int = 0) -> None:
        """``jobs`` 0: as many as there are processors, four at most."""
        self.jobs = jobs or min(4, os.cpu_count() or 1)
        self.room = threading.Semaphore(MAX_WAITING)
        self._pool = ThreadPoolExecutor(self.jobs, "hash") if self.jobs > 1 else None

    def digest(self, algorithm: str, checkpoints: tuple[Checkpoint, ...] = ()) -> RunningDigest:
        """A new digest that these threads work for."""
        return RunningDigest(algorithm, checkpoints, self, self._pool)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=error is not None)


class RunningDigest:
    """One digest. ``hexdigest`` may be asked when its Hashers has been left.

    As far as the checkpoints know, the first difference lies behind ``good_bytes`` and, if one of them did
    not match, before ``wrong_bytes``.
    """

    __slots__ = (
        "_checkpoints", "_done_bytes", "_hash", "_hashers", "_is_busy", "_lock", "_pool", "_waiting",
        "good_bytes", "wrong_bytes",
    )  # fmt: skip

    def __init__(
        self,
        algorithm: str,
        checkpoints: tuple[Checkpoint, ...],
        hashers: Hashers,
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._checkpoints = checkpoints
        self._done_bytes = 0
        self.good_bytes = 0
        self.wrong_bytes: int | None = None
        self._hashers, self._pool = hashers, pool
        self._waiting: list[Data] = []
        self._lock = threading.Lock()
        self._is_busy = False

    def update(self, data: Data) -> None:
        """Take ``data`` in, now or soon; it must not change any more."""
        if self._pool is None or (len(data) < SMALL_BYTES and not self._is_busy):
            self._take(data)  # nobody else is at it: only a call of this makes the digest busy
            return
        self._hashers.room.acquire()
        with self._lock:
            self._waiting.append(data)
            if self._is_busy:
                return
            self._is_busy = True
        self._pool.submit(self._drain)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_busy = False
                    return
                data = self._waiting.pop(0)
            try:
                self._take(data)
            finally:
                self._hashers.room.release()

    def _take(self, data: Data) -> None:
        while self._checkpoints and self._done_bytes + len(data) >= self._checkpoints[0].done_bytes:
            step = self._checkpoints[0].done_bytes - self._done_bytes
            self._hash.update(data[:step])
            data = data[step:]
            self._check(self._checkpoints[0])
        self._hash.update(data)
        self._done_bytes += len(data)

    def _check(self, checkpoint: Checkpoint) -> None:
        self._done_bytes = checkpoint.done_bytes
        begin = "".join(f"{byte:x}"[0] for byte in self._hash.digest()[: len(checkpoint.signs)])
        if begin == checkpoint.signs:
            self.good_bytes = checkpoint.done_bytes
            self._checkpoints = self._checkpoints[1:]
        else:
            self.wrong_bytes = checkpoint.done_bytes
            self._checkpoints = ()
