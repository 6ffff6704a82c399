"""Recorded machines, and the installer on one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from installer_ui.app import InstallerApp
from installer_ui.steps import Draft
from mediakit.engine.manifest import Manifest, ManifestFile
from mediakit.engine.signature import SignatureCheck
from mediakit.errors import RefusedError
from mediakit.install.choice import Choice
from mediakit.install.execute import Result
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan, make_plan
from mediakit.progress import Cancel, Event, Observer

MACHINES = Path(__file__).parent.parent / "machines"
GIB = 1 << 30
MANIFEST = Manifest(
    product="Engine",
    version="5.1",
    build=5100,
    arch="x86_64",
    created="2026-01-01T00:00:00Z",
    layout=2,
    upgrade_from=(1, 2),
    pv_driver="5.1",
    min_ram_bytes=GIB,
    min_disk_bytes=8 * GIB,
    files=(
        ManifestFile("/engine/system.squashfs", 240 << 20, "0" * 64),
        *(
            ManifestFile(f"/engine/boot/{name}", 1 << 18, "0" * 64)
            for name in ("core.img", "shimx64.efi", "grubx64.efi", "grub.cfg", "ENGINE.CER")
        ),
    ),
)
LICENCES = {
    "en": "END USER LICENCE AGREEMENT\n\n" + "You may use this software. " * 60,
    "es": "ACUERDO DE LICENCIA\n\n" + "Usted puede usar este programa. " * 60,
}


@dataclass(frozen=True)
class Image:
    """An Engine image as far as a plan looks at it."""

    manifest: Manifest = MANIFEST


class Rehearsal:
    """``port.Installation`` on a recorded machine; executing goes through the plan's steps and writes nothing."""

    def __init__(self, detection: Detection, image: Image, licences: dict[str, str]) -> None:
        self._detection = detection
        self.image = image
        self._licences = licences
        self.ended_by = ""
        self.has_unreadable_keys = False
        self.trusted_medium = False
        self.reported: Result | None = None

    @property
    def medium(self) -> Manifest:
        return self.image.manifest

    @property
    def mode(self) -> str:
        return "normal"

    def licence(self, language: str) -> str:
        return self._licences.get(language) or self._licences.get("en", "")

    def probe(self, observer: Observer) -> Detection:
        for disk in self._detection.disks:
            observer(Event("phase", disk.path, "detect", message=f"Looking at {disk.path}"))
        return self._detection

    def plan(self, choice: Choice) -> InstallPlan:
        return make_plan(self._detection, choice, self.image)

    def needs_medium_keys(self, plan: InstallPlan) -> bool:
        return self.has_unreadable_keys and plan.action in ("upgrade", "repair")

    def medium_key(self) -> SignatureCheck:
        return SignatureCheck("good", "E7620F1842B4E81F", "public test key")

    def execute(
        self, plan: InstallPlan, observer: Observer, cancel: Cancel, *, trust_medium: bool = False
    ) -> Result:
        """Show each step; nothing is written."""
        self.trusted_medium = trust_medium
        for step in plan.steps:
            cancel.check()
            observer(Event("phase", plan.disk, step.key, total_bytes=step.bytes, message=step.what))
            observer(Event("progress", plan.disk, step.key, step.bytes, step.bytes))
        return Result("done", "", 12.0, plan.install_id)

    def write_report(self, plan: InstallPlan | None, result: Result) -> str:
        self.reported = result
        return "The report is on the stick: reports/20260101T000000Z-7XK2P5J-0a1b.json"

    def finish(self, action: str) -> None:
        if action not in ("poweroff", "reboot", "wait"):
            raise RefusedError(f"“{action}” is no way to end.", "Use poweroff, reboot or wait.")
        self.ended_by = action


def installation(machine: str) -> Rehearsal:
    detection = Detection.loads((MACHINES / f"{machine}.json").read_text())
    return Rehearsal(detection, Image(), LICENCES)


@pytest.fixture
def app_on() -> Callable[..., InstallerApp]:
    """``app_on("engine-5.0")``: the installer on that recorded machine."""

    def make(machine: str, language: str = "en", tty: str = "/dev/ttyS0") -> InstallerApp:
        return InstallerApp(installation(machine), Draft(language=language), tty)

    return make


@pytest.fixture
def machine_on() -> Callable[[str], Rehearsal]:
    """``machine_on("engine-5.0")``: the installation on that recorded machine."""
    return installation
