"""``mediakit extract``: files and trees out of an image, and what was left out and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediakit.iso.extraction import Extraction

SHOWN = 20
"""So many lines of one kind are printed; --json has them all."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", metavar="IMAGE", type=Path, help="an ISO file, or the device of a stick or disc"
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="a file or folder of the image; / is everything"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        required=True,
        help="write below this folder, which is made if need be; every PATH keeps its name: DIR/PATH",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--progress", choices=("auto", "json", "none"), default="auto")
    parser.add_argument("--json", action="store_true", help="print what was extracted as one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit import iso
    from mediakit.cli.progress import observer
    from mediakit.cli.stopping import stopped_by_signals
    from mediakit.progress import Event

    with (
        iso.open_image(arguments.image) as image,
        stopped_by_signals() as cancel,
        observer(arguments.progress, quiet=arguments.json) as watch,
    ):
        found = iso.extract(
            image, arguments.paths, arguments.output, force=arguments.force, observer=watch, cancel=cancel
        )
        if arguments.progress == "json":
            watch(Event("result", str(arguments.image), result=found.to_json()))
    if arguments.progress == "json":
        return found.exit_status
    if arguments.json:
        import json

        print(json.dumps(found.to_json(), indent=2))
        return found.exit_status
    _show(found)
    return found.exit_status


def _show(found: Extraction) -> None:
    import sys

    from mediakit.cli.text import line
    from mediakit.units import format_size

    count = {
        kind: sum(one.kind == kind for one in found.extracted) for kind in ("file", "directory", "symlink")
    }
    size = format_size(sum(one.size_bytes for one in found.extracted))
    parts = [_counted(count["file"], "file"), _counted(count["directory"], "folder")]
    parts += [_counted(count["symlink"], "link")] if count["symlink"] else []
    print(f"{line(found.folder)}: {', '.join(parts)}, {size}.")
    for text in _complaints(found):
        print(f"mediakit: {line(text)}", file=sys.stderr)


def _complaints(found: Extraction) -> Iterator[str]:
    for left_out in (found.skipped, found.failed):
        yield from (f"{one.path} was left out: {one.why}." for one in left_out[:SHOWN])
        if len(left_out) > SHOWN:
            yield f"{len(left_out) - SHOWN} more were left out; --json lists them."
    for damage in found.damaged[:SHOWN]:
        start, end = damage.offset_bytes, damage.offset_bytes + damage.size_bytes
        yield f"{damage.path} was left out, bytes {start} to {end} of the image: {damage.cause}."
    if len(found.damaged) > SHOWN:
        yield f"{len(found.damaged) - SHOWN} more are damaged; --json lists them."
    if found.damaged:
        yield "The image is damaged or truncated: copy or download it again."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
