"""``engine-update``: upgrade the running Engine, say how that stands, go back."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mediakit.cli.text import settle_streams
from mediakit.errors import CancelledError, MediakitError

STATES = {
    "": "No update is under way.",
    "pending": "An update is being written.",
    "signalled": "An update was ordered and has not begun.",
    "installed": "An update is installed; a restart is required.",
    "failed": "The last update failed.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; returns the documented exit status."""
    settle_streams()
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _complain(CancelledError())
    except MediakitError as error:
        return _complain(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="engine-update", description="Upgrade this running Engine.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    install = verbs.add_parser("install", help="write a newer version into the other slot")
    install.add_argument("image", type=Path, metavar="IMAGE")
    status = verbs.add_parser("status", help="how the last update stands")
    rollback = verbs.add_parser("rollback", help="start the other version next time")
    for verb in (install, status, rollback):
        verb.add_argument("--json", action="store_true", help="print one JSON document")
    install.add_argument("--progress", choices=("auto", "json", "none"), default="auto")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from mediakit.install.online import Online

    online = Online()
    if arguments.verb == "install":
        from mediakit.cli.progress import observer
        from mediakit.engine.image import open_engine

        with (
            open_engine(arguments.image) as image,
            observer(arguments.progress, quiet=arguments.json) as watch,
        ):
            result = online.install(image, watch)
            if result.result == "already" and not arguments.json:
                print(result.reason)
                return 0
    elif arguments.verb == "rollback":
        online.rollback()
    status = online.status()
    if arguments.json:
        print(json.dumps(status.to_json()))
    else:
        words = STATES[status.state]
        versions = f" {status.from_} → {status.to}." if status.to else ""
        print(f"{words}{versions} {status.reason}".strip())
    return 0


def _complain(error: MediakitError) -> int:
    print(f"engine-update: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
    return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
