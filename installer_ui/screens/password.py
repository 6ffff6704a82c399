"""Screen 6: the administrator's password, typed twice. Only its hash leaves this screen."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input

from installer_ui.screens.page import Page, entry, text
from installer_ui.steps import Step
from mediakit.engine import password
from mediakit.errors import UsageError


class Password(Page):
    """Answers the password's crypt(3) hash."""

    step = Step.PASSWORD

    def body(self) -> list[Widget]:
        return [
            text(self.t.tr("This password lets the administrator log in on this machine.")),
            text(
                self.t.tr("Password (at least {n} characters):", n=password.LEAST_CHARACTERS), classes="label"
            ),
            entry(ident="first", password=True),
            text(self.t.tr("The same again:"), classes="label"),
            entry(ident="again", password=True),
            text(ident="fault", classes="fault"),
        ]

    def next_text(self) -> str:
        return self.t.tr("the network")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Esc", "back"), ("Tab", "other line"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        first, again = self.query_one("#first", Input), self.query_one("#again", Input)
        if event.input is first and not again.value:
            again.focus()
            return
        try:
            if first.value != again.value:
                raise UsageError("The two passwords differ.", "Type both again.")
            self.dismiss(password.hash_password(first.value))
        except UsageError as error:
            self.complain(error)
            again.value = first.value = ""
            first.focus()
