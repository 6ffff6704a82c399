"""``mediakit answers``: print an example, or check a file (valid? and what it would do on a machine)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediakit.engine.answers import Answers


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="answers_action", metavar="example|check", required=True)
    actions.add_parser("example", help="print a commented answer file that is valid as it stands")
    check = actions.add_parser("check", help="say everything that is wrong with an answer file")
    check.add_argument("file", metavar="F", type=Path)
    check.add_argument(
        "--machine",
        metavar="FILE",
        type=Path,
        help="a machine recorded by detect --save: what would happen there",
    )
    check.add_argument("--image", metavar="IMAGE", type=Path, help="the Engine image that would be installed")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.engine import answers

    if arguments.answers_action == "example":
        print(answers.example(), end="")
        return 0
    try:
        found = answers.load(arguments.file)
    except answers.AnswersError as error:
        for problem in error.problems:
            print(problem.text(str(arguments.file)), file=sys.stderr)
        return 1
    if found.system is not None and answers.is_exposed(arguments.file):
        print(f"mediakit: {arguments.file} can be read by others than its owner.", file=sys.stderr)
        print(f"  chmod 600 {arguments.file}", file=sys.stderr)
    print(f"{arguments.file}: valid. Action: {found.action}.")
    if arguments.machine is not None:
        print(_what_would_happen(found, arguments.machine, arguments.image))
    return 0


def _what_would_happen(found: Answers, machine: Path, image_path: Path | None) -> str:
    """The plans these answers lead to on a recorded machine; RefusedError and its kin where they stop."""
    import contextlib

    from mediakit.cli.install import describe
    from mediakit.engine.image import open_engine
    from mediakit.errors import SourceError
    from mediakit.install.answering import choices
    from mediakit.install.machine import Detection
    from mediakit.install.plan import make_plan

    try:
        detection = Detection.loads(machine.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{machine} cannot be read: {error}.", "Record a machine: mediakit detect --image ISO --save F"
        ) from None
    with contextlib.ExitStack() as stack:
        image = stack.enter_context(open_engine(image_path)) if image_path else None
        plans = [make_plan(detection, choice, image) for choice in choices(detection, found)]
    return "\n".join(describe(plan) for plan in plans)
