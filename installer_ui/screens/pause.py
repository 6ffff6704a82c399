"""A text to read and leave: details of what was found, and errors with what to do about them."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from installer_ui.screens.page import Page
from installer_ui.steps import Draft, Step
from installer_ui.widgets.reader import Reader


class Pause(Page):
    """Shows ``content`` under ``title``; Enter and Esc leave it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "back")]

    def __init__(self, draft: Draft, title: str, content: str, step: Step) -> None:
        super().__init__(draft)
        self._heading = title
        self._content = content
        self.step = step  # type: ignore[misc]  # this screen stands in for another one

    def title_text(self) -> str:
        return self._heading

    def body(self) -> list[Widget]:
        return [Reader(self._content)]

    def keys_text(self) -> str:
        return self.keys(("Enter", "back"), ("Up/Down", "read"))
