"""The one progress event. Work calls an observer with events and ignores its answer; people, JSON and
screens are observers. Cancelling is a question the work asks between steps, not an answer of the observer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import field
from typing import Any

from mediakit.errors import CancelledError
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Event:
    """One thing that happened. ``kind``: progress, phase, warning or result (``--progress json``)."""

    kind: str
    target: str = ""
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float = 0.0
    eta_seconds: float | None = None
    message: str = ""
    result: dict[str, Any] | None = None

    def to_json(self) -> str:
        """The event as one line of JSON, without a newline; a result's document is merged into it."""
        document: dict[str, Any] = {"event": self.kind, "target": self.target}
        if self.kind == "result":
            return json.dumps(document | (self.result or {}))
        document["phase"] = self.phase
        if self.kind == "progress":
            document |= {
                "done_bytes": self.done_bytes,
                "total_bytes": self.total_bytes,
                "bytes_per_second": round(self.bytes_per_second),
                "eta_seconds": None if self.eta_seconds is None else round(self.eta_seconds, 1),
            }
        if self.message:
            document["message"] = self.message
        return json.dumps(document)


Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer that looks away."""


@dataclass
class Cancel:
    """A flag that another thread or a signal handler sets and the work looks at between steps."""

    is_set: bool = field(default=False)

    def set(self) -> None:
        self.is_set = True

    def check(self) -> None:
        """Raise CancelledError if somebody asked to stop."""
        if self.is_set:
            raise CancelledError


class Meter:
    """Progress of one phase over a known number of bytes, told ten times a second at most. For one thread."""

    def __init__(self, observer: Observer, target: str, phase: str, total_bytes: int) -> None:
        self._observer, self._target, self._phase = observer, target, phase
        self._total, self._done = total_bytes, 0
        self._started = self._last = time.monotonic()
        observer(Event("phase", target, phase, total_bytes=total_bytes))

    def add(self, size_bytes: int) -> None:
        """So many bytes more are done."""
        self._done = min(self._total, self._done + size_bytes)
        now = time.monotonic()
        if now - self._last < 0.1 and self._done < self._total:
            return
        self._last = now
        speed = self._done / max(now - self._started, 1e-6)
        rest = (self._total - self._done) / speed if speed else None
        self._observer(Event("progress", self._target, self._phase, self._done, self._total, speed, rest))
