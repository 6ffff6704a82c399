"""Another console is in charge: says so, and takes over by Enter while nothing is being written."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from installer_ui.charge import Holder
from installer_ui.screens.page import Page, text
from installer_ui.steps import Step


class Notice(Page):
    """Ends when this console may go on; looks once a second, and draws only what has changed."""

    step = Step.WELCOME
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "take")]

    def body(self) -> list[Widget]:
        return [text(ident="who"), text(ident="how")]

    def title_text(self) -> str:
        return self.t.tr("The installer is in use on another console")

    def keys_text(self) -> str:
        return self.keys(("Enter", "take over here"))

    def on_mount(self) -> None:
        super().on_mount()
        self._shown: Holder | None = None
        self._look()
        self.set_interval(1.0, self._look)

    def _look(self) -> None:
        charge = self.installer.charge
        holder = charge.holder() if charge else None
        if holder is None:
            self.dismiss(True)
            return
        if holder == self._shown:
            return  # a serial line is slow: the same again would be a screenful a second
        self._shown = holder
        self.put("who", self.t.tr("It is in use on {tty}.", tty=holder.tty or "?"))
        if holder.is_working:
            self.put("how", self.t.tr("It is working now; wait, or look there."))
        else:
            self.put("how", self.t.tr("Press Enter to use it here instead. Nothing is being written yet."))

    def action_take(self) -> None:
        if self.installer.charge:
            self.installer.charge.ask()

    def action_back(self) -> None:
        """There is nothing before this screen."""
