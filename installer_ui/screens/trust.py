"""Screen 6: the installed Engine's keys cannot be read; may the medium's count? Costs a typed word."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input

from installer_ui.screens.page import Page, entry, text
from installer_ui.steps import Step


class Trust(Page):
    """Answers True when the word was typed."""

    step = Step.KEYS

    def body(self) -> list[Widget]:
        self.add_class("danger")
        tr = self.t.tr
        key = self.installation.medium_key()
        return [
            text(
                tr("The installed Engine's keys cannot be read, so this medium cannot be checked with them.")
            ),
            text(tr("The medium is signed with key {id}, “{name}”.", id=key.key_id, name=key.key_name)),
            text(
                tr(
                    "Go on only if you know where this medium comes from: "
                    "what is on it gets all rights on this machine."
                )
            ),
            text(ident="fault", classes="fault"),
            text(tr("To trust this key, type {word} and press Enter:", word=tr("TRUST")), classes="label"),
            entry(ident="word", limit=20),
        ]

    def next_text(self) -> str:
        return self.t.tr("a summary of what is kept, rewritten and lost")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Esc", "back"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.t.tr("TRUST"):
            self.dismiss(True)
            return
        self.put("fault", self.t.tr("That is not the word. Nothing has been written. Esc leads back."))
