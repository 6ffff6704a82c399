"""The report of one machine on ENGINE-DATA: ``/reports/<UTC>-<machine>-<4 hex>.json`` and ``.log``."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mediakit import run
from mediakit.block import devices
from mediakit.errors import MediakitError
from mediakit.install.execute import Result
from mediakit.install.facts import JUNK
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan

LABEL = "ENGINE-DATA"
_SECONDS = 60.0


def document(
    detection: Detection | None, plan: InstallPlan | None, result: Result, started: float
) -> dict[str, Any]:
    """The report's JSON; never a secret."""
    disk = detection.disk(plan.disk) if detection is not None and plan is not None else None
    engines = [] if disk is None else [
        {"install_id": e.install_id, "version": e.version, "build": e.build, "state": e.state}
        for e in disk.engines
    ]  # fmt: skip
    target = (
        None if disk is None else {"path": disk.path, "serial": disk.serial, "size_bytes": disk.size_bytes}
    )
    return {
        "schema": 1,
        "machine": asdict(detection.machine) if detection is not None else {},
        "action": plan.action if plan else "",
        "found": engines,
        "target": target,
        "result": result.result,
        "reason": result.reason,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(result.seconds, 1),
        "install_id": result.install_id,
    }


def file_name(report: dict[str, Any], mac: str) -> str:
    """The report's name without its ending; a junk serial falls back to the UUID, then to a MAC address."""
    machine = report["machine"]
    known = (str(machine.get("serial", "")), str(machine.get("uuid", "")), mac)
    name = next((text for text in known if text.lower() not in JUNK and set(text) - set("0-:f")), "machine")
    stamp = re.sub(r"[-:]", "", report["started"])
    return f"{stamp}-{re.sub(r'[^A-Za-z0-9]+', '_', name)[:40]}-{secrets.token_hex(2)}"


def first_mac(net: Path = Path("/sys/class/net")) -> str:
    """The address of the first real network card."""
    for card in sorted(net.glob("*/device")):
        try:
            return (card.parent / "address").read_text().strip()
        except OSError:
            continue
    return ""


def find_data() -> str:
    """The partition of a plugged ENGINE-DATA stick, or nothing."""
    for device in devices.list_devices():
        for content in device.contents:
            if content.kind == "vfat" and content.label.strip() == LABEL and content.partition:
                middle = "p" if device.path[-1].isdigit() else ""
                return f"{device.path}{middle}{content.partition}"
    return ""


def save(report: dict[str, Any], log: str) -> str:
    """Put the report on ENGINE-DATA; a sentence that says where it lies, or that it does not."""
    try:
        partition = find_data()
        if not partition:
            return "No stick with ENGINE-DATA is plugged in: the report was not saved."
        name = save_on(partition, report, log)
    except (MediakitError, OSError) as error:
        return f"The report could not be saved on the stick: {error}"
    return f"The report is on the stick: reports/{name}.json"


def save_on(partition: str, report: dict[str, Any], log: str) -> str:
    """Put the report on the ENGINE-DATA ``partition``; its name without ending, ToolError or OSError."""
    options = "nosuid,nodev,noexec,sync"
    with tempfile.TemporaryDirectory(prefix="engine-data-") as folder:
        run.run(["mount", "-t", "vfat", "-o", options, partition, folder], timeout=_SECONDS)
        try:
            return write(Path(folder), report, log)
        finally:
            run.run(["umount", folder], timeout=_SECONDS)


def write(root: Path, report: dict[str, Any], log: str) -> str:
    """The two files below ``root``; returns their name without ending."""
    folder = root / "reports"
    folder.mkdir(exist_ok=True)
    name = file_name(report, first_mac())
    (folder / f"{name}.log").write_text(log)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")
    run.run(["sync", "-f", str(folder)], timeout=_SECONDS)
    return name
