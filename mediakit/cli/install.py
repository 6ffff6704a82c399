"""``mediakit install``: parse, plan, ask, carry out, print."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediakit.errors import MediakitError, RefusedError, UsageError

if TYPE_CHECKING:
    from mediakit.engine.image import EngineImage
    from mediakit.install.choice import Choice
    from mediakit.install.execute import Result
    from mediakit.install.machine import Detection
    from mediakit.install.plan import InstallPlan

ACTIONS = ("upgrade", "repair", "reinstall", "fresh", "rollback", "continue")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", type=Path, metavar="IMAGE", help="an Engine ISO, or where a medium is mounted"
    )
    parser.add_argument("disk", metavar="DISK", help="a disk, or a disk image in a file")
    parser.add_argument("--action", choices=ACTIONS, help="what to do (the answers' action else)")
    parser.add_argument("--answers", type=Path, metavar="F", help="answers.toml: action and settings")
    parser.add_argument(
        "--wipe", metavar="IDENTITY", default="", help="serial, file name or install id of what is destroyed"
    )
    parser.add_argument("--keep-vms", action="store_true", help="reinstall: leave the VM store untouched")
    parser.add_argument("--size", metavar="N", help="make DISK, a sparse file of this size (12G)")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask for the typed confirmation")
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto")
    parser.add_argument("--json", action="store_true", help="print plan and result as JSON")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.engine.image import open_engine

    with open_engine(arguments.image) as image:
        made = _make_disk(arguments)
        try:
            return _install(arguments, image)
        finally:
            if made and arguments.dry_run:
                Path(arguments.disk).unlink()


def _make_disk(arguments: argparse.Namespace) -> bool:
    from mediakit.block.target import create_file
    from mediakit.units import parse_size

    if arguments.size is None:
        if not Path(arguments.disk).exists():
            raise UsageError(f"{arguments.disk} does not exist.", "To make it: --size 12G")
        return False
    create_file(arguments.disk, parse_size(arguments.size))
    return True


def _install(arguments: argparse.Namespace, image: EngineImage) -> int:
    from mediakit.install.detect import detect
    from mediakit.install.plan import make_plan

    found = detect([arguments.disk], image)
    plan: InstallPlan | None = None
    try:
        plan = make_plan(found, _choice(arguments, found), image)
        if arguments.dry_run:
            return _finish(arguments, plan, None)
        _confirm(arguments, found, plan)
        trusts = _trusts_medium(arguments, image, plan)
        return _finish(arguments, plan, _carry_out(arguments, image, plan, trusts))
    except MediakitError as error:
        from mediakit.install.execute import Result

        kinds = {UsageError.exit_status: "refused", RefusedError.exit_status: "refused", 130: "interrupted"}
        if arguments.json or arguments.progress == "json":
            _finish(arguments, plan, Result(kinds.get(error.exit_status, "failed"), error.message))
        raise


def _choice(arguments: argparse.Namespace, found: Detection) -> Choice:
    from dataclasses import replace

    from mediakit.install.choice import Choice, Settings

    disk = found.disks[0].path
    settings = Settings()
    base = Choice(arguments.action or "", disk, settings=settings)
    if arguments.answers is not None:
        base = _from_answers(arguments, found)
    if not base.action:
        raise UsageError("Nothing was chosen: no --action and no --answers.", "\n  ".join(_offers(found)))
    return replace(base, wipe=arguments.wipe or base.wipe, keep_vms=arguments.keep_vms or base.keep_vms)


def _from_answers(arguments: argparse.Namespace, found: Detection) -> Choice:
    import time
    from dataclasses import replace

    from mediakit.engine import answers as answer_files
    from mediakit.install.answering import choices, settings_of
    from mediakit.install.choice import Choice

    action = "" if arguments.action in (None, "continue") else arguments.action
    answers = answer_files.load(arguments.answers, action=action, identity=arguments.wipe)
    accepted = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) if answers.licence_accepted else None
    settings = settings_of(answers, accepted=accepted)
    if arguments.action == "continue":
        return Choice("continue", found.disks[0].path, settings=settings)
    chosen = choices(found, replace(answers, action=action or answers.action), settings)
    return chosen[0]


def _offers(found: Detection) -> list[str]:
    lines = ["What is possible here:"]
    for disk in found.disks:
        for offer in [*disk.offers, *(offer for engine in disk.engines for offer in engine.offers)]:
            word = "yes" if offer.allowed else "no"
            lines.append(f"{offer.action}: {word}. {offer.reason}".rstrip())
    return lines


def _confirm(arguments: argparse.Namespace, found: Detection, plan: InstallPlan) -> None:
    from mediakit.cli import asking
    from mediakit.install.answering import identity

    if arguments.yes or plan.already:
        return
    asking.need_terminal("what will happen", "Look at --dry-run, then add --yes.")
    print(describe(plan), file=sys.stderr)
    asking.type_word(identity(found.disks[0]) or "yes", "to go on")


def _trusts_medium(arguments: argparse.Namespace, image: EngineImage, plan: InstallPlan) -> bool:
    """Where the Engine's keys cannot be read, the image's count if somebody types so; never by --yes."""
    from mediakit.cli import asking
    from mediakit.install import trust

    if not trust.needs_medium_keys(plan):
        return False
    if arguments.yes or not sys.stdin.isatty():
        raise trust.unreadable()
    key = trust.check_with_medium(image)
    print(trust.unreadable().message, file=sys.stderr)
    print(f"The image is signed with the key {key.key_id}, called “{key.key_name}”.", file=sys.stderr)
    asking.type_word("TRUST", "to use this key")
    return True


def _carry_out(arguments: argparse.Namespace, image: EngineImage, plan: InstallPlan, trusts: bool) -> Result:
    from mediakit.cli.progress import observer
    from mediakit.cli.stopping import stopped_by_signals
    from mediakit.install.execute import execute as carry_out

    with stopped_by_signals() as cancel, observer(arguments.progress, quiet=arguments.json) as watch:
        return carry_out(plan, image, watch, cancel, trust_medium=trusts)


def _finish(arguments: argparse.Namespace, plan: InstallPlan | None, result: Result | None) -> int:
    from mediakit.progress import Event

    document = _document(plan, result)
    if arguments.progress == "json":
        print(Event("result", arguments.disk, result=document).to_json(), flush=True)
    elif arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif result is None and plan is not None:
        print(describe(plan))
    elif result is not None:
        print(_sentence(plan, result))
    return 0


def _document(plan: InstallPlan | None, result: Result | None) -> dict[str, Any]:
    document: dict[str, Any] = {"schema": 1, "plan": plan.to_json() if plan else None}
    if result is not None:
        document |= {"result": result.result, "reason": result.reason, "seconds": round(result.seconds, 1)}
    return document


def _sentence(plan: InstallPlan | None, result: Result) -> str:
    from mediakit.units import format_duration

    if result.result == "already" or plan is None:
        return f"{result.reason} Nothing was written."
    return f"{plan.disk}: {plan.action} is done, in {format_duration(result.seconds)}."


def describe(plan: InstallPlan) -> str:
    """The plan for people: what is kept, rewritten and lost, and the steps."""
    from mediakit.units import format_size

    if plan.already:
        return f"This Engine is already version {plan.version}, build {plan.build}; nothing will be written."
    lines = [f"{plan.action} on {plan.disk}"]
    for head, sentences in (("keeps", plan.keeps), ("rewrites", plan.rewrites), ("loses", plan.loses)):
        lines += [f"  {head}: {sentence}" for sentence in sentences]
    lines += [f"  note: {note}" for note in plan.notes]
    lines += [
        f"  {step.n}. {step.what}" + (f" ({format_size(step.bytes)})" if step.bytes else "")
        for step in plan.steps
    ]
    return "\n".join(lines)
