"""``mediakit verify``: print what ``engine.verify`` found, as sentences or as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediakit.engine.verify import Verification


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE|DEVICE", type=Path, help="an ISO, a stick, a mounted medium")
    parser.add_argument(
        "--key", metavar="PUB", type=Path, help="trust this minisign public key, and only this one"
    )
    parser.add_argument(
        "--jobs", metavar="N", type=int, default=0, help="threads that hash; by default as many as are good"
    )
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    import json

    from mediakit.cli.progress import observer
    from mediakit.engine import keys
    from mediakit.engine.verify import verify
    from mediakit.errors import SourceError, UsageError
    from mediakit.progress import Event
    from mediakit.stick.judge import judge

    if not 0 <= arguments.jobs <= 256:
        raise UsageError(f"--jobs {arguments.jobs} is no number of threads.", "Write a number from 1 on.")
    trusted = None if arguments.key is None else (keys.load_key_file(arguments.key),)
    with observer(arguments.progress, quiet=arguments.json) as watch:
        found = verify(arguments.image, trusted, observer=watch, judge=judge, jobs=arguments.jobs)
        if found.checked_by == "none" and arguments.image.is_dir():
            raise SourceError(
                f"{arguments.image} is a folder that holds no medium.",
                "Name an image, a device, or a mounted medium.",
            )
        if arguments.progress == "json":
            watch(Event("result", str(arguments.image), result=found.to_json()))
    if arguments.progress != "json":
        print(json.dumps(found.to_json(), indent=2) if arguments.json else describe(found))
    return found.exit_status


def describe(found: Verification) -> str:
    """The result for people."""
    from mediakit.cli.text import line

    good = {
        "engine": "Every byte is what its maker published.",
        "md5": "Every byte is what its implanted MD5 was made of.",
        "sums": "What there are sums of is what they say.",
        "receipt": "Every byte is what was written to it.",
    }
    heads = {
        "ok": good.get(found.checked_by, ""),
        "damaged": "It is damaged.",
        "untrusted": "It cannot be trusted.",
        "unchecked": "It was not checked.",
    }
    lines = [f"{line(found.path)}: {heads[found.result]}"]
    for damage in found.damaged:
        end = damage.offset_bytes + damage.size_bytes
        lines.append(f"  {line(damage.path)}, bytes {damage.offset_bytes} to {end}: {damage.cause}.")
    lines += [f"  {line(note)}" for note in found.notes]
    if found.result == "damaged":
        lines.append("  Download or copy the image again; write the stick again.")
    return "\n".join(lines)
