"""Repairs of what loaders find themselves by: boot catalog checksum, boot information tables, MBR pointer.

The regions, not the writing; ``fix`` judges and orders them. A table is repaired only where the truth is
unambiguous: the boot image's place and length are the tree's, and its contents are those that the table's own
checksum was made for (or it never had one). Damaged contents are never given a new checksum. Reads only.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from mediakit.formats import bootinfo
from mediakit.formats.bootinfo import BootInfoTable
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.biosboot import MAX_BOOT_IMAGE_BYTES, BootImage, bios_image
from mediakit.iso.fix_region import FixRegion

if TYPE_CHECKING:
    from mediakit.iso.image import Image

_CATALOG = "Restore the checksum of the boot catalog."
_TABLE = "Restore the boot information table."
_POINTER = "Let the MBR point to the boot image."
_NEVER_PATCHED = (bytes(4), b"\xef\xbe\xad\xde")  # GRUB's and ISOLINUX's images before any tool touched them


def restore_catalog(image: Image) -> list[FixRegion]:
    """The checksum in the validation entry (El Torito 1.0 §2.1), where the entries themselves make sense."""
    facts = image.facts()
    catalog, lba = facts.structures.catalog, facts.structures.catalog_lba
    if catalog is None or lba is None or catalog.checksum_ok:
        return []
    if catalog.platform_id not in (0, 1, 2, 0xEF) or not any(i.is_inside for i in facts.boot_images):
        return []
    entry = bytearray(image.read_at(lba * BLOCK, 32))
    old = bytes(entry[28:30])
    entry[28:30] = bytes(2)
    total = -sum(struct.unpack("<16H", entry)) & 0xFFFF
    where = lba * BLOCK + 28
    return [FixRegion(where, old, struct.pack("<H", total), _CATALOG, "Two bytes of its first entry.")]


def restore_boot_info(image: Image) -> list[FixRegion]:
    """Table and, for GRUB, its own pointer in the BIOS boot image."""
    boot = bios_image(list(image.facts().boot_images))
    if boot is None or not boot.is_inside or not boot.path or boot.loader not in ("isolinux", "grub2"):
        return []
    if not 64 < boot.size_bytes <= MAX_BOOT_IMAGE_BYTES or boot.table is None:
        return []
    raw = image.read_at(boot.offset_bytes, boot.size_bytes)
    right = _with_pointer(raw, boot)
    if not _is_unharmed(raw, right, boot.table):
        return []
    primary = image.descriptors.find("primary")
    assert primary is not None
    table = BootInfoTable(primary.lba, boot.entry.lba, boot.size_bytes, bootinfo.checksum(right))
    built = table.build()[:16]
    regions = []
    if right != raw:
        at = bootinfo.GRUB2_OFFSET
        place = boot.offset_bytes + at
        regions.append(FixRegion(place, raw[at : at + 8], right[at : at + 8], _TABLE, "GRUB's own pointer."))
    at = bootinfo.TABLE_OFFSET
    place = boot.offset_bytes + at
    regions.append(FixRegion(place, raw[at : at + 16], built, _TABLE, "Place, length and checksum."))
    return regions


def _with_pointer(raw: bytes, boot: BootImage) -> bytes:
    """The boot image with GRUB's pointer as it must be; as it is for other loaders."""
    if boot.loader != "grub2" or len(raw) < bootinfo.GRUB2_OFFSET + 8:
        return raw
    pointer = struct.pack("<Q", bootinfo.grub2_pointer_for(boot.entry.lba))
    return raw[: bootinfo.GRUB2_OFFSET] + pointer + raw[bootinfo.GRUB2_OFFSET + 8 :]


def _is_unharmed(raw: bytes, right: bytes, table: BootInfoTable) -> bool:
    """Whether the contents are those the table was made for, or it was never filled in."""
    if table.checksum in (bootinfo.checksum(raw), bootinfo.checksum(right)):
        return True
    start = bootinfo.TABLE_OFFSET
    words = {raw[at : at + 4] for at in range(start, start + bootinfo.TABLE_BYTES, 4)}
    return len(words) == 1 and next(iter(words)) in _NEVER_PATCHED


def restore_pointer(image: Image) -> list[FixRegion]:
    """0x1b0 of an isohybrid or GRUB2 MBR, where the boot image it belongs to is whole."""
    facts = image.facts()
    raw = facts.structures
    boot = bios_image(list(facts.boot_images))
    if raw.mbr is None or boot is None or not boot.is_inside or not boot.table_ok:
        return []
    fits = {
        "isohybrid": boot.loader == "isolinux" and boot.is_hybrid_ready,
        "grub2": boot.loader == "grub2" and boot.grub2_ok,
    }
    if not fits.get(raw.mbr_kind, False):
        return []
    wanted = bootinfo.mbr_pointer_for(raw.mbr_kind, boot.entry.lba)
    at = bootinfo.MBR_POINTER_OFFSET
    old = raw.first_sector[at : at + 8]
    return [FixRegion(at, old, struct.pack("<Q", wanted), _POINTER, "Eight bytes of the first sector.")]
