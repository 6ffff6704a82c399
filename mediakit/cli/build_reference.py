"""``mediakit build-reference VERSION -o ISO``: from Debian's packages to a signed Engine ISO."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mediakit.errors import SourceError


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of ``mediakit build-reference``."""
    add = parser.add_argument
    add("version", metavar="VERSION", help="5.0 or 5.1")
    add("-o", "--output", type=Path, required=True, metavar="ISO")
    add(
        "--non-free-firmware",
        action="store_true",
        help="with firmware packages, and the drivers that want them",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Build (or take from the cache) the two layers, then the medium; say what came out."""
    from mediakit.engine import signature
    from mediakit.progress import Event
    from mediakit.reference import artefacts, base, bootfiles, debs, medium, metadata, signing
    from mediakit.reference.system import KEYS
    from mediakit.units import format_size

    if not arguments.output.resolve().parent.is_dir():
        raise SourceError(f"The folder {arguments.output.parent} does not exist.", "Make it first.")

    def say(event: Event) -> None:
        print(event.message, file=sys.stderr, flush=True)

    made = artefacts.artefacts(
        arguments.version, base.default_cache(), non_free_firmware=arguments.non_free_firmware, observer=say
    )
    spec = medium.MediumSpec(
        system=made.system,
        installer=made.installer,
        metadata=metadata.of_version(made.version),
        boot=bootfiles.build(debs.default_cache()),
        certificate=signing.to_der(KEYS / "sb-test.crt"),
        key=signature.load_secret((KEYS / "engine-test.key").read_text(), "The public test key"),
    )
    manifest = medium.build_medium(spec, arguments.output)
    size = format_size(arguments.output.stat().st_size)
    print(f"{arguments.output}: {manifest.product} {manifest.version} (build {manifest.build}), {size}")
    return 0
