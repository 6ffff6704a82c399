"""Writing an image anew through xorriso: no dead space, no undo history, the same files and boot routes.

For when many edits have left their dead space behind. xorriso replays the boot equipment that it recognises;
whether the new image is as good as the old one is then judged by its files and its boot facts, before it gets
its name. What xorriso does not carry over (UDF, HFS+, zisofs) is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from mediakit import run
from mediakit.errors import MissingToolError, RefusedError
from mediakit.iso.image import Image, open_image
from mediakit.iso.tree import Node
from mediakit.progress import Cancel, Event, Observer, ignore
from mediakit.units import MIB

_KEEP = "Edit the image without --compact: that keeps everything."


def compact(
    source: Path, out: Path, *, observer: Observer = ignore, cancel: Cancel | None = None, force: bool = False
) -> None:
    """Write ``source`` anew to ``out``, which must not exist; it is removed again when it is not as good.

    RefusedError for what a rewrite would lose, DeviceError when xorriso fails.
    """
    stop = cancel or Cancel()
    if not run.has_tool("xorriso"):
        raise MissingToolError("xorriso is not installed.", "Install it: apt install xorriso")
    with open_image(source) as image:
        _refuse_lossy(image)
        observer(Event("phase", str(out), "write", total_bytes=image.size_bytes, message="writing anew"))
        try:
            run.run(_argv(image, source, out), timeout=300 + image.size_bytes // (4 * MIB))
            stop.check()
            with open_image(out) as new:
                problems = [*_compare_boot(image, new), *_compare_files(image, new, observer, stop)]
            if problems and not force:
                raise RefusedError(f"Written anew the image would not be the same: {problems[0]}", _KEEP)
            _flush(out)
        except BaseException:
            out.unlink(missing_ok=True)
            raise


def _refuse_lossy(image: Image) -> None:
    lost = {"udf": "a UDF tree", "apple_partition_map": "an Apple partition map"}
    for kind in image.facts().structures.filesystems:
        if kind in lost:
            raise RefusedError(f"The image has {lost[kind]}, which a full rewrite would lose.", _KEEP)
    for path, node in image.tree.walk():
        if node.is_zisofs:
            raise RefusedError(f"{path} is compressed (zisofs), which a full rewrite would lose.", _KEEP)


def _argv(image: Image, source: Path, out: Path) -> list[str]:
    volume = image.descriptors.find("primary")
    assert volume is not None
    argv = ["xorriso", "-abort_on", "FAILURE", "-return_with", "FAILURE", "32", "-report_about", "WARNING"]
    argv += ["-indev", f"stdio:{run.safe_path(source)}", "-outdev", f"stdio:{run.safe_path(out)}"]
    kinds = {tree.kind for tree in image.trees}
    argv += [
        "-rockridge",
        "on" if "rockridge" in kinds else "off",
        "-joliet",
        "on" if "joliet" in kinds else "off",
    ]
    argv += [
        "-compliance",
        "iso_9660_level=3:joliet_long_names:deep_paths:long_paths:long_names:lowercase:no_emul_toc",
    ]
    digits = "".join(c for c in volume.created if c.isdigit())
    if len(digits) == 14:
        # grub-mkrescue's images are found by this date: GRUB calls it the filesystem's UUID
        for what in ("c", "uuid"):
            argv += ["-volume_date", what, f"{digits}00"]
    return [*argv, "-boot_image", "any", "replay", "-changes_pending", "yes", "-commit", "-end"]


def _compare_boot(old: Image, new: Image) -> Iterator[str]:
    before, after = old.facts(), new.facts()
    if after.is_truncated:
        yield "its tables would say more than there is."
    if before.volume_id != after.volume_id:
        yield f"its label was “{before.volume_id}” and would be “{after.volume_id}”."
    for (name, route), (_, now) in zip(before.boot.items(), after.boot.items(), strict=True):
        if route.ok and not now.ok:
            yield f"it would lose a way to boot ({name}): {now.why}"
    missing = set(before.structures.filesystems) - set(after.structures.filesystems)
    if missing:
        yield f"it would lose its {sorted(missing)[0]} tree."
    if before.structures.gpt.primary is not None and after.structures.gpt.primary is None:
        yield "it would lose its partition table (GPT)."


def _compare_files(old: Image, new: Image, observer: Observer, cancel: Cancel) -> Iterator[str]:
    """Every path, kind and content of the old tree, in the new one."""
    loaders = {boot.path for boot in old.facts().boot_images}
    catalogs = {boot.path for boot in new.facts().boot_images}
    found = dict(new.tree.walk())
    done = 0
    observer(Event("phase", str(new.path), "verify", total_bytes=old.size_bytes, message="comparing"))
    for path, node in old.tree.walk():
        cancel.check()
        other = found.pop(path, None)
        if other is None:
            yield f"{path} would be missing."
        elif (other.kind, other.target) != (node.kind, node.target):
            yield f"{path} would be of another kind."
        elif node.kind == "file" and path not in loaders | catalogs and not _is_catalog(old, node):
            if other.size_bytes != node.size_bytes or _digest(old, node) != _digest(new, other):
                yield f"{path} would have other content."
            done += node.size_bytes
            observer(Event("progress", str(new.path), "verify", done, old.size_bytes))
    for path in found:
        yield f"{path} would be new."


def _is_catalog(image: Image, node: Node) -> bool:
    """The boot catalog names places, which are others in the new image."""
    lba = image.descriptors.boot_catalog_lba
    return lba is not None and node.extents[0].offset_bytes == lba * 2048


def _digest(image: Image, node: Node) -> bytes:
    digest = hashlib.sha256()
    for offset, size in node.extents:
        for start in range(offset, offset + size, MIB):
            digest.update(image.read_at(start, min(MIB, offset + size - start)))
    return digest.digest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
