"""``mediakit write``: parse, ask, write many sticks, print."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediakit.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from mediakit.block.devices import Device
    from mediakit.progress import Cancel, Observer
    from mediakit.stick.fleet import Options, Outcome, Prepared
    from mediakit.stick.source import Source


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an ISO or disk image; .xz, .gz, .zst too")
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="sticks (/dev/sdX) or ordinary files")
    parser.add_argument("--yes", action="store_true", help="do not ask for the typed confirmation")
    parser.add_argument("--size", metavar="N", help="make the target, a sparse file of this size (8G, 8GB)")
    parser.add_argument(
        "--no-delta", action="store_true", help="write everything, also what is right already"
    )
    parser.add_argument(
        "--no-data", action="store_true", help="no ENGINE-DATA partition; one that is there goes"
    )
    parser.add_argument("--no-probe", action="store_true", help="do not test for fake capacity")
    parser.add_argument("--answers", type=Path, metavar="F", help="answers.toml for ENGINE-DATA")
    parser.add_argument("--skip-refused", action="store_true", help="write the others if one is refused")
    parser.add_argument(
        "--usb-bootable", action="store_true", help="what an image that boots from disc only needs for USB"
    )
    parser.add_argument(
        "--wipe",
        action="append",
        default=[],
        metavar="IDENTITY",
        help="serial of a disk that is not removable",
    )
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto")
    parser.add_argument("--json", action="store_true", help="print only the result, as JSON")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.cli.stopping import stopped_by_signals
    from mediakit.stick.source import open_source

    with (
        stopped_by_signals() as cancel,
        _observer(arguments) as observer,
        open_source(arguments.image, observer, cancel) as source,
    ):
        return _write(arguments, source, observer, cancel)


def _write(arguments: argparse.Namespace, source: Source, observer: Observer, cancel: Cancel) -> int:
    from mediakit.stick import trust
    from mediakit.stick.bootable import make_bootable, offer
    from mediakit.stick.fleet import Fleet, Options, write_all

    options = Options(
        delta=not arguments.no_delta,
        probe=not arguments.no_probe,
        with_data=not arguments.no_data,
        answers=_answers(arguments.answers),
        wipe=tuple(arguments.wipe),
    )
    notes = make_bootable(source) if arguments.usb_bootable else offer(source)
    judge = trust.examine(source)
    sticks, refused = _prepare_all(arguments, source, options, observer)
    if refused and (not arguments.skip_refused or not sticks):
        return _finish(arguments, source, refused)
    _confirm(arguments, sticks)
    for stick in sticks:
        for note in (*judge.notes, *notes, *stick.plan.notes):
            _warn(observer, stick.device.path, note)
    fleet = Fleet(
        source, options, observer, cancel, locate=judge.locate, approve=judge.approve, audit=trust.audit
    )
    return _finish(arguments, source, [*refused, *write_all(fleet, sticks)])


def _prepare_all(
    arguments: argparse.Namespace, source: Source, options: Options, observer: Observer
) -> tuple[list[Prepared], list[Outcome]]:
    from mediakit.stick.fleet import Outcome, prepare

    sticks: list[Prepared] = []
    refused: list[Outcome] = []
    names = [str(Path(name).resolve()) for name in arguments.targets]
    if len(set(names)) != len(names):
        raise UsageError("The same target is named twice.", "Name each stick once.")
    for name in arguments.targets:
        try:
            device = _device(name, arguments.size, source, observer)
            sticks.append(prepare(source, device, options))
        except RefusedError as error:
            refused.append(Outcome(name, result="refused", error=error))
    return sticks, refused


def _device(name: str, size: str | None, source: Source, observer: Observer) -> Device:
    from mediakit.block.target import create_file
    from mediakit.cli import asking
    from mediakit.stick.fleet import same_disk
    from mediakit.units import parse_size

    if size is not None and not Path(name).exists():
        return create_file(name, parse_size(size))
    if size is not None:
        raise RefusedError(f"{name} is there already.", "Leave out --size to write to it as it is.")
    return asking.free_device(name, observer, may_unmount=lambda device: not same_disk(source, device))


def _confirm(arguments: argparse.Namespace, sticks: list[Prepared]) -> None:
    """The typed identity of every disk, on a terminal; ``--yes`` otherwise."""
    from mediakit.cli import asking

    if arguments.yes:
        return
    asking.need_terminal("what will be overwritten", "Add --yes if it is right.")
    for stick in sticks:
        asking.show_device(stick.device)
        print(f"  loses: {', '.join(stick.plan.loses) or 'what is on it'}", file=sys.stderr)
        if stick.plan.keeps:
            print(f"  keeps: {', '.join(stick.plan.keeps)}", file=sys.stderr)
        asking.type_word(stick.device.identity, "to overwrite it")


def _answers(path: Path | None) -> bytes | None:
    if path is None:
        return None
    from mediakit.engine.answers import parse

    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Check the name.") from error
    parse(text, path.name)
    return text.encode()


def _finish(arguments: argparse.Namespace, source: Source, outcomes: list[Outcome]) -> int:
    document = {"schema": 1, "image": source.name, "targets": [outcome.to_json() for outcome in outcomes]}
    if arguments.json and arguments.progress != "json":
        print(json.dumps(document))
    if arguments.progress == "json":
        from mediakit.progress import Event

        print(Event("result", result=document).to_json(), flush=True)
    skips = arguments.skip_refused and any(o.result != "refused" for o in outcomes)
    counted = [o for o in outcomes if not (skips and o.result == "refused")]
    for outcome in outcomes:
        _say(outcome, quiet=arguments.json or arguments.progress == "json")
    return max((o.error.exit_status for o in counted if o.error), default=0)


def _say(outcome: Outcome, *, quiet: bool) -> None:
    from mediakit.units import format_duration, format_size

    if outcome.error is not None:
        print(f"mediakit: {outcome.path}: {outcome.error.message}", file=sys.stderr)
        if outcome.error.hint:
            print(f"  {outcome.error.hint}", file=sys.stderr)
    elif not quiet:
        took = format_duration(outcome.seconds)
        if outcome.result == "already":
            print(f"{outcome.path}: everything was right already, nothing was written ({took}).")
        else:
            print(f"{outcome.path}: {format_size(outcome.bytes_written)} written and read back in {took}.")


def _warn(observer: Observer, target: str, message: str) -> None:
    from mediakit.progress import Event

    observer(Event("warning", target, message=message))


def _observer(arguments: argparse.Namespace) -> Any:
    from mediakit.cli import progress

    return progress.observer(arguments.progress, quiet=arguments.json)
