"""Screen 3: the licence agreement, to be read and accepted."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from installer_ui.screens.page import Page, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item
from installer_ui.widgets.reader import Reader

FULL_LINE = 60
"""A longer line of a licence goes on in the next one."""


class Licence(Page):
    """Answers True when it was accepted."""

    step = Step.LICENCE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", priority=True),
        Binding("pagedown", "page(1)", priority=True),
    ]

    def body(self) -> list[Widget]:
        choices = Choices(
            [Item(self.t.tr("I do not accept")), Item(self.t.tr("I have read it, and I accept"))],
            ident="answer",
        )
        choices.styles.height = 2
        fault = text(ident="fault", classes="fault")
        return [
            Reader(flowing(self.installation.licence(self.draft.language)), focusable=False),
            fault,
            choices,
        ]

    def next_text(self) -> str:
        return self.t.tr("the keyboard")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Esc", "back"), ("Up/Down", "choose"), ("Page Up/Down", "read"))

    def action_page(self, pages: int) -> None:
        self.query_one(Reader).action_page(pages)

    def on_choices_taken(self, event: Choices.Taken) -> None:
        if event.index == 1:
            self.dismiss(True)
            return
        self.put(
            "fault",
            self.t.tr("Without it nothing is installed. Mark the other line, or switch the machine off."),
        )


def flowing(text: str) -> str:
    """``text`` with the lines of each paragraph joined, for a window of another width than its file's."""
    paragraphs: list[str] = []
    joins = False
    for line in text.splitlines():
        if joins and line.strip() and not line.startswith((" ", "-", "*")):
            paragraphs[-1] += " " + line.strip()
        else:
            paragraphs.append(line)
        joins = len(line) > FULL_LINE
    return "\n".join(paragraphs)
