"""Boot images that were summed up before the image's maker wrote into them: they are no damage.

Lists of sums are made of the files that go into an image; then mkisofs and xorriso write the boot information
table into isolinux.bin or GRUB's El Torito image, and GRUB's pointer. Such a file is as listed where its
table is right for where it lies, and the contents have the listed sum with what stood there before put back.
Pure.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from mediakit.formats import bootinfo
from mediakit.iso.biosboot import MAX_BOOT_IMAGE_BYTES

_UNSET = b"\xef\xbe\xad\xde"  # ISOLINUX's, before any tool touched it; GRUB's is zeros
_GRUB2_UNSET = struct.pack("<Q", 2)  # the sector behind the first four, as grub-mkimage leaves it


def may_be_one(size_bytes: int) -> bool:
    """Whether a file of this size can be a boot image with a table."""
    return bootinfo.TABLE_OFFSET + bootinfo.TABLE_BYTES < size_bytes <= MAX_BOOT_IMAGE_BYTES


def was_summed_before(data: bytes, offset_bytes: int, digest: str, algorithm: str) -> bool:
    """Whether ``data``, a file at ``offset_bytes`` of an image, had the sum before it got its table."""
    table = bootinfo.parse_table(data)
    is_filled_in = table.image_lba * 2048 == offset_bytes and table.image_bytes == len(data)
    if not is_filled_in or table.checksum != bootinfo.checksum(data):
        return False
    return any(
        hashlib.new(algorithm, one, usedforsecurity=False).hexdigest() == digest for one in _earlier(data)
    )


def _earlier(data: bytes) -> Iterator[bytes]:
    """What the file may have been."""
    start, end = bootinfo.TABLE_OFFSET, bootinfo.TABLE_OFFSET + bootinfo.TABLE_BYTES
    table = bootinfo.parse_table(data)
    at = bootinfo.GRUB2_OFFSET
    unset = [bytes(end - start), _UNSET * 14]
    # Debian's ISOLINUX comes with place 0, its own length and checksum filled in
    unset.append(bootinfo.BootInfoTable(16, 0, len(data), table.checksum).build()[:16] + _UNSET * 10)
    for before in unset:
        whole = data[:start] + before + data[end:]
        yield whole
        if bootinfo.grub2_pointer(data) == bootinfo.grub2_pointer_for(table.image_lba):
            yield whole[:at] + _GRUB2_UNSET + whole[at + 8 :]
