"""``mediakit answers``: print an example, or check a file (valid? and what it would do on a machine)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="answers_action", metavar="example|check", required=True)
    actions.add_parser("example", help="print a commented answer file that is valid as it stands")
    check = actions.add_parser("check", help="say everything that is wrong with an answer file")
    check.add_argument("file", metavar="F", type=Path)


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
    return 0
