"""Progress for whoever watches: a bar on standard error for people, one JSON event a line, or nothing."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mediakit.cli.text import line
from mediakit.progress import Event, Observer, ignore

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PHASES = {
    "unpack": "unpacking",
    "compare": "comparing",
    "write": "writing",
    "verify": "reading back",
    "check": "checking",
    "extract": "extracting",
    "data": "ENGINE-DATA",
    "finish": "making it bootable",
}


@contextmanager
def observer(mode: str, *, quiet: bool = False) -> Iterator[Observer]:
    """The observer for ``--progress`` mode auto, json or none; ``quiet`` (``--json``) shows no bar."""
    if mode == "json":
        yield _json_lines()
    elif mode == "none" or quiet or not sys.stderr.isatty():
        yield ignore if quiet else _warnings
    else:
        with _bar() as watch:
            yield watch


def _json_lines() -> Observer:
    lock = threading.Lock()

    def watch(event: Event) -> None:
        with lock:
            print(event.to_json(), flush=True)

    return watch


def _warnings(event: Event) -> None:
    if event.kind == "warning":
        print(f"mediakit: {line(event.target)}: {line(event.message)}", file=sys.stderr)


@contextmanager
def _bar() -> Iterator[Observer]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4, transient=True) as bars:
        yield _Bars(bars)


class _Bars:
    """One bar a target; a phase starts it anew."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.kind == "warning":
                text = f"{line(event.target)}: {line(event.message)}"
                self._bars.console.print(text, markup=False, highlight=False)
            elif event.kind == "phase":
                self._phase(event)
            elif event.kind == "progress" and event.target in self._tasks:
                self._bars.update(
                    self._tasks[event.target], completed=event.done_bytes, total=event.total_bytes
                )

    def _phase(self, event: Event) -> None:
        text = f"{line(event.target)} {PHASES.get(event.phase, event.message or event.phase)}"
        if event.target in self._tasks:
            self._bars.reset(self._tasks[event.target], description=text)
        else:
            self._tasks[event.target] = self._bars.add_task(text, total=None)
