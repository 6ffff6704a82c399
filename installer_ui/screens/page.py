"""What every screen has: header with step and version, title, body, what comes next, and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from installer_ui.glyphs import console_safe
from installer_ui.i18n import Catalogue
from installer_ui.steps import Draft, Step, number
from mediakit.errors import MediakitError

if TYPE_CHECKING:
    from installer_ui.app import InstallerApp
    from installer_ui.port import Installation


class Back:
    """What a screen answers when the user wants the one before."""


BACK = Back()


def text(content: str = "", *, ident: str | None = None, classes: str = "text") -> Static:
    """A piece of text that takes no part in markup and shows only safe glyphs."""
    return Static(console_safe(content), markup=False, id=ident, classes=classes)


def entry(value: str = "", *, ident: str, password: bool = False, limit: int = 253) -> Input:
    """A line to type in, without blinking."""
    field = Input(value, id=ident, password=password, max_length=limit, select_on_focus=False, compact=True)
    field.cursor_blink = False
    return field


class Page(Screen[Any]):
    """One question. Subclasses give ``step``, ``body`` and the footer, and ``dismiss`` with the answer."""

    step: ClassVar[Step]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back"),
        Binding("tab", "app.focus_next"),
        Binding("shift+tab", "app.focus_previous"),
    ]
    AUTO_FOCUS = "Choices, Input, Reader"

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft

    @property
    def installer(self) -> InstallerApp:
        from installer_ui.app import InstallerApp

        assert isinstance(self.app, InstallerApp)
        return self.app

    @property
    def installation(self) -> Installation:
        return self.installer.installation

    @property
    def t(self) -> Catalogue:
        return self.installer.catalogue

    def body(self) -> list[Widget]:
        """The widgets between title and footer."""
        raise NotImplementedError

    def next_text(self) -> str:
        """What happens when the user goes on."""
        return ""

    def keys_text(self) -> str:
        """Which keys do what."""
        return self.keys(("Enter", "go on"), ("Esc", "back"), ("Up/Down", "choose"))

    def keys(self, *pairs: tuple[str, str]) -> str:
        return "   ".join(f"{self.t.tr(key)}: {self.t.tr(what)}" for key, what in pairs)

    def title_text(self) -> str:
        return self.t.tr(self.step.value)

    def head_text(self) -> str:
        """``Engine 5.1 (build 5100)          Screen 6, part 2 of 7``."""
        medium = self.installation.medium
        screen, part, parts = number(self.step, self.draft)
        if parts:
            where = self.t.tr("Screen {n}, part {part} of {parts}", n=screen, part=part, parts=parts)
        else:
            where = self.t.tr("Screen {n}", n=screen)
        product = f" {medium.product} {medium.version} ({medium.build})"
        return product + where.rjust(max(1, self.app.size.width - len(product) - 1)) + " "

    def compose(self) -> ComposeResult:
        yield text(classes="", ident="head")
        yield text(classes="", ident="title")
        yield Vertical(*self.body(), id="body")
        yield text(classes="", ident="rule")
        yield text(classes="", ident="next")
        yield text(classes="", ident="keys")

    def on_mount(self) -> None:
        self.relabel()

    def on_resize(self) -> None:
        self.relabel()

    def relabel(self) -> None:
        """Write header and footer again: the size, the language or the state changed."""
        self.put("head", self.head_text())
        self.put("title", self.title_text())
        self.put("rule", "─" * self.app.size.width)
        next_text = self.next_text()
        self.put("next", self.t.tr("Next: {what}", what=next_text) if next_text else "")
        self.put("keys", self.keys_text())

    def put(self, ident: str, content: str) -> None:
        """Show ``content`` in the text widget ``id``."""
        self.query_one(f"#{ident}", Static).update(console_safe(content))

    def complain(self, error: MediakitError) -> None:
        """Say in ``#fault`` what is wrong and what to do."""
        self.put("fault", " ".join(self.t.sentence(words) for words in (error.message, error.hint) if words))

    def action_back(self) -> None:
        self.dismiss(BACK)
