"""Tells the technician's stick that an upgrade did not hold: the old Engine is back (result ``fell_back``).

At boot ``note`` leaves a request in /run where there is something to tell; udev starts this module when a
stick with ENGINE-DATA is there, at boot or later, and ``main`` puts the report on it, once for each trial.
What was told is remembered in the state. Without a stick the Engine's log alone says it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from mediakit.errors import MediakitError
from mediakit.install.running.status import Status

REQUEST = Path("/run/engine/fell-back.json")
TOLD = "logs/fell-back.json"
_LOG_BYTES = 64 << 10


def note(found: Status, state: Path, request: Path = REQUEST) -> None:
    """Leave the request for this start, unless it was told already; a start that fell back from nothing
    clears what was told, so that the next trial is told anew."""
    told = state / TOLD
    if not found.boot.fell_back_from:
        told.unlink(missing_ok=True)
        return
    lost = _slot(state, found.boot.fell_back_from)
    values = {"slot": found.boot.fell_back_from, "version": lost[0], "build": lost[1]}
    try:
        if json.loads(told.read_text()) == values:
            return
    except (OSError, ValueError):
        pass
    request.write_text(json.dumps(values))


def report(values: dict[str, Any], running: dict[str, Any], disk: str, install_id: str) -> dict[str, Any]:
    """The document for ENGINE-DATA; ``running`` is version and build of the Engine that is back."""
    from dataclasses import asdict

    from mediakit.block import devices
    from mediakit.install import facts

    known = devices.describe(Path(disk))
    new = f"Engine {values['version']}" if values["version"] else f"The system in slot {values['slot']}"
    reason = f"{new} did not call itself good; Engine {running['version']} is back."
    return {
        "schema": 1,
        "machine": asdict(facts.machine()),
        "action": "upgrade",
        "found": [{"install_id": install_id, "state": "ok"} | running],
        "target": {"path": disk, "serial": known.serial, "size_bytes": known.size_bytes},
        "result": "fell_back",
        "reason": reason,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": 0.0,
        "install_id": install_id,
    }


def main(state: Path = Path("/engine/state"), request: Path = REQUEST) -> int:
    """Save the report that was asked for; 0 also when there is none to save."""
    from mediakit.install import report as reports
    from mediakit.install.running import boot as boots
    from mediakit.install.running import status

    try:
        values = json.loads(request.read_text())
        partition = reports.find_data()
        if not partition:
            print("No stick with ENGINE-DATA is plugged in.")
            return 0
        boot, release = boots.read(), status.release()
        running = {"version": release.version, "build": release.build}
        document = report(values, running, boot.disk, boot.install_id)
        name = reports.save_on(partition, document, _log(state))
        request.unlink()
        (state / TOLD).write_text(json.dumps(values))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, MediakitError) as error:
        print(f"The report could not be saved: {error}", file=sys.stderr)
        return 1
    print(f"Reported on {partition}: reports/{name}.json")
    return 0


def _slot(state: Path, slot: str) -> tuple[str, int]:
    """Version and build that the slot's manifest names; nothing where it cannot be read."""
    try:
        document = json.loads((state / "slots" / slot / "manifest.json").read_text())
        return str(document["version"]), int(document["build"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", 0


def _log(state: Path) -> str:
    """The end of the Engine's own log."""
    try:
        data = (state / "logs/engine.log").read_bytes()[-_LOG_BYTES:]
    except OSError:
        return ""
    return data.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
