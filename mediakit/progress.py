"""The one progress event. Work calls an observer with events and ignores its answer; people, JSON and
screens are observers. Cancelling is a question the work asks between steps, not an answer of the observer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mediakit.errors import CancelledError


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
