"""Screen 6, the last one: how it ended, where the report lies, restart or switch off."""

from __future__ import annotations

from textual.widget import Widget

from installer_ui import steps
from installer_ui.result import TITLES
from installer_ui.screens.page import Page, text
from installer_ui.steps import Draft, Step
from installer_ui.widgets.choices import Choices, Item
from installer_ui.widgets.reader import Reader
from mediakit.install.execute import Result
from mediakit.install.plan import WHOLE_DISK
from mediakit.units import format_duration

ENDS = {
    "again": "Look at the disks again",
    "reboot": "Restart the machine",
    "poweroff": "Switch the machine off",
}


class Done(Page):
    """Answers reboot, poweroff or, where something went wrong, again."""

    step = Step.DONE

    def __init__(self, draft: Draft, ended: Result, report: str) -> None:
        super().__init__(draft)
        self._ended = ended
        self._report = report

    def body(self) -> list[Widget]:
        choices = Choices([Item(self.t.tr(label)) for label, _ in self._ends()])
        choices.styles.height = 4
        return [Reader(self._text(), focusable=False), text(classes="line"), choices]

    def _ends(self) -> list[tuple[str, str]]:
        actions = ["reboot", "poweroff"]
        if self._ended.result not in ("done", "already"):
            actions.insert(0, "again")
        return [(ENDS[action], action) for action in actions]

    def _text(self) -> str:
        tr = self.t.tr
        ended = self._ended
        lines = [tr(TITLES.get(ended.result, ended.result))]
        lines += [self.t.sentence(words) for words in (ended.reason,) if words]
        if ended.seconds:
            lines.append(tr("It took {time}.", time=format_duration(ended.seconds)))
        if self._report:
            lines += ["", self.t.sentence(self._report)]
        if ended.result == "done":
            lines += ["", *self._what_then()]
        if ended.result in ("done", "already"):
            lines += ["", tr("Remove the stick or the disc when the machine restarts.")]
        return "\n".join(lines)

    def _what_then(self) -> list[str]:
        """What the user should know about the first start."""
        tr = self.t.tr
        if self.draft.kind in WHOLE_DISK:
            return [tr("The new Engine starts when the machine restarts.")]
        if self.draft.action == "rollback":
            return [tr("The version before starts on trial. If it does not come up, this one starts again.")]
        lines = [tr("The new version starts on trial. If it does not come up, the old one starts again.")]
        detection = self.installer.detection
        engine = steps.find_engine(detection, self.draft) if detection else None
        drivers = [vm.name for vm in engine.vms if vm.origin != "shared"] if engine else []
        if drivers:
            lines.append(
                tr("VM drivers are updated at the next start of: {names}.", names=", ".join(drivers))
            )
        return lines

    def next_text(self) -> str:
        return ""

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Up/Down", "choose"))

    def on_choices_taken(self, event: Choices.Taken) -> None:
        self.dismiss(self._ends()[event.index][1])

    def action_back(self) -> None:
        """There is no way back from here."""
