"""A text to read: wrapped, scrolled by the arrows and the page keys."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from installer_ui.widgets.choices import wrap
from installer_ui.widgets.scrolled import Row, Scrolled


class Reader(Scrolled, can_focus=True):
    """Shows ``text``; a line that begins with ``#`` and a blank is a heading."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "go(-1)"),
        Binding("down", "go(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown,space", "page(1)"),
        Binding("home", "go(-100000)"),
        Binding("end", "go(100000)"),
    ]

    def __init__(self, text: str = "", *, focusable: bool = True, ident: str | None = None) -> None:
        super().__init__(ident=ident)
        self.can_focus = focusable
        self.text = text

    def replace(self, text: str) -> None:
        """Show another ``text``, from its beginning."""
        if text != self.text:
            self.text, self.top = text, 0
            self.renew()

    def lay_out(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for line in self.text.splitlines():
            bold = line.startswith("# ")
            rows += [Row(part, bold=bold) for part in wrap(line[2:] if bold else line, width)]
        return rows

    def action_go(self, lines: int) -> None:
        self.scroll_by(lines)

    def action_page(self, pages: int) -> None:
        self.scroll_by(pages * max(1, self.size.height - 1))
