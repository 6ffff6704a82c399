"""Screen 6, remove and reinstall: do the virtual machines stay?"""

from __future__ import annotations

from textual.widget import Widget

from installer_ui import steps, words
from installer_ui.screens.page import Page, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item
from mediakit.errors import RefusedError


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
        no = self._why_not()
        note = self.t.tr("Not possible: {reason}", reason=self.t.sentence(no.message)) if no else ""
        items = [
            Item(self.t.tr("Keep them"), (note or words.vms_stay(self.t, engine),), no is None),
            Item(self.t.tr("Erase them"), (words.vms_lost(self.t, engine),)),
        ]
        chosen = Choices(items, 0 if self.draft.keep_vms else 1)
        return [text(question), text(names), chosen, text(ident="fault", classes="fault")]

    def _why_not(self) -> RefusedError | None:
        """Why the VMs cannot be kept; None where they can."""
        assert self.installer.detection is not None
        try:
            self.installation.plan(steps.choice(self.installer.detection, self.draft.change(keep_vms=True)))
        except RefusedError as error:
            return error
        return None

    def next_text(self) -> str:
        return self.t.tr("the host name; nothing is written yet")

    def on_choices_taken(self, event: Choices.Taken) -> None:
        no = self._why_not() if event.index == 0 else None
        if no is not None:
            self.complain(no)
            return
        self.dismiss(event.index == 0)
