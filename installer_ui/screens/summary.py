"""Screen 6: the summary: what is kept, rewritten and lost. What destroys costs a typed word."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from installer_ui import steps, words
from installer_ui.screens.page import BACK, Page, entry, text
from installer_ui.steps import Draft, Step
from installer_ui.widgets.choices import Choices, Item
from installer_ui.widgets.reader import Reader
from mediakit.install.plan import WHOLE_DISK, InstallPlan

NOW = {
    "continue": "Continue now",
    "upgrade": "Upgrade now",
    "repair": "Repair now",
    "reinstall": "Reinstall now",
    "rollback": "Roll back now",
    "fresh": "Install now",
}


class Summary(Page):
    """Answers True to begin."""

    step = Step.SUMMARY
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", priority=True),
        Binding("pagedown", "page(1)", priority=True),
    ]

    def __init__(self, draft: Draft, plan: InstallPlan) -> None:
        super().__init__(draft)
        self._plan = plan

    def body(self) -> list[Widget]:
        fault = text(ident="fault", classes="fault")
        reader = Reader(self._text(), focusable=False)
        if self._is_destructive():
            self.add_class("danger")
            ask = self.t.tr("To begin, type {word} and press Enter:", word=self.t.tr("ERASE"))
            return [reader, fault, text(ask, classes="label"), entry(ident="word", limit=20)]
        choices = Choices([Item(self.t.tr(NOW[self.draft.action])), Item(self.t.tr("Go back"))])
        choices.styles.height = 2
        return [reader, fault, choices]

    def _is_destructive(self) -> bool:
        detection = self.installer.detection
        return detection is not None and steps.is_destructive(detection, self.draft)

    def _text(self) -> str:
        detection = self.installer.detection
        assert detection is not None
        disk = steps.find_disk(detection, self.draft)
        engine = steps.find_engine(detection, self.draft)
        lines = []
        if disk is not None:
            lines.append(words.disk_text(self.t, disk))
        if engine is not None:
            kept = self.draft.action != "reinstall" or self.draft.keep_vms
            lines.append(words.vms_stay(self.t, engine) if kept else words.vms_lost(self.t, engine))
        if self.draft.kind in WHOLE_DISK:
            lines.append(words.settings_text(self.t, self.draft))
        if self._plan.already:
            lines.append(self.t.tr("This version is already there. Nothing is written."))
        lines += [self.t.sentence(note) for note in self._plan.notes]
        return "\n".join([*lines, words.plan_text(self.t, self._plan)])

    def title_text(self) -> str:
        action = words.action_text(self.t, self.draft.action, self.installation.medium)
        title = f"{self.t.tr(self.step.value)}: {action}"
        return title + " - " + self.t.tr("THIS ERASES DATA") if self._is_destructive() else title

    def next_text(self) -> str:
        return self.t.tr("the work begins; until then nothing has been written")

    def keys_text(self) -> str:
        back = (("Esc", "back"), ("Page Up/Down", "read"))
        if self._is_destructive():
            return self.keys(("Enter", "begin"), *back)
        return self.keys(("Enter", "go on"), *back)

    def action_page(self, pages: int) -> None:
        self.query_one(Reader).action_page(pages)

    def on_choices_taken(self, event: Choices.Taken) -> None:
        self.dismiss(True if event.index == 0 else BACK)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.t.tr("ERASE"):
            self.dismiss(True)
            return
        self.put("fault", self.t.tr("That is not the word. Nothing has been written. Esc leads back."))
