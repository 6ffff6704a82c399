"""``mediakit build-reference``: the reference Engine's ISO, from Debian's packages and the tree's recipe."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mediakit.errors import SourceError

if TYPE_CHECKING:
    from mediakit.progress import Event


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of ``mediakit build-reference``."""
    parser.add_argument("version", metavar="VERSION", help="the version to build: 5.0 or 5.1")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="ISO")
    parser.add_argument(
        "--non-free-firmware", action="store_true", help="add Debian's firmware packages for real machines"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Build both layers (or take them from the cache), then the signed ISO around them."""
    from mediakit.engine import signature
    from mediakit.reference import bootfiles, debs, medium, signing
    from mediakit.reference.artefacts import artefacts
    from mediakit.reference.metadata import of_version
    from mediakit.reference.system import KEYS
    from mediakit.reference.versions import find
    from mediakit.units import format_size

    find(arguments.version)
    folder = arguments.output.absolute().parent
    if not folder.is_dir():
        raise SourceError(f"The folder {folder} does not exist.", "Make it first.")
    if not os.access(folder, os.W_OK):
        raise SourceError(f"Nothing can be written into {folder}.", "Name another folder with -o.")
    built = artefacts(arguments.version, non_free_firmware=arguments.non_free_firmware, observer=_say)
    spec = medium.MediumSpec(
        system=built.system,
        installer=built.installer,
        metadata=of_version(built.version),
        boot=bootfiles.build(debs.default_cache()),
        certificate=signing.to_der(KEYS / "sb-test.crt"),
        key=signature.load_secret((KEYS / "engine-test.key").read_text(), "engine-test.key"),
    )
    manifest = medium.build_medium(spec, arguments.output)
    size = format_size(arguments.output.stat().st_size)
    print(f"{arguments.output}: {manifest.product} {manifest.version} build {manifest.build}, {size}")
    return 0


def _say(event: Event) -> None:
    if event.kind in ("phase", "warning") and event.message:
        print(event.message, file=sys.stderr)
