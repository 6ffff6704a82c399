"""Owns looking into a system image before it goes onto a medium: is everything there that boots a slot?

A system image without a xen.efi that carries the Engine's signature is packed again, with one made from the
Xen, kernel and initrd inside it. Never changes the image that was given.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from mediakit import run
from mediakit.errors import SourceError
from mediakit.formats import squashfs
from mediakit.reference import signing, xen_efi

_NEEDED = ("boot/xen.gz", "boot/vmlinuz", "boot/initrd")
_UNIFIED = "boot/xen.efi"
_READABLE = ("gzip", "xz", "lzo")  # what GRUB 2.06 can read
_TIMEOUT = 1800.0


def check(image: Path) -> None:
    """SourceError when ``image`` is no squashfs that GRUB reads, or lacks a file that boots it."""
    try:
        with image.open("rb") as file:
            compression = squashfs.parse(file.read(96)).compression
    except OSError as error:
        raise SourceError(f"The system image {image} cannot be read: {error.strerror}.") from error
    if compression not in _READABLE:
        raise SourceError(
            f"The system image is compressed with {compression}, which GRUB cannot read.",
            f"Use one of: {', '.join(_READABLE)} (mksquashfs -comp).",
        )
    present = _files(image)
    missing = [f"/{name}" for name in _NEEDED if name not in present]
    if missing:
        raise SourceError(
            f"The system image lacks {', '.join(missing)}.", "BIOS starts a slot from these three files."
        )


def has_signed_xen(image: Path, cert: Path) -> bool:
    """Whether ``image`` holds a xen.efi that ``cert`` signed."""
    if _UNIFIED not in _files(image):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "xen.efi")
        _read(image, _UNIFIED, copy)
        return signing.is_signed_by(copy, cert)


def with_signed_xen(image: Path, out: Path, sb_key: Path, sb_cert: Path, epoch: int) -> None:
    """Write ``image`` again to ``out``, with a unified xen.efi signed by ``sb_key``.

    The plain xen-*.efi of Debian's package must be in /boot; SourceError if it is not.
    """
    plain = sorted(name for name in _files(image) if re.fullmatch(r"boot/xen-[0-9][^/]*\.efi", name))
    if not plain:
        raise SourceError(
            "The system image has no signed /boot/xen.efi, and no /boot/xen-*.efi to make it from.",
            "Install xen-hypervisor-4.17-amd64 in it.",
        )
    with image.open("rb") as file:
        compression = squashfs.parse(file.read(96)).compression
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".repack-") as scratch:
        root = Path(scratch, "root")
        run.run(["unsquashfs", "-quiet", "-no-progress", "-d", root, image], timeout=_TIMEOUT)
        boot = root / "boot"
        xen_efi.unify(
            root / plain[-1],
            boot / "vmlinuz",
            boot / "initrd",
            boot / "xen.efi",
            sb_key,
            sb_cert,
            signing_time=epoch,
        )
        # SOURCE_DATE_EPOCH dates the filesystem, and whatever is newer.
        run.run(
            ["mksquashfs", root, out, "-noappend", "-quiet", "-no-progress", "-comp", compression],
            timeout=_TIMEOUT,
            env={"SOURCE_DATE_EPOCH": str(epoch)},
        )


def read(image: Path, name: str) -> bytes:
    """One file of ``image``; ToolError when it is not there."""
    return run.run(["unsquashfs", "-cat", image, name], timeout=300).stdout


def _files(image: Path) -> set[str]:
    listing = run.run(["unsquashfs", "-l", "-d", "", image, "boot"], timeout=120)
    return {line.lstrip("/") for line in listing.text.splitlines()}


def _read(image: Path, name: str, copy: Path) -> None:
    with copy.open("wb") as file:
        run.run(["unsquashfs", "-cat", image, name], timeout=300, stdout=file)
