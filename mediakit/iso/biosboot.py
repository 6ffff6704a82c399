"""Whether a BIOS can boot an image, from disc (El Torito) and as a disk (the MBR's code). Pure judgement.

It follows what the code in those places does: isolinux and GRUB find the rest of themselves through the boot
information table; an isohybrid or GRUB2 MBR finds the boot image through its pointer at 0x1b0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mediakit.formats import bootinfo
from mediakit.formats.eltorito import BootEntry
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.structures import SECTOR, Structures
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.image import Image

MAX_BOOT_IMAGE_BYTES = 8 << 20
_CHECKED_BYTES = 3 * MAX_BOOT_IMAGE_BYTES
"""Boot images of one catalog whose checksums are worked out: it may list sixty that share their bytes."""
_HYBRID_MARK = b"\xfb\xc0\x78\x70"  # isolinux at 0x40: “I can be started by an isohybrid MBR”
_REBUILD = "Build the image again, or repair it with the program that made it."
_AGAIN = "Copy or download the image again."
_FLOPPIES = {1: 1200 << 10, 2: 1440 << 10, 3: 2880 << 10}
_VERSION = re.compile(rb"ISOLINUX (\d{1,2})\.")
_MAKERS = {"windows": "Windows", "syslinux": "SYSLINUX"}


@dataclass(frozen=True)
class Route:
    """One way to boot: whether it works as far as the bytes can tell, and why (or why not)."""

    ok: bool
    why: str


@dataclass(frozen=True)
class BootImage:
    """What lies behind one El Torito entry. ``loader``: isolinux, grub2 or empty for others.

    ``version`` is ISOLINUX's major one. ``table``: what the boot information table says, right or wrong.
    ``has_grub2_pointer``: somebody filled GRUB's in, rightly or not.
    """

    entry: BootEntry
    path: str
    size_bytes: int
    is_inside: bool
    loader: str
    table_ok: bool
    grub2_ok: bool
    is_hybrid_ready: bool
    version: int = 0
    table: bootinfo.BootInfoTable | None = None
    has_grub2_pointer: bool = False

    @property
    def offset_bytes(self) -> int:
        return self.entry.lba * BLOCK

    @property
    def name(self) -> str:
        """The path, or where it lies if it is no file of the tree."""
        return self.path or f"the boot image at block {self.entry.lba}"


def examine(image: Image, structures: Structures, entries: Iterable[BootEntry]) -> list[BootImage]:
    """Read each boot image and compare what it says of itself with where it lies."""
    found: list[BootImage] = []
    left = _CHECKED_BYTES
    for entry in entries:
        boot = _examine(image, structures, entry, left)
        found.append(boot)
        if boot.table is not None and boot.table.image_lba == entry.lba:
            left -= min(boot.table.image_bytes, MAX_BOOT_IMAGE_BYTES)
    return found


def _examine(image: Image, structures: Structures, entry: BootEntry, limit_bytes: int) -> BootImage:
    """One of them; a table that is of more than ``limit_bytes`` is not believed."""
    path, known_size = structures.paths.get(entry.lba, ("", 0))
    start = entry.lba * BLOCK
    size = known_size or max(entry.load_sectors * SECTOR, BLOCK)
    inside = bool(entry.lba) and start + size <= image.size_bytes
    if entry.is_efi or not inside:
        return BootImage(entry, path, size, inside, "", False, False, False)
    head = image.read_at(start, min(max(size, 4096), image.size_bytes - start, 65536))
    table = bootinfo.parse_table(head)
    loader = "isolinux" if b"ISOLINUX" in head else "grub2" if b"cdrom read fails" in head[:BLOCK] else ""
    version = _VERSION.search(head)
    descriptors = {volume.lba for volume in image.descriptors.volumes if volume.kind == "primary"}
    table_ok = table.descriptor_lba in descriptors and table.image_lba == entry.lba
    if table_ok:
        table_ok = table.image_bytes <= limit_bytes and _is_table_true(image, start, table, known_size)
    return BootImage(
        entry=entry,
        path=path,
        size_bytes=known_size or (table.image_bytes if table_ok else size),
        is_inside=inside,
        loader=loader,
        table_ok=table_ok,
        grub2_ok=bootinfo.grub2_pointer(head) == bootinfo.grub2_pointer_for(entry.lba),
        is_hybrid_ready=head[0x40:0x44] == _HYBRID_MARK,
        version=int(version[1]) if version else 0,
        table=table,
        has_grub2_pointer=loader == "grub2" and bootinfo.grub2_pointer(head) not in (0, 2),
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
    boot = bios_image(images)
    if boot is None:
        if any(i.entry.is_bios for i in images):
            return Route(False, "The boot catalog marks its entry for BIOS as not bootable.")
        return Route(False, "The boot catalog has no entry for BIOS.")
    where = (boot.offset_bytes, boot.size_bytes)
    if not boot.is_inside:
        what = "The BIOS boot image lies outside the file: the image is truncated."
        findings.append(Finding("error", what, _AGAIN, *where))
        return Route(False, what)
    if boot.entry.emulation == "unknown":
        what = f"The boot catalog asks for an unknown kind of emulation for {boot.name}."
        findings.append(Finding("error", what, _REBUILD, *where))
        return Route(False, what)
    if boot.loader and not boot.table_ok:
        what = (
            f"The boot information table in {boot.name} is missing or wrong: the loader would not find "
            "itself."
        )
        findings.append(Finding("error", what, _REBUILD, where[0] + bootinfo.TABLE_OFFSET, 56))
        return Route(False, what)
    _check_loading(boot, structures, findings)
    kind = {"isolinux": "ISOLINUX", "grub2": "GRUB"}.get(boot.loader, "a boot image")
    emulation = "" if boot.entry.emulation == "none" else f" with {boot.entry.emulation} emulation"
    return Route(True, f"El Torito starts {kind} ({boot.name}){emulation}.")


def _check_loading(boot: BootImage, structures: Structures, findings: list[Finding]) -> None:
    """How much of the image the BIOS loads, and whether an emulated floppy is a whole one."""
    size = _FLOPPIES.get(boot.entry.media_type & 0x0F)
    where = (boot.offset_bytes, boot.size_bytes)
    if size is not None and boot.offset_bytes + size > structures.size_bytes:
        what = f"{boot.name} is started as a floppy of {size} bytes, which ends behind the image."
        findings.append(Finding("warning", what, _AGAIN, *where))
    if boot.loader and 0 < boot.entry.load_sectors < 4:
        count = boot.entry.load_sectors
        what = f"The boot catalog lets the BIOS load {count} sectors of {boot.name}; it needs 4."
        findings.append(Finding("warning", what, "Build the image with -boot-load-size 4.", *where))


def judge_usb(structures: Structures, images: list[BootImage], findings: list[Finding]) -> Route:
    """BIOS from a stick: code in the MBR that finds a boot image made for it."""
    if structures.mbr is None:
        if structures.has_unmarked_code:
            what = "The first sector holds code, but does not end with 55 AA: a BIOS takes it for no MBR."
            findings.append(Finding("error", what, _REBUILD, 510, 2))
            return Route(False, what)
        return Route(False, "The image has no MBR: a BIOS sees no boot code on a stick.")
    kind = structures.mbr_kind
    if kind == "none":
        return Route(False, "The MBR holds no boot code.")
    boot = bios_image(images)
    if kind == "other":
        return Route(False, "The MBR holds boot code that is not known; what it would do cannot be told.")
    if kind in _MAKERS:
        return _judge_chain(structures, boot, findings)
    if kind == "grub2-disk":
        return _judge_grub_disk(structures, findings)
    if boot is None or not boot.is_inside:
        what = "The MBR's boot code has no BIOS boot image to start."
        findings.append(Finding("error", what, _AGAIN, bootinfo.MBR_POINTER_OFFSET, 8))
        return Route(False, what)
    expected = bootinfo.mbr_pointer_for(kind, boot.entry.lba)
    if structures.mbr_pointer != expected:
        start = boot.entry.lba * 4
        what = f"The MBR points to sector {structures.mbr_pointer}, but the boot image is at {start}."
        findings.append(Finding("error", what, _REBUILD, bootinfo.MBR_POINTER_OFFSET, 8))
        return Route(False, what)
    return _judge_pair(kind, boot, findings)


def _judge_pair(kind: str, boot: BootImage, findings: list[Finding]) -> Route:
    """Whether the boot image that the MBR finds is one that can be started so."""
    if kind == "isohybrid" and not (boot.loader == "isolinux" and boot.is_hybrid_ready):
        what = f"{boot.name} is no ISOLINUX that an isohybrid MBR can start."
        findings.append(Finding("error", what, _REBUILD, boot.offset_bytes + 0x40, 4))
        return Route(False, what)
    if kind == "isohybrid" and not boot.table_ok:
        return Route(False, f"The boot information table in {boot.name} is missing or wrong.")
    if kind == "grub2" and not boot.grub2_ok:
        what = (
            f"GRUB's boot information in {boot.name} is missing or wrong: GRUB would not find itself on a "
            "stick."
        )
        start = boot.offset_bytes + bootinfo.GRUB2_OFFSET
        findings.append(Finding("error", what, _REBUILD, start, 8))
        return Route(False, what)
    name = {"isohybrid": "isohybrid", "grub2": "GRUB", "memtest": "Memtest86+"}[kind]
    return Route(True, f"The {name} MBR starts {boot.name}.")


def _judge_chain(structures: Structures, boot: BootImage | None, findings: list[Finding]) -> Route:
    """An MBR that starts the active partition: right for a disk, seldom for an image on a stick."""
    assert structures.mbr is not None
    maker = _MAKERS[structures.mbr_kind]
    hint = "If a partitioning tool put it there, write the image to the stick again."
    active = [p for p in structures.mbr.partitions if p.active]
    if len(active) != 1:
        what = (
            f"The MBR holds {maker}'s code, which starts the active partition, and {len(active)} are active."
        )
        findings.append(Finding("error", what, hint, 0, SECTOR))
        return Route(False, what)
    if active[0].start_lba in structures.boot_sectors:
        return Route(True, f"{maker}'s MBR starts the boot sector of partition {active[0].index}.")
    what = (
        f"The MBR holds {maker}'s code, but partition {active[0].index}, which it starts, has no boot sector."
    )
    findings.append(Finding("error", what, hint, 0, SECTOR))
    return Route(False, what)


def _judge_grub_disk(structures: Structures, findings: list[Finding]) -> Route:
    pointer = bootinfo.grub2_disk_pointer(structures.first_sector)
    if structures.has_grub_core:
        return Route(True, f"GRUB's MBR starts its core in sector {pointer}.")
    what = f"GRUB's MBR for disks points to sector {pointer}, where there is no GRUB."
    findings.append(Finding("error", what, _REBUILD, bootinfo.GRUB2_DISK_POINTER_OFFSET, 8))
    return Route(False, what)


def bios_image(images: list[BootImage]) -> BootImage | None:
    """The boot image that a BIOS starts from disc."""
    return next((i for i in images if i.entry.is_bios and i.entry.is_bootable), None)
