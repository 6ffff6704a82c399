"""How far one stick is: finished bytes become a few progress events a second, with speed and ETA."""

from __future__ import annotations

import time

from mediakit.progress import Event, Observer

_EVERY_SECONDS = 0.25


class Meter:
    """Reports one phase of one target; not for several threads."""

    def __init__(self, observer: Observer, target: str, phase: str, total_bytes: int) -> None:
        self._observer = observer
        self._target = target
        self._phase = phase
        self._total = total_bytes
        self._done = 0
        self._start = self._last = time.monotonic()
        observer(Event("phase", target, phase))

    def add(self, size_bytes: int) -> None:
        """``size_bytes`` more are done."""
        self._done = min(self._total, self._done + size_bytes)
        now = time.monotonic()
        if now - self._last >= _EVERY_SECONDS or self._done == self._total:
            self._last = now
            speed = self._done / max(now - self._start, 0.001)
            left = (self._total - self._done) / speed if speed else None
            self._observer(Event("progress", self._target, self._phase, self._done, self._total, speed, left))
