"""Screen 6: the work. What is being done, how far, how long to go, and how to stop safely."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from installer_ui.screens.page import Page, text
from installer_ui.steps import Draft, Step
from installer_ui.widgets.bar import Bar
from installer_ui.widgets.reader import Reader
from mediakit.errors import CancelledError, MediakitError
from mediakit.install.execute import Result
from mediakit.install.plan import WHOLE_DISK, InstallPlan
from mediakit.progress import Cancel, Event
from mediakit.units import format_duration

log = logging.getLogger("mediakit.installer")

FAULT = "The installer met a fault of its own: {error}. Send the report to support."
LEAST_INTERVAL = 0.25
"""Seconds between two redraws: a serial line takes no more than 4 a second."""


class Work(Page):
    """Answers a ``Result``. The plan is executed in a thread; Esc asks whether to stop."""

    step = Step.WORK
    BINDINGS: ClassVar[list[BindingType]] = [Binding("s", "stop"), Binding("ctrl+c", "back", priority=True)]

    def __init__(self, draft: Draft, plan: InstallPlan) -> None:
        super().__init__(draft)
        self._plan = plan
        self._cancel = Cancel()
        self._asking = False
        self._drawn = 0.0
        self._started = 0.0
        self._lines: list[str] = []

    def body(self) -> list[Widget]:
        log = Reader(focusable=False, ident="log")
        return [text(ident="what"), Bar(ident="bar"), text(ident="fault", classes="fault"), log]

    def on_mount(self) -> None:
        super().on_mount()
        self._started = time.monotonic()
        self.put("what", self.t.tr("Beginning."))
        self.set_interval(1.0, self._tick)
        self.run_worker(self._execute, thread=True, exit_on_error=False)

    def _begin(self) -> Result:
        trusts = self.draft.trusts
        return self.installation.execute(self._plan, self._observe, self._cancel, trust_medium=trusts)

    def _execute(self) -> None:
        try:
            ended = self._begin()
        except CancelledError as error:
            ended = Result("interrupted", str(error), time.monotonic() - self._started)
        except MediakitError as error:
            ended = Result("failed", str(error), time.monotonic() - self._started)
        except Exception as error:  # a screen must never end in a traceback
            log.exception("the execution met a fault of its own")
            reason = FAULT.format(error=repr(error))
            ended = Result("failed", reason, time.monotonic() - self._started)
        self.app.call_from_thread(self.dismiss, ended)

    def _observe(self, event: Event) -> None:
        now = time.monotonic()
        if event.kind == "progress" and now - self._drawn < LEAST_INTERVAL and (
            event.done_bytes < event.total_bytes
        ):  # fmt: skip
            return
        if event.kind == "progress":
            self._drawn = now
        self.app.call_from_thread(self._show, event)

    def _show(self, event: Event) -> None:
        if event.kind == "progress":
            self.query_one(Bar).show(
                event.done_bytes, event.total_bytes, event.bytes_per_second, event.eta_seconds
            )
            return
        line = self.t.sentence(event.message or event.phase)
        if event.kind == "phase" and line:
            self._drawn = 0.0
            self.put("what", line)
            self.query_one(Bar).show(0, 0)
        if event.kind in ("phase", "warning") and line:
            self._lines.append(("! " if event.kind == "warning" else "") + line)
            self.query_one("#log", Reader).replace("\n".join(self._lines[-8:]))

    def _tick(self) -> None:
        self.put("next", self._elapsed())

    def _elapsed(self) -> str:
        if not self._started:
            return ""
        return self.t.tr("Running for {time}.", time=format_duration(time.monotonic() - self._started))

    def relabel(self) -> None:
        super().relabel()
        self._tick()

    def keys_text(self) -> str:
        if self._cancel.is_set:
            return self.t.tr("Stopping at the next safe point.")
        if self._asking:
            return self.keys(("s", "stop safely"), ("Esc", "do not stop"))
        return self.keys(("Esc", "how to stop safely"))

    def action_back(self) -> None:
        """Esc asks first, and takes the question back."""
        if self._cancel.is_set:
            return
        self._asking = not self._asking
        ask = self.t.tr(self._stop_text()) if self._asking else ""
        self.put("fault", ask)
        self.relabel()

    def _stop_text(self) -> str:
        if self.draft.kind in WHOLE_DISK:
            return "If you stop now, this disk does not start until the installation is run again."
        return (
            "If you stop now, the Engine that was there stays as it is. You can go on later from this medium."
        )

    def action_stop(self) -> None:
        if self._asking:
            self._cancel.set()
            self._asking = False
            self.put("fault", "")
            self.relabel()
