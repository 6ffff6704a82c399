"""The installer's Textual application, thin: owns catalogue, detection and installation, runs the flow."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType

from installer_ui import console, flow
from installer_ui.charge import SIGNAL, Charge
from installer_ui.i18n import Catalogue, load
from installer_ui.port import Installation
from installer_ui.steps import Draft
from installer_ui.theme import ENGINE
from mediakit.errors import MediakitError
from mediakit.install.machine import Detection


class InstallerApp(App[int], inherit_bindings=False):
    """Exits with the documented process status."""

    CSS_PATH = Path(__file__).with_name("installer.tcss")
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    NOTIFICATION_TIMEOUT = 0

    def __init__(
        self,
        installation: Installation,
        draft: Draft | None = None,
        tty: str = "",
        charge: Charge | None = None,
    ) -> None:
        super().__init__()
        self.installation = installation
        self.draft = draft or Draft(mode=installation.mode)
        self.catalogue: Catalogue = load(self.draft.language)
        self.detection: Detection | None = None
        self.tty = tty
        self.charge = charge
        self.is_working = False
        self.animation_level = "none"

    @property
    def on_vt(self) -> bool:
        """Whether this is the machine's own screen and keyboard."""
        return console.is_vt(self.tty)

    def apply_keyboard(self, layout: str) -> str:
        """Load ``layout`` where that can be; returns what to tell the user, "" when all is well."""
        if not self.on_vt:
            return ""
        try:
            console.apply_keyboard(layout, self.tty)
        except MediakitError:
            return "This console keeps its layout; the installed Engine uses the one you chose."
        return ""

    def on_mount(self) -> None:
        self.register_theme(ENGINE)
        self.theme = ENGINE.name
        if self.charge is not None:
            asyncio.get_running_loop().add_signal_handler(SIGNAL, self.hand_over)
        self.begin()

    def begin(self) -> None:
        """Start the wizard at its first screen, ending the one that runs."""
        self.run_worker(flow.run(self), group="flow", exclusive=True)

    def hand_over(self) -> None:
        """Another console asks for the charge; refused while something is written."""
        if self.charge is None or not self.charge.is_mine or self.is_working:
            return
        self.charge.release()
        self.draft = Draft(language=self.draft.language, keyboard=self.draft.keyboard, mode=self.draft.mode)
        self.begin()
