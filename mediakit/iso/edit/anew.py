"""Writing an image anew through xorriso, with the boot equipment that it recognises. Judges nothing.

What xorriso does not carry over at all (UDF, HFS+, HFS, zisofs) is named before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mediakit import run
from mediakit.errors import RefusedError
from mediakit.iso.image import Image
from mediakit.units import MIB

_JOLIET_SIGNS = 65
"""64 in name and extension, and the dot between them."""
_LOST = {"udf": "a UDF tree", "hfsplus": "an HFS+ tree", "hfs": "an HFS tree"}


def losses(image: Image) -> Iterator[str]:
    """Sentences on what of ``image`` would be lost however well it were written."""
    for kind in image.facts().structures.filesystems:
        if kind in _LOST:
            yield f"The image has {_LOST[kind]}, which a full rewrite would lose."
    for path, node in image.tree.walk():
        if node.is_zisofs:
            yield f"{path} is compressed (zisofs), which a full rewrite would lose."
            return


def write(image: Image, out: Path) -> None:
    """Write ``image`` to ``out``, which must not exist.

    DeviceError (ToolError) when xorriso fails, RefusedError when there is no room.
    """
    try:
        run.run(_argv(image, out), timeout=300 + image.size_bytes // (4 * MIB))
    except run.ToolError as error:
        if error.completed and "No space left" in error.completed.error_text:
            raise RefusedError(
                f"{out.parent} is full.", "Make room, or write to another filesystem."
            ) from error
        raise


def _argv(image: Image, out: Path) -> list[str]:
    volume = image.descriptors.find("primary")
    assert volume is not None
    argv = ["xorriso", "-no_rc", "-abort_on", "FAILURE", "-return_with", "FAILURE", "32"]
    argv += ["-report_about", "WARNING"]
    argv += ["-indev", f"stdio:{run.safe_path(image.path)}", "-outdev", f"stdio:{run.safe_path(out)}"]
    kinds = {tree.kind for tree in image.trees}
    for kind in ("rockridge", "joliet"):
        argv += [f"-{kind}", "on" if kind in kinds else "off"]
    rules = "iso_9660_level=3:deep_paths:long_paths:long_names:lowercase:no_emul_toc:joliet_long_names"
    argv += ["-compliance", rules if _has_long_joliet(image) else f"{rules}_off"]
    digits = "".join(c for c in volume.created if c.isdigit())
    if len(digits) == 14:
        # grub-mkrescue's images are found by this date: GRUB calls it the filesystem's UUID
        for what in ("c", "uuid"):
            argv += ["-volume_date", what, f"{digits}00"]
    # padding behind the backup partition table would leave that in the wrong place
    argv += ["-padding", "included", "-boot_image", "any", "replay"]
    return [*argv, "-changes_pending", "yes", "-commit", "-end"]


def _has_long_joliet(image: Image) -> bool:
    """Whether names are longer than what Joliet has room for by its own standard."""
    found = next((tree for tree in image.trees if tree.kind == "joliet"), None)
    return found is not None and any(
        len(path.rpartition("/")[2].encode("utf-16-be")) > 2 * _JOLIET_SIGNS for path, _ in found.walk()
    )
