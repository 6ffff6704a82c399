"""Owns time limits: a deadline is an object that is handed down, not a number that starts again in each call.

One factor scales all of them: ``MEDIAKIT_DEADLINE_FACTOR`` (a slow or loaded machine sets 3), times what the
machine's accelerator asks for.
"""

from __future__ import annotations

import os
import time

from mediakit.errors import MediakitError, UsageError

ENVIRONMENT = "MEDIAKIT_DEADLINE_FACTOR"


class DeadlineError(MediakitError):
    """What was waited for did not happen in time."""


def factor() -> float:
    """The factor that the environment asks for, 1 without one."""
    text = os.environ.get(ENVIRONMENT, "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise UsageError(f"{ENVIRONMENT} is “{text}”, not a positive number.", f"Write {ENVIRONMENT}=3.")
    return value


class Deadline:
    """A point in time, ``seconds`` (scaled) after it was made."""

    def __init__(self, seconds: float, *, scale: float | None = None) -> None:
        self.seconds = seconds * (factor() if scale is None else scale)
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    @property
    def remaining(self) -> float:
        """Seconds left, never negative: what ``select`` and ``Condition.wait`` take."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def is_over(self) -> bool:
        return self.remaining == 0.0

    def check(self, what: str, seen: str = "") -> None:
        """Raise DeadlineError, saying what was waited for and what was ``seen`` instead, when time is up."""
        if self.is_over:
            raise self.error(what, seen)

    def error(self, what: str, seen: str = "") -> DeadlineError:
        """The error for ``what`` that did not come."""
        hint = f"Last seen:\n{seen}" if seen else f"On a slow machine set {ENVIRONMENT}=3."
        return DeadlineError(f"Waited {self.elapsed:.0f} s for {what}, which did not come.", hint)
