"""``engine`` inside a running Engine: ``engine status [--json]``, ``engine boot``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from mediakit.cli.main import complain
from mediakit.cli.text import settle_streams
from mediakit.errors import MediakitError, UsageError
from mediakit.units import format_size


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    settle_streams()
    parser = argparse.ArgumentParser(prog="engine", description="The Engine that runs here.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    status = verbs.add_parser("status", help="version, slot, health and VMs")
    status.add_argument("--json", action="store_true", help="the document of ENGINE-READY")
    verbs.add_parser("boot", help="how this Engine was started: /run/engine/boot.json")
    arguments = parser.parse_args(argv)
    try:
        return _boot() if arguments.verb == "boot" else _status(arguments.json)
    except PermissionError as error:
        complain(UsageError(f"This needs root: {error.filename}.", f"Run sudo engine {arguments.verb}."))
        return UsageError.exit_status
    except MediakitError as error:
        complain(error)
        return error.exit_status


def _boot() -> int:
    from mediakit.install.running import boot

    boot.read()
    sys.stdout.write(boot.PATH.read_text())
    return 0


def _status(as_json: bool) -> int:
    from mediakit.install.running import boot, status

    found = status.gather(boot.read())
    if as_json:
        print(json.dumps(found.to_json()))
        return 0
    release = found.release
    print(f"{release.product} {release.version} (build {release.build}), slot {found.boot.slot}")
    print(f"Started because: {found.boot.why}{_fell_back(found.boot.fell_back_from)}")
    print(f"Xen {found.xen or 'is not running'}; Secure Boot {'on' if found.secure_boot else 'off'}")
    print(f"Install id {found.boot.install_id}, disk {found.boot.disk}")
    for vm in found.vms:
        memory = format_size(int(vm["memory_bytes"]))
        print(f"VM {vm['name']}: {vm['origin']}, {memory}, drivers {vm['pv_driver']}")
    if not found.vms:
        print("No VMs.")
    for problem in found.why_not:
        print(f"Not healthy: {problem}")
    return 0


def _fell_back(slot: str) -> str:
    return f" (slot {slot} did not become good)" if slot else ""


if __name__ == "__main__":
    sys.exit(main())
