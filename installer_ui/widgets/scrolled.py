"""Rows of text that scroll in a fixed window, with a scroll bar of safe glyphs. Base of lists and readers.

Textual's own scroll bars draw eighth blocks, which consoles lack; here one column of ``│`` and ``█`` does.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from installer_ui.glyphs import console_safe
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Row:
    """One line on the screen. ``item`` is the index of what it belongs to, -1 for none."""

    text: str
    bold: bool = False
    item: int = -1


PLAIN = Style.null()
BOLD = Style(bold=True)
CHOSEN = Style(reverse=True)
CHOSEN_BLURRED = Style(bold=True)


class Scrolled(Widget):
    """Shows ``rows`` from ``top`` on; knows nothing of what they mean."""

    DEFAULT_CSS = "Scrolled { width: 1fr; height: 1fr; overflow: hidden; }"

    def __init__(self, *, ident: str | None = None) -> None:
        super().__init__(id=ident)
        self.rows: list[Row] = []
        self.top = 0

    def lay_out(self, width: int) -> list[Row]:
        """The rows for ``width`` columns; subclasses answer."""
        raise NotImplementedError

    def on_resize(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Lay out again and redraw."""
        if self.size.width > 2:
            self.rows = self.lay_out(self.size.width - 2)
            self.scroll_by(0)

    def scroll_by(self, lines: int) -> None:
        """Move the window by ``lines``, within the rows."""
        self.top = max(0, min(self.top + lines, len(self.rows) - self.size.height))
        self.refresh()

    def show_rows(self, first: int, last: int) -> None:
        """Move the window so that rows ``first`` to ``last`` are inside."""
        if last >= self.top + self.size.height:
            self.top = last - self.size.height + 1
        self.top = min(self.top, first)
        self.scroll_by(0)

    def style_of(self, row: Row) -> Style:
        return BOLD if row.bold else PLAIN

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        at = self.top + y
        row = self.rows[at] if at < len(self.rows) else Row("")
        body = console_safe(row.text)[: width - 2].ljust(width - 2)
        return Strip([Segment(body, self.style_of(row)), Segment(" " + self._bar(y, height))], width)

    def _bar(self, y: int, height: int) -> str:
        if len(self.rows) <= height:
            return " "
        size = max(1, height * height // len(self.rows))
        start = round(self.top * (height - size) / (len(self.rows) - height))
        return "█" if start <= y < start + size else "│"
