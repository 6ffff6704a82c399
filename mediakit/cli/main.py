"""``mediakit``: finds the verb's module, calls it, turns errors into sentences and exit statuses.

A verb is a module ``mediakit.cli.VERB`` (``-`` becomes ``_``) with ``configure(parser)`` and
``execute(arguments) -> int``. Only the module of the verb that was asked for is imported, so ``--help``
stays fast.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from mediakit import __version__
from mediakit.cli.text import printable, settle_streams
from mediakit.errors import CancelledError, MediakitError, MissingToolError

VERBS: dict[str, str] = {
    "inspect": "what an image is, how it boots, what is odd about it",
    "audit": "whether an image or stick boots, or why not; repair its boot structures",
    "verify": "check every byte against manifest and signature",
    "rewrite": "change an image or a stick: files, kernel arguments, menu, label, answers",
    "extract": "files and trees out of an image, safely",
    "write": "write an image to sticks, read back, add a data partition",
    "devices": "the disks and sticks of this machine, and which may be written",
    "reports": "the machines that a stick has installed or upgraded",
    "detect": "the Engines on this machine's disks or on disk images",
    "install": "install, upgrade, repair, reinstall or roll back an Engine",
    "build": "a system image plus metadata and keys in, a signed Engine ISO out",
    "build-reference": "build the reference Engine's ISO",
    "boot": "boot an image or disk in QEMU",
    "answers": "an example of answers.toml, or check one",
    "keys": "make the keys that sign media, and sign with them",
}

_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""The interpreter's 700 are for programs that make garbage in circles; these run for a moment or do I/O."""


def run() -> NoReturn:
    """The console script: a process of its own, for one verb."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    status = main()
    gc.freeze()  # what is left ends with the process: nobody need look for circles in it
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run one verb, return the documented exit status."""
    settle_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words:
            return _screens()
        arguments = _parser(words).parse_args(words)
        module = importlib.import_module(_module(arguments.verb))
        status: int = module.execute(arguments)
        sys.stdout.flush()
        return status
    except MediakitError as error:
        complain(error)
        return error.exit_status
    except KeyboardInterrupt:
        complain(CancelledError())
        return CancelledError.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        complain(MediakitError(f"{error.strerror or error}{_where(error)}."))
        return MediakitError.exit_status


def complain(error: MediakitError) -> None:
    """Print *what happened*, then *what to do*, to standard error."""
    print(f"mediakit: {printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  {printable(error.hint)}", file=sys.stderr)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The options of the verb in ``words``; without the other verbs where it stands in front, as building
    them all takes longer than most of the rest."""
    verb = next((word for word in words if not word.startswith("-")), None)
    names = words[:1] if words[0] in VERBS else VERBS
    parser = argparse.ArgumentParser(
        prog="mediakit",
        description="Engine boot media: inspect, build, write, install from them.",
        formatter_class=_formatter,
    )
    parser.add_argument("--version", action="version", version=f"mediakit {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in names:
        summary = VERBS[name]
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=_formatter,
        )
        if name == verb:
            importlib.import_module(_module(name)).configure(subparser)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    """As wide as the terminal: argparse makes one for every option, and would load shutil to ask for that."""
    return argparse.HelpFormatter(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    try:
        return int(os.environ.get("COLUMNS", "")) or 80
    except ValueError:
        pass
    try:
        return os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns or 80
    except (OSError, ValueError):
        return 80


def _module(verb: str) -> str:
    return "mediakit.cli." + verb.replace("-", "_")


def _screens() -> int:
    from importlib import metadata

    for entry in metadata.entry_points(group="mediakit.ui"):
        if entry.name == "media":
            status: int = entry.load()()
            return status
    raise MissingToolError(
        "The technicians' screens are not installed here.",
        "Use the commands instead: mediakit --help lists them.",
    )


def _where(error: OSError) -> str:
    return f": {error.filename}" if error.filename else ""


if __name__ == "__main__":
    run()
