"""``mediakit build``: a system image plus metadata and keys in, a signed Engine ISO out."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from mediakit.errors import SourceError


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of ``mediakit build``."""
    add = parser.add_argument
    add(
        "--system", type=Path, required=True, metavar="SQUASHFS", help="the system image, the bytes of a slot"
    )
    add("--installer", type=Path, required=True, metavar="SQUASHFS", help="layered over it on the medium")
    add(
        "--metadata",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON or TOML: product, version, build, …",
    )
    add("--key", type=Path, required=True, help="minisign secret key without a password, signs the manifest")
    add("--sb-key", type=Path, required=True, metavar="KEY", help="Secure Boot key (PEM), signs xen.efi")
    add("--sb-cert", type=Path, required=True, metavar="CERT", help="its certificate (PEM)")
    add("-o", "--output", type=Path, required=True, metavar="ISO")


def execute(arguments: argparse.Namespace) -> int:
    """Build the ISO and say what it is."""
    from mediakit.engine import signature
    from mediakit.reference import bootfiles, debs, medium, metadata, signing, slotimage
    from mediakit.units import format_size

    for path in (arguments.system, arguments.installer, arguments.key, arguments.sb_key, arguments.sb_cert):
        if not path.is_file():
            raise SourceError(f"{path} is not a file.", "Look at the command's arguments again.")
    if not arguments.output.resolve().parent.is_dir():
        raise SourceError(f"The folder {arguments.output.parent} does not exist.", "Make it first.")
    meta = metadata.read(arguments.metadata)
    key = signature.load_secret(arguments.key.read_text(), str(arguments.key))
    slotimage.check(arguments.system)
    with tempfile.TemporaryDirectory(dir=arguments.output.resolve().parent, prefix=".build-") as scratch:
        system = arguments.system
        if not slotimage.has_signed_xen(system, arguments.sb_cert):
            print("The system image has no xen.efi signed with this key: packing it again with one.")
            system = Path(scratch, "system.squashfs")
            slotimage.with_signed_xen(
                arguments.system, system, arguments.sb_key, arguments.sb_cert, meta.epoch
            )
        spec = medium.MediumSpec(
            system=system,
            installer=arguments.installer,
            metadata=meta,
            boot=bootfiles.build(debs.default_cache()),
            certificate=signing.to_der(arguments.sb_cert),
            key=key,
        )
        manifest = medium.build_medium(spec, arguments.output)
    size = format_size(arguments.output.stat().st_size)
    print(f"{arguments.output}: {manifest.product} {manifest.version} build {manifest.build}, {size}")
    return 0
