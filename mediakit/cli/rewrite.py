"""``mediakit rewrite``: parse, ask where a stick is changed, have it done, print."""

from __future__ import annotations

import argparse
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mediakit.errors import SourceError, UsageError

if TYPE_CHECKING:
    from mediakit.block.devices import Device
    from mediakit.engine.rewriting import Request
    from mediakit.engine.signature import SecretKey
    from mediakit.iso.menuedit.menuentries import NewEntry
    from mediakit.progress import Observer
    from mediakit.stick.rewrite import Job, Outcome

_MAX_REGIONS_SHOWN = 40


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", type=Path, metavar="IMAGE|DEVICE", help="a disc image, or a stick that was written from one")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", type=Path, metavar="OUT", help="the edited image, a new file")
    place.add_argument("--in-place", action="store_true", help="change the image or stick itself")
    add(
        "--answers", type=Path, metavar="F", help="answers.toml for an unattended installation (Engine media)"
    )
    add("--add", action="append", default=[], metavar="SRC=DST", help="put a file or folder into the image")
    add("--remove", action="append", default=[], metavar="P", help="remove a file or folder")
    add("--kernel-arg", action="append", default=[], metavar="A", help="for every Linux entry of every menu")
    add(
        "--kernel-arg-remove",
        action="append",
        default=[],
        metavar="A",
        help="out of every Linux entry: the whole argument, or KEY= for all its values",
    )
    add(
        "--menu-entry",
        action="append",
        default=[],
        metavar="TITLE=ARGS",
        help="in every menu a copy of the Linux entry that starts unasked, with ARGS for its kernel",
    )
    add("--menu-remove", action="append", default=[], metavar="TITLE", help="an entry out of every menu")
    add("--menu-default", default="", metavar="E", help="what starts unasked: number from 0, name or title")
    add("--menu-timeout", type=int, metavar="S", help="seconds; 0 starts at once, -1 waits for ever")
    add("--branding", type=Path, metavar="DIR", help="becomes /custom/branding (Engine media)")
    add("--label", default="", metavar="L", help="the volume label, also where menus name it")
    add("--usb-bootable", action="store_true", help="what an image that boots from disc only needs for USB")
    add("--sign", type=Path, metavar="KEY", help="minisign secret key, signs the list of what is custom")
    add("--by", default="", metavar="NAME", help="who customised it, as inspect shows it")
    add("--compact", action="store_true", help="no dead space, no undo history, nothing of what was replaced")
    add("--undo", action="store_true", help="take the last edit back")
    add("--dry-run", action="store_true", help="only print what would be written")
    add("--force", action="store_true", help="also what breaks a way to boot, or the maker's signature")
    add("--yes", action="store_true", help="do not ask for the typed confirmation of a stick")
    add("--progress", choices=("auto", "json", "none"), default="auto")
    add("--json", action="store_true", help="print only the result, as JSON")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.cli import progress
    from mediakit.cli.stopping import stopped_by_signals
    from mediakit.progress import Event
    from mediakit.stick.rewrite import Job

    with (
        stopped_by_signals() as cancel,
        progress.observer(arguments.progress, quiet=arguments.json) as observer,
    ):
        outcome = _rewrite(arguments, Job(observer, cancel), observer)
        if arguments.progress == "json":
            observer(Event("result", str(arguments.image), result=outcome.to_json()))
    if arguments.progress != "json":
        print(json.dumps(outcome.to_json(), indent=2) if arguments.json else describe(outcome))
    return 0


def _rewrite(arguments: argparse.Namespace, job: Job, observer: Observer) -> Outcome:
    from mediakit.stick import rewrite

    path: Path = arguments.image
    if not path.exists():
        raise SourceError(f"{path} does not exist.", "Check the name.")
    request = _request(arguments)
    _check_usage(arguments, request)
    if arguments.dry_run:
        return rewrite.dry_run(path, request, compact=arguments.compact)
    if not arguments.in_place:
        if arguments.undo:
            return rewrite.undo_into(path, arguments.output, job=job)
        return rewrite.into(path, request, arguments.output, compact=arguments.compact, job=job)
    if arguments.compact:
        return rewrite.compact_in_place(path, request, job)
    device = _confirmed(arguments, observer)
    if arguments.undo:
        return rewrite.undo_in_place(path, expected=device, job=job)
    return rewrite.in_place(path, request, expected=device, job=job)


def _request(arguments: argparse.Namespace) -> Request:
    from mediakit.engine import rewriting
    from mediakit.iso.menuedit import kernelargs

    entries: tuple[NewEntry, ...] = ()
    if arguments.menu_entry:
        from mediakit.iso.menuedit import menuentries

        entries = tuple(menuentries.parse(text) for text in arguments.menu_entry)
    added = [put for text in arguments.add for put in rewriting.parse_add(text)]
    removed = [rewriting.parse_remove(text) for text in arguments.remove]
    signer = arguments.sign.stem if arguments.sign else ""
    if not f"{arguments.by}{signer}".isprintable():
        raise UsageError(
            "The name of who customised it has characters that cannot be shown.", "Use plain text."
        )
    return rewriting.Request(
        files=(*removed, *added),
        kernel_arguments=kernelargs.parse(arguments.kernel_arg),
        default=arguments.menu_default,
        timeout_seconds=arguments.menu_timeout,
        answers=None if arguments.answers is None else _answers(arguments.answers),
        branding=arguments.branding,
        label=arguments.label,
        usb_bootable=arguments.usb_bootable,
        by=arguments.by,
        signer=signer,
        key=None if arguments.sign is None else _key(arguments.sign),
        force=arguments.force,
        removed_arguments=kernelargs.parse_removals(arguments.kernel_arg_remove),
        entries=entries,
        removed_entries=tuple(arguments.menu_remove),
    )


def _key(path: Path) -> SecretKey:
    from mediakit.engine import keys

    return keys.load_secret_file(path)


def _answers(path: Path) -> str:
    """The text of an answer file, checked; a remark where others can read its password hash."""
    from mediakit.engine import answers

    text = answers.read_text(path)
    if answers.parse(text, path.name).system is not None and answers.is_exposed(path):
        print(f"mediakit: {path} can be read by others than its owner.", file=sys.stderr)
        print(f"  chmod 600 {path}; whoever has the image can read its answers, too.", file=sys.stderr)
    return text


def _check_usage(arguments: argparse.Namespace, request: Request) -> None:
    if arguments.undo and (not request.is_empty or arguments.compact or arguments.dry_run):
        raise UsageError("--undo takes the last edit back and nothing else.", "Make the new edit afterwards.")
    if request.is_empty and not arguments.undo and not arguments.compact:
        raise UsageError("Nothing to change was named.", "See: mediakit rewrite --help")
    if arguments.dry_run and arguments.compact and request.is_empty:
        raise UsageError(
            "--compact writes the whole image; there is no plan to show.", "Leave out --dry-run."
        )
    if not (arguments.in_place or arguments.output or arguments.dry_run):
        raise UsageError("Where to is not said.", "Add -o OUT for a new file, or --in-place.")


def _confirmed(arguments: argparse.Namespace, observer: Observer) -> Device | None:
    """The stick, unmounted and confirmed by its typed identity or ``--yes``; None for a file, which needs
    neither and is looked at once, when it is opened."""
    from mediakit.cli import asking

    if stat.S_ISREG(arguments.image.stat().st_mode):
        return None
    device = asking.free_device(arguments.image, observer)
    if not arguments.yes:
        asking.need_terminal("that the stick is changed", "Add --yes if it is right.")
        asking.show_device(device)
        asking.type_word(device.identity, "to change what is on it")
    return device


def describe(outcome: Outcome) -> str:
    """The result for people."""
    from mediakit.units import format_size

    size = format_size(outcome.bytes_written)
    heads: dict[str, Callable[[], str]] = {
        "done": lambda: f"{outcome.output or outcome.path}: edited, {size} written.",
        "already": lambda: (
            f"{outcome.output}: a copy of {outcome.path}, which is so already."
            if outcome.output
            else f"{outcome.path}: it is so already, nothing was written."
        ),
        "compacted": lambda: f"{outcome.output or outcome.path}: compacted, {size}.",
        "planned": lambda: f"{outcome.path}: {size} in {len(outcome.regions)} places would be written.",
        "undone": lambda: f"{outcome.output or outcome.path}: the last edit was taken back.",
    }
    lines = [heads[outcome.result]()]
    if outcome.result == "planned":
        for region in outcome.regions[:_MAX_REGIONS_SHOWN]:
            lines.append(f"{region['offset_bytes']:>14} {region['size_bytes']:>10}  {region['why']}")
        if len(outcome.regions) > _MAX_REGIONS_SHOWN:
            lines.append(f"  … and {len(outcome.regions) - _MAX_REGIONS_SHOWN} more (--json lists all)")
    lines += [f"  {note}" for note in outcome.notes]
    if outcome.undo["edits"] and outcome.result in ("done", "undone"):
        count = outcome.undo["edits"]
        lines.append(f"  --undo can take back {'one edit' if count == 1 else f'{count} edits'}.")
    return "\n".join(lines)
