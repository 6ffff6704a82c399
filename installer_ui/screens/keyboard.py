"""Screen 4: the keyboard layout, with a line to try it."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input

from installer_ui import console
from installer_ui.screens.page import Page, entry, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item

CODES = tuple(console.LAYOUTS)


class Keyboard(Page):
    """Answers the layout's code."""

    step = Step.KEYBOARD

    def body(self) -> list[Widget]:
        items = [Item(f"{self.t.tr(name)} ({code})") for code, name in console.LAYOUTS.items()]
        chosen = CODES.index(self.draft.keyboard) if self.draft.keyboard in CODES else 0
        note = (
            ""
            if self.installer.on_vt
            else self.t.tr(
                "You are on a serial line: the keyboard of your terminal stays as it is. "
                "The layout is for the machine's own keyboard."
            )
        )
        parts: list[Widget] = [text(note)] if note else []
        return [
            *parts,
            Choices(items, chosen),
            text(self.t.tr("Try it here (the text is thrown away):"), classes="label"),
            entry(ident="try", limit=60),
            text(ident="fault", classes="fault"),
        ]

    def next_text(self) -> str:
        return self.t.tr("the disks are looked at; nothing is written")

    def on_choices_taken(self, event: Choices.Taken) -> None:
        self.put("fault", self.t.sentence(self.installer.apply_keyboard(CODES[event.index])))
        self.query_one("#try", Input).focus()

    def on_input_submitted(self) -> None:
        self.dismiss(CODES[self.query_one(Choices).chosen])
