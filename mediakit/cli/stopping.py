"""Ctrl-C and SIGTERM as a question the work asks between steps, so that it leaves nothing half done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from mediakit.progress import Cancel


@contextmanager
def stopped_by_signals() -> Iterator[Cancel]:
    """A Cancel that is set by either signal; afterwards they mean again what they meant."""
    cancel = Cancel()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, lambda *_: cancel.set())
    try:
        yield cancel
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
