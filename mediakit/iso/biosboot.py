"""Whether a BIOS can boot an image, from disc (El Torito) and as a disk (the MBR's code). Pure judgement.

It follows what the code in those places does: isolinux and GRUB find the rest of themselves through the boot
information table; an isohybrid or GRUB2 MBR finds the boot image through its pointer at 0x1b0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediakit.formats import bootinfo
from mediakit.formats.eltorito import BootEntry
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.structures import SECTOR, Structures

if TYPE_CHECKING:
    from mediakit.iso.image import Image

MAX_BOOT_IMAGE_BYTES = 8 << 20
_HYBRID_MARK = b"\xfb\xc0\x78\x70"  # isolinux at 0x40: “I can be started by an isohybrid MBR”
_REBUILD = "Build the image again, or repair it with the program that made it."


@dataclass(frozen=True)
class Route:
    """One way to boot: whether it works as far as the bytes can tell, and why (or why not)."""

    ok: bool
    why: str


@dataclass(frozen=True)
class BootImage:
    """What lies behind one El Torito entry. ``loader``: isolinux, grub2 or empty for others."""

    entry: BootEntry
    path: str
    size_bytes: int
    is_inside: bool
    loader: str
    table_ok: bool
    grub2_ok: bool
    is_hybrid_ready: bool


def examine(image: Image, structures: Structures, entry: BootEntry) -> BootImage:
    """Read one boot image and compare what it says of itself with where it lies."""
    path, known_size = structures.paths.get(entry.lba, ("", 0))
    start = entry.lba * BLOCK
    size = known_size or max(entry.load_sectors * SECTOR, BLOCK)
    inside = bool(entry.lba) and start + size <= image.size_bytes
    if entry.is_efi or not inside:
        return BootImage(entry, path, size, inside, "", False, False, False)
    head = image.read_at(start, min(max(size, 4096), image.size_bytes - start, 65536))
    table = bootinfo.parse_table(head)
    loader = "isolinux" if b"ISOLINUX" in head else "grub2" if b"cdrom read fails" in head[:BLOCK] else ""
    descriptors = {volume.lba for volume in image.descriptors.volumes if volume.kind == "primary"}
    table_ok = table.descriptor_lba in descriptors and table.image_lba == entry.lba
    if table_ok:
        table_ok = _is_table_true(image, start, table, known_size)
    return BootImage(
        entry=entry,
        path=path,
        size_bytes=known_size or (table.image_bytes if table_ok else size),
        is_inside=inside,
        loader=loader,
        table_ok=table_ok,
        grub2_ok=bootinfo.grub2_pointer(head) == bootinfo.grub2_pointer_for(entry.lba),
        is_hybrid_ready=head[0x40:0x44] == _HYBRID_MARK,
    )


def _is_table_true(image: Image, start: int, table: bootinfo.BootInfoTable, known_size: int) -> bool:
    """Length as in the tree, inside the image, and the checksum right."""
    if known_size and table.image_bytes != known_size:
        return False
    if not 64 < table.image_bytes <= MAX_BOOT_IMAGE_BYTES or start + table.image_bytes > image.size_bytes:
        return False
    return bootinfo.checksum(image.read_at(start, table.image_bytes)) == table.checksum


def judge_cd(structures: Structures, images: list[BootImage], findings: list[Finding]) -> Route:
    """BIOS from disc: a catalog, a bootable x86 entry, an image that is there and knows where it is."""
    if structures.catalog is None:
        return Route(False, "The image has no El Torito boot catalog.")
    if not structures.catalog.checksum_ok:
        return Route(False, "The checksum of the boot catalog is wrong.")
    boot = _bios_image(images)
    if boot is None:
        return Route(False, "The boot catalog has no entry for BIOS.")
    where = (boot.entry.lba * BLOCK, boot.size_bytes)
    if not boot.is_inside:
        what = "The BIOS boot image lies outside the file: the image is truncated."
        findings.append(Finding("error", what, "Copy or download the image again.", *where))
        return Route(False, what)
    name = boot.path or f"the boot image at block {boot.entry.lba}"
    if boot.entry.emulation == "unknown":
        return Route(False, f"The boot catalog asks for an unknown kind of emulation for {name}.")
    if boot.loader and not boot.table_ok:
        what = f"The boot information table in {name} is missing or wrong: the loader would not find itself."
        findings.append(Finding("error", what, _REBUILD, where[0] + bootinfo.TABLE_OFFSET, 56))
        return Route(False, what)
    kind = {"isolinux": "ISOLINUX", "grub2": "GRUB"}.get(boot.loader, "a boot image")
    emulation = "" if boot.entry.emulation == "none" else f" with {boot.entry.emulation} emulation"
    return Route(True, f"El Torito starts {kind} ({name}){emulation}.")


def judge_usb(structures: Structures, images: list[BootImage], findings: list[Finding]) -> Route:
    """BIOS from a stick: code in the MBR that finds a boot image made for it."""
    if structures.mbr is None:
        return Route(False, "The image has no MBR: a BIOS sees no boot code on a stick.")
    kind = structures.mbr_kind
    if kind == "none":
        return Route(False, "The MBR holds no boot code.")
    boot = _bios_image(images)
    if kind == "other":
        return Route(False, "The MBR holds boot code that is not known; what it would do cannot be told.")
    if boot is None or not boot.is_inside:
        return Route(False, "The MBR's boot code has no BIOS boot image to start.")
    expected = boot.entry.lba * 4 + (4 if kind == "grub2" else 0)
    if structures.mbr_pointer != expected:
        start = boot.entry.lba * 4
        what = f"The MBR points to sector {structures.mbr_pointer}, but the boot image is at {start}."
        findings.append(Finding("error", what, _REBUILD, bootinfo.MBR_POINTER_OFFSET, 8))
        return Route(False, what)
    name = boot.path or f"the boot image at block {boot.entry.lba}"
    if kind == "isohybrid" and not (boot.loader == "isolinux" and boot.is_hybrid_ready):
        return Route(False, f"{name} is no ISOLINUX that an isohybrid MBR can start.")
    if kind == "isohybrid" and not boot.table_ok:
        return Route(False, f"The boot information table in {name} is missing or wrong.")
    if kind == "grub2" and not boot.grub2_ok:
        what = (
            f"GRUB's boot information in {name} is missing or wrong: GRUB would not find itself on a stick."
        )
        start = boot.entry.lba * BLOCK + bootinfo.GRUB2_OFFSET
        findings.append(Finding("error", what, _REBUILD, start, 8))
        return Route(False, what)
    if not any(partition.active for partition in structures.mbr.partitions):
        what = "No partition in the MBR has the active flag: some strict BIOSes do not boot such a stick."
        findings.append(Finding("warning", what, "Most machines do not mind.", 446, 64))
    return Route(True, f"The {'isohybrid' if kind == 'isohybrid' else 'GRUB'} MBR starts {name}.")


def _bios_image(images: list[BootImage]) -> BootImage | None:
    return next((i for i in images if i.entry.is_bios and i.entry.is_bootable), None)
