"""An end to work that would go on for minutes or for ever, by CPU time: a busy machine takes none of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(BaseException):
    """CPU time is up; no Exception, so that nothing swallows it."""


@contextmanager
def cpu_seconds(limit: float) -> Iterator[None]:
    """TooSlow where the block takes more CPU time (user and system) than ``limit``, in the main thread.

    Not the clock on the wall: on a machine with other work a process may get a hundredth of a processor, and
    is no slower for it.
    """
    old = signal.signal(signal.SIGPROF, _time_is_up)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, old)


def _time_is_up(number: int, frame: FrameType | None) -> None:
    raise TooSlow
