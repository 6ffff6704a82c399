"""``engine-installer``: the screens, or the unattended run when there are answers."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from installer_ui import console
from mediakit.errors import CancelledError, MediakitError, SourceError

if TYPE_CHECKING:
    from installer_ui.charge import Charge
    from mediakit.engine.answers import Answers
    from mediakit.install.session import Installation

ENVIRONMENT = {
    "TEXTUAL_DISABLE_KITTY_KEY": "1",
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_FPS": "20",
    "TEXTUAL_SMOOTH_SCROLL": "0",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The console script; returns the documented exit status."""
    arguments = _parser().parse_args(argv)
    os.environ.update(ENVIRONMENT)
    console.set_size(os.environ)
    try:
        return _run(arguments)
    except MediakitError as error:
        print(f"engine-installer: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return CancelledError.exit_status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engine-installer", description="Install, upgrade or repair Engine on this machine."
    )
    parser.add_argument("--answers", type=Path, metavar="F", help="answers.toml: run unattended")
    parser.add_argument("--machine", type=Path, metavar="F", help="a recorded machine (detect --save)")
    parser.add_argument("--image", type=Path, metavar="IMAGE", help="an Engine ISO instead of the medium")
    parser.add_argument("--dry-run", action="store_true", help="with answers: show the plan, write nothing")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from mediakit.install.session import Installation

    for path in (arguments.machine, arguments.answers):
        if path is not None and not path.is_file():
            raise SourceError(f"{path} is not there.", "Check the path.")
    with Installation.open(arguments.image, arguments.machine) as installation:
        charge = _charge(arguments)
        answers = _answers(arguments, installation)
        if answers is not None:
            status = _unattended(installation, answers, charge, dry_run=arguments.dry_run)
            if status is not None:
                return status
        return _screens(installation, charge, answers)


def _charge(arguments: argparse.Namespace) -> Charge | None:
    """The lock of the consoles; only where the installer is started on a booted medium."""
    from installer_ui.charge import RUN, Charge
    from mediakit.install.session import BOOT

    if arguments.machine or arguments.image or not BOOT.is_file():
        return None
    return Charge(RUN, console.tty_name())


def _answers(arguments: argparse.Namespace, installation: Installation) -> Answers | None:
    from mediakit.engine import answers as answer_files
    from mediakit.install import session, sources

    if arguments.answers is not None:
        return answer_files.load(arguments.answers)
    medium = session.booted_medium()
    if medium is None or arguments.machine or arguments.image:
        return None
    disk = session.boot_document().get("disk", "")
    return sources.find(installation.image, medium, disk, sources.COMMAND_LINE.read_text())


def _unattended(
    installation: Installation, answers: Answers, charge: Charge | None, *, dry_run: bool
) -> int | None:
    """The status of the unattended run; None when a key, or another console, asks for the screens."""
    from installer_ui import headless

    if charge is not None and not charge.take():
        return None
    begin = charge.begin if charge is not None else lambda: None
    with headless.keyboard() as key_pressed, headless.asked() as is_asked:
        run = headless.Unattended(
            installation, answers, sys.stdout, lambda s: is_asked() or key_pressed(s) or is_asked(), begin
        )
        try:
            return run.run(dry_run=dry_run)
        except headless.StoppedByKeyError as error:
            print(error)
            if charge is not None and is_asked():
                charge.release()
            return None
        except KeyboardInterrupt:
            run.cancel.set()
            raise


def _screens(installation: Installation, charge: Charge | None, answers: Answers | None) -> int:
    from installer_ui.app import InstallerApp
    from installer_ui.steps import Draft

    draft = Draft(mode=installation.mode)
    if answers is not None:
        draft = draft.change(language=answers.language, keyboard=answers.keyboard)
    app = InstallerApp(installation, draft, console.tty_name(), charge)
    status = app.run(mouse=False)
    return 130 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
