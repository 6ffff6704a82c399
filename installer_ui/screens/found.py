"""Screen 5: what was found. Looks in the background, then lists disks, Engines and what can be done."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from installer_ui import steps, words
from installer_ui.screens.page import Page, text
from installer_ui.screens.pause import Pause
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item
from installer_ui.widgets.reader import Reader
from mediakit.errors import MediakitError
from mediakit.install import secureboot
from mediakit.install.machine import Detection
from mediakit.progress import Event


class Found(Page):
    """Answers a ``steps.Option``; the detection is kept in the app."""

    step = Step.FOUND
    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "details"), Binding("r", "again")]

    def body(self) -> list[Widget]:
        pane = Reader(focusable=False, ident="pane")
        pane.add_class("pane")
        return [
            text(ident="machine", classes="text"),
            Choices(ident="offers"),
            text(ident="fault", classes="fault"),
            pane,
        ]

    def next_text(self) -> str:
        chosen = self._option()
        if chosen is None or not chosen.offer.allowed:
            return ""
        if chosen.offer.action == "fresh":
            return self.t.tr("choose the disk")
        if chosen.offer.action == "reinstall":
            return self.t.tr("what becomes of the virtual machines")
        return self.t.tr("a summary of what is kept, rewritten and lost")

    def keys_text(self) -> str:
        return self.keys(
            ("Enter", "go on"), ("Esc", "back"), ("Up/Down", "choose"), ("d", "details"), ("r", "look again")
        )

    def on_mount(self) -> None:
        super().on_mount()
        if self.installer.detection is None:
            self.action_again()
        else:
            self._show(self.installer.detection)

    def action_again(self) -> None:
        """Look at the disks again."""
        self.installer.detection = None
        self.query_one(Choices).replace([])
        self.query_one("#pane", Reader).replace("")
        self.put("machine", self.t.tr("Looking at the disks. Nothing is written."))
        self.put("fault", "")
        self.run_worker(self._probe, thread=True, exclusive=True, exit_on_error=False)

    def _probe(self) -> None:
        try:
            detection = self.installation.probe(self._observe)
        except MediakitError as error:
            self.app.call_from_thread(self._failed, error)
            return
        self.app.call_from_thread(self._show, detection)

    def _observe(self, event: Event) -> None:
        words_ = self.t.sentence(event.message or event.phase)
        where = f" {event.target}" if event.target and event.target not in words_ else ""
        line = self.t.tr("Looking at the disks. Nothing is written.") + "\n" + words_ + where
        self.app.call_from_thread(self.put, "machine", line)

    def _failed(self, error: MediakitError) -> None:
        self.put("machine", self.t.tr("The disks could not be looked at."))
        self.put("fault", " ".join(self.t.sentence(s) for s in (error.message, error.hint) if s))

    def _show(self, detection: Detection) -> None:
        self.installer.detection = detection
        obstacle = secureboot.obstacle(detection.machine) or ()
        lines = [words.machine_text(self.t, detection.machine), " ".join(map(self.t.sentence, obstacle))]
        self.put("machine", "\n".join(line for line in lines if line))
        options = steps.options(detection)
        chosen = steps.default_option(options)
        for index, option in enumerate(options):
            if (option.offer.action, option.engine and option.engine.install_id) == (
                self.draft.action,
                self.draft.install_id or None,
            ):
                chosen = index
        self.query_one(Choices).replace(self._items(detection, options), chosen)
        self._explain()

    def _items(self, detection: Detection, options: list[steps.Option]) -> list[Item]:
        items = []
        headings = self._headings(detection)
        for option in options:
            heading = headings.pop((option.disk.path, option.engine.install_id), ()) if (
                option.disk and option.engine
            ) else headings.pop(("", ""), ())  # fmt: skip
            label = words.action_text(self.t, option.offer.action, self.installation.medium)
            notes = words.offer_notes(self.t, option.offer)
            indent = 2 if option.engine else 0
            items.append(Item(label, notes, option.offer.allowed, heading, indent))
        return items

    def _headings(self, detection: Detection) -> dict[tuple[str, str], tuple[str, ...]]:
        """The lines above the first offer of each Engine; the rest stand above the fresh install."""
        headings: dict[tuple[str, str], tuple[str, ...]] = {}
        lines: list[str] = []
        for disk in detection.disks:
            lines.append(words.disk_text(self.t, disk))
            if not disk.engines:
                lines.append("  " + words.contents_text(self.t, disk))
            for finding in disk.findings:
                if finding.severity != "note":
                    lines.append("  ! " + self.t.sentence(finding.what))
            for engine in disk.engines:
                lines.append("  " + words.engine_text(self.t, engine))
                if engine.offers:
                    headings[(disk.path, engine.install_id)] = tuple(lines)
                    lines = []
        if any(disk.engines for disk in detection.disks):
            lines.append(self.t.tr("Or anew:"))
        headings[("", "")] = tuple(lines)
        return headings

    def _option(self) -> steps.Option | None:
        detection = self.installer.detection
        if detection is None:
            return None
        options = steps.options(detection)
        at = self.query_one(Choices).chosen
        return options[at] if at < len(options) else None

    def _explain(self) -> None:
        option = self._option()
        if option is not None:
            self.query_one("#pane", Reader).replace(words.offer_details(self.t, option.offer, option.engine))
        self.put("fault", "")
        self.relabel()

    def on_choices_moved(self) -> None:
        self._explain()

    def on_choices_taken(self) -> None:
        option = self._option()
        if option is None:
            return
        if option.offer.allowed:
            self.dismiss(option)
            return
        reason = self.t.sentence(option.offer.reason)
        self.put("fault", textwrap.shorten(self.t.tr("Not possible: {reason}", reason=reason), 225))

    def action_details(self) -> None:
        """Everything that was found, to read."""
        if self.installer.detection is not None:
            full = words.details_text(self.t, self.installer.detection)
            self.app.push_screen(Pause(self.draft, self.t.tr("What was found, in full"), full, self.step))
