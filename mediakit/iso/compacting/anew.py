"""Writing an image anew through xorriso, with the boot equipment that it recognises. Judges nothing.

What xorriso does not carry over at all (UDF, HFS+, HFS, zisofs) is named before anything is written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from mediakit import run
from mediakit.errors import RefusedError
from mediakit.formats.gpt import GptPartition
from mediakit.iso.biosboot import BootImage
from mediakit.iso.image import Image
from mediakit.units import MIB, SECTOR

_FULL = ("No space left", "exceeds free space on media")
_REPLACED = ("efi_boot_part=", "appended_part_as=")
_NUMBER = re.compile(r"Appended([1-8])")
_JOLIET_SIGNS = 65
"""64 in name and extension, and the dot between them."""
_LOST = {
    "udf": "a UDF tree",
    "hfsplus": "an HFS+ tree",
    "hfs": "an HFS tree",
    "iso9660_1999": "long names by ISO 9660:1999",
}


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
        said = error.completed.error_text if error.completed else ""
        if any(words in said for words in _FULL):
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
    digits = "".join(c for c in volume.created if c.isdigit())
    if len(digits) == 14:
        # grub-mkrescue's images are found by this date: GRUB calls it the filesystem's UUID
        for what in ("c", "uuid"):
            argv += ["-volume_date", what, f"{digits}00"]
    # padding behind the backup partition table would leave that in the wrong place
    argv += ["-padding", "included", *_boot(image)]
    argv += ["-compliance", _compliance(image)]
    return [*argv, "-changes_pending", "yes", "-commit", "-end"]


def _compliance(image: Image) -> str:
    """How names look in the trees that are seldom read, but by boot loaders: as they did."""
    names = [
        record.name.split(b";")[0]
        for tree in image.trees
        if tree.kind in ("rockridge", "iso9660")
        for _, node in tree.walk()
        for record in node.records[:1]
    ]
    parts = [name.rpartition(b".") if b"." in name else (name, b"", b"") for name in names]
    is_short = all(len(stem) <= 8 and len(extension) <= 3 for stem, _, extension in parts)
    is_large = any(len(node.records) > 1 for _, node in image.tree.walk())
    rules = [f"iso_9660_level={1 if is_short and not is_large else 3}", "deep_paths", "long_paths"]
    rules += ["no_emul_toc", "joliet_long_names" if _has_long_joliet(image) else "joliet_long_names_off"]
    rules.append("lowercase" if any(name != name.upper() for name in names) else "lowercase_off")
    rules.append("long_names" if any(len(name) > 31 for name in names) else "long_names_off")
    return ":".join(rules)


def _boot(image: Image) -> list[str]:
    """The boot equipment: what xorriso proposes; EFI partitions that it does not see any more are appended.

    It takes a partition for an appended one only if it lies behind the volume, and an edit makes the volume
    reach over it.
    """
    structures = image.facts().structures
    table = structures.gpt.primary
    parts = {part.start_lba * SECTOR: part for part in (table.partitions if table else ())}
    appended = [
        (boot, parts[boot.offset_bytes])
        for boot in image.facts().boot_images
        if boot.entry.is_efi and not boot.path and boot.offset_bytes in parts
    ]
    if not appended:
        return ["-boot_image", "any", "replay"]
    proposed = _proposed(image)
    entries = [words for words in proposed if words[1].startswith(("bin_path=", "efi_path="))]
    if len(entries) + len(appended) != len(image.facts().boot_images):
        return ["-boot_image", "any", "replay"]
    if structures.mbr is not None and not structures.mbr.has_protective and structures.mbr.partitions:
        kind = structures.mbr.partitions[0].type
        proposed += [["any", "part_like_isohybrid=on"], ["any", f"iso_mbr_part_type={kind:#04x}"]]
    argv = [word for words in proposed for word in ("-boot_image", *words)]
    for boot, part in appended:
        argv += _appended(boot, part, image.path)
    return argv


def _proposed(image: Image) -> list[list[str]]:
    """What xorriso proposes for the boot image command, without partitions, up to the last entry."""
    words = ["xorriso", "-no_rc", "-return_with", "FAILURE", "32"]
    words += ["-indev", f"stdio:{run.safe_path(image.path)}"]
    text = run.run([*words, "-report_system_area", "cmd", "-end"], timeout=120).text
    found = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("-boot_image ")]
    found = [words for words in found if not words[1].startswith(_REPLACED)]
    while found and found[-1][1] == "next":
        found.pop()
    return found


def _appended(boot: BootImage, part: GptPartition, path: Path) -> list[str]:
    """An EFI image as appended partition and entry of the boot catalog."""
    known = _NUMBER.fullmatch(part.name)
    number = known[1] if known else str(part.index)
    place = f"{part.start_lba}d-{part.end_lba}d"
    argv = ["-append_partition", number, part.type_guid.bytes_le.hex()]
    argv.append(f"--interval:imported_iso:{place}::{run.safe_path(path)}")
    size = f"{boot.entry.lba}s_size_{part.sectors}d"
    for word in (
        "appended_part_as=gpt",
        "next",
        f"efi_path=--interval:appended_partition_{number}_start_{size}:all::",
        "platform_id=0xef",
        "emul_type=no_emulation",
        f"load_size={boot.entry.load_sectors * SECTOR}",
    ):
        argv += ["-boot_image", "any", word]
    return argv


def _has_long_joliet(image: Image) -> bool:
    """Whether names are longer than what Joliet has room for by its own standard."""
    found = next((tree for tree in image.trees if tree.kind == "joliet"), None)
    return found is not None and any(
        len(path.rpartition("/")[2].encode("utf-16-be")) > 2 * _JOLIET_SIGNS for path, _ in found.walk()
    )
