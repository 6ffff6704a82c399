"""Screen 6: the network: automatic, by hand, or none."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input

from installer_ui.screens.page import Page, entry, text
from installer_ui.steps import Step
from installer_ui.widgets.choices import Choices, Item
from mediakit.engine import fields
from mediakit.errors import UsageError
from mediakit.install.state import Network

MODES = ("dhcp", "static", "none")
LINES = ("address", "gateway", "dns")


class NetworkPage(Page):
    """Answers a ``Network``."""

    step = Step.NETWORK

    def body(self) -> list[Widget]:
        items = [
            Item(self.t.tr("Automatic (DHCP)")),
            Item(self.t.tr("By hand: the address below")),
            Item(self.t.tr("No network")),
        ]
        choices = Choices(items, MODES.index(self.draft.network.mode))
        choices.styles.height = 4
        given = self.draft.network
        return [
            choices,
            text(self.t.tr("Address with prefix, as 192.168.1.20/24:"), classes="label"),
            entry(given.address, ident="address"),
            text(self.t.tr("Gateway (may be empty):"), classes="label"),
            entry(given.gateway, ident="gateway"),
            text(self.t.tr("Name servers, with blanks between (may be empty):"), classes="label"),
            entry(" ".join(given.dns), ident="dns"),
            text(ident="fault", classes="fault"),
        ]

    def on_mount(self) -> None:
        super().on_mount()
        self._enable()

    def _enable(self) -> None:
        for name in LINES:
            self.query_one(f"#{name}", Input).disabled = self._mode() != "static"

    def _mode(self) -> str:
        return MODES[self.query_one(Choices).chosen]

    def next_text(self) -> str:
        return self.t.tr("the time zone")

    def keys_text(self) -> str:
        return self.keys(("Enter", "go on"), ("Esc", "back"), ("Up/Down", "choose"), ("Tab", "other line"))

    def on_choices_moved(self) -> None:
        self._enable()

    def on_choices_taken(self) -> None:
        if self._mode() == "static":
            self.query_one("#address", Input).focus()
        else:
            self.dismiss(Network(self._mode()))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        at = LINES.index(event.input.id or "")
        if at + 1 < len(LINES):
            self.query_one(f"#{LINES[at + 1]}", Input).focus()
            return
        value = {name: self.query_one(f"#{name}", Input).value.strip() for name in LINES}
        try:
            address = fields.address(value["address"])
            gateway = fields.gateway(value["gateway"], address)
            self.dismiss(Network("static", address, gateway, fields.dns_servers(value["dns"])))
        except UsageError as error:
            self.complain(error)
            self.query_one("#address", Input).focus()
