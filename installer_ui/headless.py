"""The same flow unattended: shows machine and plan, counts down, works, reports; lines, no screens.

A key during the countdown stops it, and the screens come instead.
"""

from __future__ import annotations

import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from installer_ui import words
from installer_ui.charge import SIGNAL
from installer_ui.glyphs import console_safe
from installer_ui.i18n import Catalogue, load
from installer_ui.port import Installation
from installer_ui.result import TITLES, exit_status
from mediakit.engine.answers import Answers
from mediakit.errors import CancelledError, MediakitError, RefusedError, UsageError
from mediakit.install import trust
from mediakit.install.answering import choices, settings_of
from mediakit.install.execute import Result
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan
from mediakit.progress import Cancel, Event, ignore
from mediakit.units import format_duration, format_size

SECONDS = 15
LEAST_INTERVAL = 5.0
"""Seconds between two lines of progress."""

KeyPressed = Callable[[float], bool]


class StoppedByKeyError(CancelledError):
    """Somebody pressed a key during the countdown."""


class Unattended:
    """One unattended run; ``key_pressed`` waits so many seconds for a key and says whether one came.

    ``begin`` is called when the countdown is over: from then on nobody takes over.
    """

    def __init__(
        self,
        installation: Installation,
        answers: Answers,
        out: TextIO,
        key_pressed: KeyPressed,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self._installation = installation
        self._answers = answers
        self._out = out
        self._key_pressed = key_pressed
        self._begin = begin
        self._t: Catalogue = load(answers.language)
        self._drawn = 0.0
        self.cancel = Cancel()

    def run(self, *, dry_run: bool = False) -> int:
        """Probe, plan, count down, execute, report, end; returns the process status.

        Raises StoppedByKeyError; what is refused raises too, after the report was written.
        """
        self._say(f"{self._installation.medium.product} {self._installation.medium.version}")
        plan: InstallPlan | None = None
        try:
            if not self._answers.licence_accepted and self._answers.action != "rollback":
                raise UsageError("The answers do not accept the licence.", 'Write: licence = "accepted"')
            detection = self._installation.probe(ignore)
            self._show_machine(detection)
            plans = self._plans(detection)
            for plan in plans:
                self._show_plan(plan)
                self._check_attended(plan)
            if dry_run:
                return 0
            self._count_down()
            self._begin()
            return self._execute(plans)
        except StoppedByKeyError:
            raise
        except MediakitError as error:
            kind = "refused" if error.exit_status in (2, 4, 6) else "failed"
            self._end(plan, Result(kind, str(error)))
            raise

    def _plans(self, detection: Detection) -> list[InstallPlan]:
        accepted = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        settings = settings_of(self._answers, mode=self._installation.mode, accepted=accepted)
        return [self._installation.plan(choice) for choice in choices(detection, self._answers, settings)]

    def _check_attended(self, plan: InstallPlan) -> None:
        """Stop where a person has to decide: TrustError, RefusedError."""
        if self._installation.needs_medium_keys(plan):
            raise trust.unreadable()
        if plan.attended:
            raise RefusedError(*plan.attended)

    def _show_machine(self, detection: Detection) -> None:
        self._say("", *words.details_text(self._t, detection).splitlines())

    def _show_plan(self, plan: InstallPlan) -> None:
        self._say("", words.action_text(self._t, plan.action, self._installation.medium) + f": {plan.disk}")
        if plan.already:
            self._say(self._t.tr(TITLES["already"]))
        self._say(*words.plan_text(self._t, plan).splitlines())
        self._say(*(f"  {step.n}. {self._t.sentence(step.what)}" for step in plan.steps))

    def _count_down(self) -> None:
        self._say("", self._t.tr("This begins by itself. Press a key to stop it and use the screens."))
        for left in range(SECONDS, 0, -1):
            self._out.write(f"\r{left:3d} ")
            self._out.flush()
            if self._key_pressed(1.0):
                self._say("")
                raise StoppedByKeyError(self._t.tr("A key was pressed: nothing was written."))
        self._say("\r  0")

    def _execute(self, plans: list[InstallPlan]) -> int:
        status = 0
        for plan in plans:
            result = Result("already") if plan.already else self._carry_out(plan)
            self._end(plan, result)
            status = max(status, exit_status(result))
        if status == 0:
            self._installation.finish(self._answers.end)
        else:
            self._say(self._t.tr("The machine is left on, so that somebody sees this."))
        return status

    def _carry_out(self, plan: InstallPlan) -> Result:
        return self._installation.execute(plan, self._observe, self.cancel)

    def _observe(self, event: Event) -> None:
        if event.kind in ("phase", "warning"):
            self._drawn = 0.0
            self._say(("! " if event.kind == "warning" else "* ") + self._t.sentence(event.message))
        elif event.kind == "progress" and time.monotonic() - self._drawn >= LEAST_INTERVAL:
            self._drawn = time.monotonic()
            share = event.done_bytes * 100 // event.total_bytes if event.total_bytes else 0
            speed = f"{format_size(round(event.bytes_per_second))}/s" if event.bytes_per_second else ""
            rest = f"~ {format_duration(event.eta_seconds)}" if event.eta_seconds is not None else ""
            self._say(f"  {share:3d} %  {speed}  {rest}".rstrip())

    def _end(self, plan: InstallPlan | None, result: Result) -> None:
        title = self._t.tr(TITLES.get(result.result, result.result))
        self._say("", title, *([self._t.sentence(result.reason)] if result.reason else []))
        if result.seconds:
            self._say(self._t.tr("It took {time}.", time=format_duration(result.seconds)))
        try:
            self._say(self._t.sentence(self._installation.write_report(plan, result)))
        except MediakitError as error:
            self._say(str(error))
        self._say(f"ENGINE-INSTALL {result.result}")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._out.write(console_safe(line.removeprefix("# ")) + "\n")
        self._out.flush()


@contextmanager
def keyboard() -> Iterator[KeyPressed]:
    """Keys of the terminal one by one, without Enter; without a terminal nobody presses any."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        termios.tcflush(fd, termios.TCIFLUSH)
        yield lambda seconds: bool(select.select([fd], [], [], seconds)[0])
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


@contextmanager
def asked() -> Iterator[Callable[[], bool]]:
    """Whether another console has asked to take over (SIGUSR1, see ``charge``)."""
    seen: list[int] = []
    before = signal.signal(SIGNAL, lambda number, frame: seen.append(number))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(SIGNAL, before)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
