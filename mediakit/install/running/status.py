"""The document of ``ENGINE-READY``, ``ENGINE-DEGRADED`` and ``engine status --json``. Reads only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mediakit.engine.release import PATH as RELEASE_PATH
from mediakit.engine.release import Release
from mediakit.engine.release import parse as parse_release
from mediakit.install.running import health
from mediakit.install.running.boot import Boot
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Status:
    """One Engine as it runs; ``why_not`` is empty when it is healthy."""

    release: Release
    boot: Boot
    xen: str
    secure_boot: bool
    state: str
    vms: tuple[dict[str, Any], ...]
    why_not: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """FORMATS, Console: ``why_not`` is there only when something is wrong."""
        document: dict[str, Any] = {
            "version": self.release.version, "build": self.release.build, "slot": self.boot.slot,
            "why": self.boot.why, "fell_back_from": self.boot.fell_back_from,
            "install_id": self.boot.install_id, "layout": self.release.layout, "xen": self.xen,
            "secure_boot": self.secure_boot, "state": self.state, "vms": list(self.vms),
        }  # fmt: skip
        return document | ({"why_not": list(self.why_not)} if self.why_not else {})


def release(root: Path = Path("/")) -> Release:
    """The release of the running system image."""
    return parse_release((root / RELEASE_PATH.lstrip("/")).read_bytes())


def gather(boot: Boot, more_problems: tuple[str, ...] = ()) -> Status:
    """Ask every question of the health check once."""
    state_problems = health.store_problems(health.STATE, "The state")
    vms = health.read_vms()
    problems = [
        *more_problems,
        *health.initrd_problems(),
        *health.xen_problems(),
        *state_problems,
        *health.store_problems(health.VMS, "The VM store"),
        *health.vm_problems(vms, health.known_vms()),
    ]
    return Status(
        release(),
        boot,
        health.xen_version(),
        health.secure_boot(),
        "damaged" if state_problems else "ok",
        vms.definitions,
        tuple(problems),
    )
