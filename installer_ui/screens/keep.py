"""Screen 6, remove and reinstall: do the virtual machines stay?"""

from __future__ import annotations

from textual.widget import Widget

from installer_ui import steps, words
from installer_ui.screens.page import Page, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item


class Keep(Page):
    """Answers True to keep them, which is preselected."""

    step = Step.KEEP

    def body(self) -> list[Widget]:
        assert self.installer.detection is not None
        engine = steps.find_engine(self.installer.detection, self.draft)
        names = ", ".join(vm.name for vm in engine.vms) if engine else ""
        question = self.t.tr(
            "The Engine is removed and installed anew. What becomes of its virtual machines?"
        )
        items = [
            Item(self.t.tr("Keep them"), (words.vms_stay(self.t, engine),)),
            Item(self.t.tr("Erase them"), (words.vms_lost(self.t, engine),)),
        ]
        return [text(question), text(names), Choices(items, 0 if self.draft.keep_vms else 1)]

    def next_text(self) -> str:
        return self.t.tr("the host name; nothing is written yet")

    def on_choices_taken(self, event: Choices.Taken) -> None:
        self.dismiss(event.index == 0)
