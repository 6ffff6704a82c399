"""A list of choices, one of which is taken: arrows move, Enter takes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType
from textual.message import Message

from installer_ui.widgets.scrolled import CHOSEN, CHOSEN_BLURRED, Row, Scrolled
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Item:
    """One choice, with lines that explain it; ``heading`` lines stand above it and cannot be taken."""

    label: str
    notes: tuple[str, ...] = ()
    allowed: bool = True
    heading: tuple[str, ...] = ()
    indent: int = 0


class Choices(Scrolled, can_focus=True):
    """Posts ``Moved`` when another choice is marked and ``Taken`` on Enter, for impossible ones too.

    ``chosen`` -1 marks none: the user has to.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("pageup", "move(-8)"),
        Binding("pagedown", "move(8)"),
        Binding("home", "move(-100000)"),
        Binding("end", "move(100000)"),
        Binding("enter,space", "take"),
    ]

    @dataclass
    class Moved(Message):
        index: int

    @dataclass
    class Taken(Message):
        index: int

    def __init__(self, items: Sequence[Item] = (), chosen: int = 0, *, ident: str | None = None) -> None:
        super().__init__(ident=ident)
        self.items = list(items)
        self.chosen = chosen

    def replace(self, items: Sequence[Item], chosen: int = 0) -> None:
        """Show other ``items``."""
        self.items, self.chosen, self.top = list(items), chosen, 0
        self.renew()

    def lay_out(self, width: int) -> list[Row]:
        rows: list[Row] = []
        for index, item in enumerate(self.items):
            for line in item.heading:
                rows += [Row(part, bold=not line.startswith(" ")) for part in wrap(line, width)]
            mark = "(*)" if index == self.chosen else "( )" if item.allowed else " - "
            pad = " " * item.indent
            lines = wrap(item.label, width - item.indent - 4)
            rows.append(Row(f"{pad}{mark} {lines[0]}", item=index))
            rows += [Row(f"{pad}    {line}", item=index) for line in lines[1:]]
            for note in item.notes:
                rows += [Row(f"{pad}    {line}", item=index) for line in wrap(note, width - item.indent - 4)]
        return rows

    def renew(self) -> None:
        super().renew()
        own = [at for at, row in enumerate(self.rows) if row.item == self.chosen]
        if own:
            head = own[0]
            while head > 0 and self.rows[head - 1].item == -1:
                head -= 1
            self.show_rows(head if own[-1] - head < self.size.height else own[0], own[-1])

    def style_of(self, row: Row) -> Style:
        if row.item == self.chosen and row.item >= 0:
            return CHOSEN if self.has_focus else CHOSEN_BLURRED
        return super().style_of(row)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, by: int) -> None:
        if not self.items:
            return
        self.chosen = max(0, min(self.chosen + by, len(self.items) - 1))
        self.renew()
        self.post_message(self.Moved(self.chosen))

    def action_take(self) -> None:
        if self.chosen >= 0 and self.items:
            self.post_message(self.Taken(self.chosen))


def wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width``; its indent is kept, and long words are broken."""
    indent = text[: len(text) - len(text.lstrip())]
    lines = textwrap.wrap(
        text.strip(), max(width, 10), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
    return lines or [""]
