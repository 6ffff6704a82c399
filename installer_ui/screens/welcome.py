"""Screen 2: welcome, and the language; moving the mark changes the language at once."""

from __future__ import annotations

from textual.widget import Widget

from installer_ui.i18n import LANGUAGES, load
from installer_ui.screens.page import Page, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item

CODES = tuple(LANGUAGES)


class Welcome(Page):
    """Answers the language's code."""

    step = Step.WELCOME

    def body(self) -> list[Widget]:
        items = [Item(LANGUAGES[code]) for code in CODES]
        chosen = CODES.index(self.draft.language) if self.draft.language in CODES else 0
        return [text(ident="hello"), text(ident="question", classes="label"), Choices(items, chosen)]

    def relabel(self) -> None:
        super().relabel()
        product = self.installation.medium.product
        hello = self.t.tr(
            "This installs, upgrades or repairs {product} on this machine. "
            "Nothing is written before you have read a summary and said yes.",
            product=product,
        )
        self.put("hello", hello)
        self.put("question", self.t.tr("Which language do you read?"))

    def on_mount(self) -> None:
        super().on_mount()
        if self.installer.charge is not None:
            self.set_interval(1.0, self._look)

    def _look(self) -> None:
        """Leave, with no answer, when another console has taken charge."""
        charge = self.installer.charge
        if self.is_current and charge is not None and charge.holder() is not None:
            self.dismiss(None)

    def next_text(self) -> str:
        return self.t.tr("the licence agreement")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Up/Down", "choose"))

    def on_choices_moved(self, event: Choices.Moved) -> None:
        self.installer.catalogue = load(CODES[event.index])
        self.relabel()

    def on_choices_taken(self, event: Choices.Taken) -> None:
        self.dismiss(CODES[event.index])

    def action_back(self) -> None:
        """There is nothing before this screen."""
