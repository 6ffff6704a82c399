"""What boot loaders keep inside a boot image and an MBR to find the rest of themselves on a disc. Pure.

* The boot information table of isolinux and GRUB: 56 bytes at 8 of the boot image (``-boot-info-table`` of
  mkisofs, ``isolinux.asm``): LBA of the primary descriptor, LBA and length of the image, a checksum.
* GRUB2's own: a 64-bit pointer at 2548 of the boot image (xorriso ``--grub2-boot-info``), counting 512 bytes:
  the image's start + 5, what follows its first 2048 bytes and one sector.
* The pointer at 0x1b0 of an MBR: isohybrid's is the boot image's LBA × 4, GRUB2's and Memtest86+'s × 4 + 4.
"""

from __future__ import annotations

import struct
import sys
from array import array

from mediakit.errors import FormatError
from mediakit.plain import dataclass

TABLE_OFFSET = 8
TABLE_BYTES = 56
GRUB2_OFFSET = 2548
GRUB2_SECTORS = 5
MBR_POINTER_OFFSET = 0x1B0
GRUB2_DISK_POINTER_OFFSET = 0x5C
_TABLE = struct.Struct("<IIII40s")


@dataclass(frozen=True)
class BootInfoTable:
    """The classic table."""

    descriptor_lba: int
    image_lba: int
    image_bytes: int
    checksum: int

    def build(self) -> bytes:
        return _TABLE.pack(self.descriptor_lba, self.image_lba, self.image_bytes, self.checksum, b"")


def parse_table(image: bytes) -> BootInfoTable:
    """The table at 8 of a boot image, whether or not one was ever put there."""
    descriptor, lba, size, total, _ = _TABLE.unpack_from(image.ljust(TABLE_OFFSET + TABLE_BYTES, b"\0"), 8)
    return BootInfoTable(descriptor, lba, size, total)


def checksum(image: bytes) -> int:
    """The sum of all 32-bit words from byte 64 on, the last one padded with zeros."""
    body = image[64:]
    words = array("I", body + bytes(-len(body) % 4))
    if sys.byteorder == "big":
        words.byteswap()
    return sum(words) & 0xFFFFFFFF


def grub2_pointer(image: bytes) -> int:
    """The 64-bit value at 2548; 0 where the image is shorter."""
    if len(image) < GRUB2_OFFSET + 8:
        return 0
    return int(struct.unpack_from("<Q", image, GRUB2_OFFSET)[0])


def grub2_pointer_for(image_lba: int) -> int:
    """What 2548 must say for a boot image in block ``image_lba``."""
    return image_lba * 4 + GRUB2_SECTORS


def with_table(image: bytes, image_lba: int, descriptor_lba: int = 16) -> bytes:
    """A boot image with its classic table filled in, as ``-boot-info-table`` does for one in ``image_lba``.

    FormatError for an image too short to hold one.
    """
    if len(image) < TABLE_OFFSET + TABLE_BYTES:
        raise FormatError(f"A boot image of {len(image)} bytes has no room for a boot information table.")
    table = BootInfoTable(descriptor_lba, image_lba, len(image), checksum(image))
    return image[:TABLE_OFFSET] + table.build() + image[TABLE_OFFSET + TABLE_BYTES :]


def with_grub2_pointer(image: bytes, image_lba: int) -> bytes:
    """A boot image with GRUB's pointer for block ``image_lba``: before ``with_table``, which sums it up."""
    if len(image) < GRUB2_OFFSET + 8:
        raise FormatError(f"A boot image of {len(image)} bytes has no room for GRUB's boot information.")
    pointer = struct.pack("<Q", grub2_pointer_for(image_lba))
    return image[:GRUB2_OFFSET] + pointer + image[GRUB2_OFFSET + 8 :]


def mbr_pointer(sector: bytes) -> int:
    """The 64-bit value at 0x1b0 of an MBR."""
    return int(struct.unpack_from("<Q", sector, MBR_POINTER_OFFSET)[0])


def mbr_pointer_for(kind: str, image_lba: int) -> int:
    """What 0x1b0 must say in an MBR of that kind for a boot image in block ``image_lba``."""
    return image_lba * 4 + (0 if kind == "isohybrid" else 4)


def mbr_kind(sector: bytes) -> str:
    """Whose boot code an MBR holds: none, isohybrid, grub2, grub2-disk, memtest, syslinux, windows or other.

    isohybrid's code carries the magic FB C0 78 70 at 0x40 (syslinux ``isohdpfx.S``) or the words
    “isolinux.bin”; GRUB's the word “GRUB” (``boot/i386/pc/boot.S``): what was assembled with HYBRID_BOOT
    reads its pointer at 0x1b0 (7DB0 in memory), that for disks at 0x5c (7C5C). “syslinux” and “windows” start
    the active partition's boot sector; they are known by their messages, and so is Memtest86+'s (its
    ``boot/mbr.S``), which reads the same pointer as GRUB's hybrid one.
    """
    code = sector[:440]
    if not any(code):
        return "none"
    if b"\xfb\xc0\x78\x70" in code or b"isolinux" in code:
        return "isohybrid"
    if b"GRUB" in code:
        is_for_disks = b"\x8b\x1e\x5c\x7c" in code and b"\x8b\x1e\xb0\x7d" not in code
        return "grub2-disk" if is_for_disks else "grub2"
    if b"Memtest86+" in code:
        return "memtest"
    if b"Error loading operating system" in code or b"Missing operating system\0" in code:
        return "windows"
    if b"Operating system load error." in code:
        return "syslinux"
    return "other"


def grub2_disk_pointer(sector: bytes) -> int:
    """The 64-bit value at 0x5c of GRUB's MBR for disks: the sector where its core starts."""
    return int(struct.unpack_from("<Q", sector, GRUB2_DISK_POINTER_OFFSET)[0])
