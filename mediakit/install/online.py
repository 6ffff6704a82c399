"""An upgrade from inside the running Engine, and what came of it (DESIGN: Inside a running Engine).

States: "" (nothing under way), pending (being written), signalled (told to, not begun), installed (reboot
required), failed. They are kept in ``/engine/state/update.json`` and judged against the boot choice.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mediakit.block import devices
from mediakit.block.target import open_target
from mediakit.engine.image import EngineImage
from mediakit.errors import FormatError, MediakitError, RefusedError, SourceError
from mediakit.install import bootenv, detect, facts, windows
from mediakit.install.choice import Choice
from mediakit.install.execute import Result, execute_live
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan, make_plan
from mediakit.progress import Cancel, Observer, ignore

STATE = Path("/engine/state")
BOOT = Path("/run/engine/boot.json")


@dataclass(frozen=True)
class Status:
    """``engine-update status --json`` without its schema number; ``from_`` is printed as ``from``."""

    state: str = ""
    from_: str = ""
    to: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """The document of FORMATS."""
        values = asdict(self)
        values["from"] = values.pop("from_")
        return {"schema": 1} | values


class Online:
    """The running Engine's own disk; SourceError elsewhere than in an Engine."""

    def __init__(self, boot: Path = BOOT, state: Path = STATE) -> None:
        try:
            document = json.loads(boot.read_text())
            if document["kind"] != "slot":
                raise SourceError(
                    "This is the Engine medium, not an installed Engine.", "Use mediakit install."
                )
            self._disk, self._esp = str(document["disk"]), str(document["esp"])
            self._slot = str(document["slot"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError("This is not a running Engine.", "Use mediakit install.") from error
        self._state = state
        self._file = state / "update.json"

    def status(self) -> Status:
        """How the last update stands."""
        try:
            values = json.loads(self._file.read_text())
            known = Status(values["state"], values["from"], values["to"], values["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            return Status()
        if known.state == "pending":
            return replace(known, state="failed", reason="The update was interrupted: start it again.")
        if known.state != "installed":
            return known
        with open_target(self._esp, writable=False) as esp:
            environment = bootenv.read(esp.reader, 0, esp.size_bytes)
        if environment.get("try"):
            return known
        if self._version(self._slot) == known.to:
            return Status()
        reason = f"Engine {known.to} did not call itself good; Engine {known.from_} is back."
        return replace(known, state="failed", reason=reason)

    def install(
        self, image: EngineImage, observer: Observer = ignore, cancel: Cancel | None = None
    ) -> Result:
        """Upgrade into the other slot; the state is kept for ``status``."""
        plan = self._plan("upgrade", image)
        if plan.already:
            return Result("already", f"Engine {plan.version} is installed already.", 0.0, plan.install_id)
        before = self._version(self._slot)
        self._keep(Status("pending", before, plan.version))
        try:
            result = execute_live(plan, image, self._partitions(), self._state, observer, cancel)
        except MediakitError as error:
            self._keep(Status("failed", before, plan.version, str(error)))
            raise
        self._keep(Status("installed", before, plan.version, "A restart is required."))
        return result

    def rollback(self) -> Result:
        """Try the other slot at the next start, or end a trial."""
        plan = self._plan("rollback", None)
        result = execute_live(plan, None, self._partitions(), self._state)
        to = self._version(plan.slot) if plan.slot else ""
        self._keep(
            Status("installed", self._version(self._slot), to, "A restart is required.") if to else Status()
        )
        return result

    def _plan(self, action: str, image: EngineImage | None) -> InstallPlan:
        device = devices.describe(self._disk, with_contents=False)
        machine = facts.machine()
        manifest = image.manifest if image is not None else None
        disk = detect.look_at(replace(device, allowed=True, reason="", hint=""), machine, manifest)
        if not disk.engines:
            raise RefusedError(f"No Engine was recognised on {self._disk}.", "Boot the Engine medium.")
        if disk.engines[0].state == "trial" and action == "upgrade":
            raise RefusedError(
                "This Engine is on trial: another update has to wait until it calls itself good.",
                "Restart, or try again in some minutes.",
            )
        return make_plan(Detection(machine, (disk,)), Choice(action, disk.path), image)

    def _partitions(self) -> dict[str, str]:
        with open_target(self._disk, writable=False) as target:
            found = windows.partitions(target)
        names = {windows.ESP, *windows.SLOT_NAMES.values()}
        inactive = "b" if self._slot == "a" else "a"
        names.discard(windows.SLOT_NAMES[self._slot])
        if windows.SLOT_NAMES[inactive] not in found:
            raise FormatError("The other system slot is missing.", "Boot the Engine medium.")
        middle = "p" if self._disk[-1].isdigit() else ""
        return {name: f"{self._disk}{middle}{found[name][0]}" for name in names if name in found}

    def _version(self, slot: str) -> str:
        try:
            document = json.loads((self._state / "slots" / slot / "manifest.json").read_text())
            return str(document["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _keep(self, status: Status) -> None:
        new = self._file.with_suffix(".new")
        with new.open("w") as file:
            json.dump(status.to_json(), file, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
