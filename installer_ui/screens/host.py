"""Screen 6: the host name."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input

from installer_ui.screens.page import Page, entry, text
from installer_ui.steps import Step
from mediakit.engine import fields
from mediakit.errors import UsageError


class Host(Page):
    """Answers the host name."""

    step = Step.HOST

    def body(self) -> list[Widget]:
        return [
            text(self.t.tr("What shall this machine be called in the network?")),
            text(self.t.tr("Host name:"), classes="label"),
            entry(self.draft.host_name, ident="host", limit=63),
            text(ident="fault", classes="fault"),
        ]

    def next_text(self) -> str:
        return self.t.tr("the administrator's password")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Esc", "back"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            self.dismiss(fields.host_name(event.value))
        except UsageError as error:
            self.complain(error)
