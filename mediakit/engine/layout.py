"""Partition names, types and sizes of layout 1 (4.x) and 2 (5.0 on), and where they lie on a disk. Pure.

Every partition starts at a multiple of 1 MiB and ends just before one, whatever the sector size.
"""

from __future__ import annotations

from uuid import UUID

from mediakit.errors import RefusedError, UsageError
from mediakit.plain import dataclass
from mediakit.units import GIB, MIB, align_up, format_size

TYPE_ESP = UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
TYPE_BIOS_BOOT = UUID("21686148-6449-6E6F-744E-656564454649")
TYPE_LINUX_DATA = UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
TYPE_LINUX_SWAP = UUID("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F")

ESP, BIOS, SLOT_A, SLOT_B = "engine-esp", "engine-bios", "engine-a", "engine-b"
STATE, VMS = "engine-state", "engine-vms"
OLD_BIOS, OLD_BOOT, OLD_ROOT, OLD_SWAP = "engine-bios-boot", "engine-boot", "engine-root", "engine-swap"

ESP_BYTES = 300 * MIB
BIOS_BYTES = MIB
SLOT_LEAST_BYTES = 2 * GIB
SLOT_IMAGES = 3
STATE_BYTES = GIB
VMS_LEAST_BYTES = 256 * MIB
OLD_BOOT_BYTES = 512 * MIB
OLD_ROOT_BYTES = 4 * GIB
OLD_SWAP_BYTES = 4 * GIB
SECTOR_SIZES = (512, 4096)
_TABLE_END_BYTES = MIB
"""Kept free at the end: the backup GPT needs 33 sectors of 512 or 5 of 4096 bytes."""


@dataclass(frozen=True)
class Partition:
    """Where one partition lies; ``index`` is its number in the table (gptN)."""

    index: int
    name: str
    type_guid: UUID
    start_bytes: int
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        return self.start_bytes + self.size_bytes

    def start_lba(self, sector_bytes: int) -> int:
        return self.start_bytes // sector_bytes

    def end_lba(self, sector_bytes: int) -> int:
        """The last LBA, inclusive, as in a GPT entry."""
        return self.end_bytes // sector_bytes - 1


_Sizes = list[tuple[str, UUID, int]]


def slot_bytes(image_bytes: int) -> int:
    """The size of a slot for a system image: 2 GiB or three times the image, whatever is more."""
    return max(SLOT_LEAST_BYTES, align_up(SLOT_IMAGES * image_bytes, MIB))


def layout_2(disk_bytes: int, image_bytes: int, sector_bytes: int = 512) -> tuple[Partition, ...]:
    """Layout 2 on a whole disk; RefusedError with numbers if it is too small."""
    slot = slot_bytes(image_bytes)
    sizes = [
        (ESP, TYPE_ESP, ESP_BYTES),
        (BIOS, TYPE_BIOS_BOOT, BIOS_BYTES),
        (SLOT_A, TYPE_LINUX_DATA, slot),
        (SLOT_B, TYPE_LINUX_DATA, slot),
        (STATE, TYPE_LINUX_DATA, STATE_BYTES),
    ]
    return _lay_out(sizes, disk_bytes, sector_bytes, minimum_disk_bytes(image_bytes))


def layout_1(disk_bytes: int, sector_bytes: int = 512) -> tuple[Partition, ...]:
    """Layout 1, as 4.x makes it; RefusedError with numbers if the disk is too small."""
    sizes = [
        (OLD_BIOS, TYPE_BIOS_BOOT, BIOS_BYTES),
        (OLD_BOOT, TYPE_LINUX_DATA, OLD_BOOT_BYTES),
        (OLD_ROOT, TYPE_LINUX_DATA, OLD_ROOT_BYTES),
        (OLD_SWAP, TYPE_LINUX_SWAP, OLD_SWAP_BYTES),
    ]
    return _lay_out(sizes, disk_bytes, sector_bytes, minimum_disk_bytes(0, layout=1))


def migration(swap_start_bytes: int, swap_bytes: int, image_bytes: int) -> tuple[Partition, ...]:
    """What layout 2 puts into the room of layout 1's swap: 6 ESP, 7 BIOS, 8 slot A, 9 state.

    The slot takes what the others leave, at most its size on a fresh disk; RefusedError with numbers if
    the image does not fit.
    """
    start = align_up(swap_start_bytes, MIB)
    room = (swap_start_bytes + swap_bytes - start) // MIB * MIB
    fixed = ESP_BYTES + BIOS_BYTES + STATE_BYTES
    slot = min(slot_bytes(image_bytes), room - fixed)
    if slot < image_bytes:
        raise RefusedError(
            f"The swap partition has {format_size(swap_bytes)}; the new Engine needs "
            f"{format_size(fixed + align_up(image_bytes, MIB))} there.",
            "Remove and reinstall instead, after saving the VMs.",
        )
    sizes = [
        (ESP, TYPE_ESP, ESP_BYTES),
        (BIOS, TYPE_BIOS_BOOT, BIOS_BYTES),
        (SLOT_A, TYPE_LINUX_DATA, slot),
        (STATE, TYPE_LINUX_DATA, STATE_BYTES),
    ]
    return tuple(_chain(sizes, start, first_index=6))


def minimum_disk_bytes(image_bytes: int, layout: int = 2) -> int:
    """The smallest disk for ``layout``, a small VM store and both tables included."""
    if layout == 1:
        body = BIOS_BYTES + OLD_BOOT_BYTES + OLD_ROOT_BYTES + OLD_SWAP_BYTES
    else:
        body = ESP_BYTES + BIOS_BYTES + 2 * slot_bytes(image_bytes) + STATE_BYTES
    return MIB + body + VMS_LEAST_BYTES + _TABLE_END_BYTES


def _lay_out(sizes: _Sizes, disk_bytes: int, sector_bytes: int, least_bytes: int) -> tuple[Partition, ...]:
    if sector_bytes not in SECTOR_SIZES:
        raise UsageError(f"Sectors of {sector_bytes} bytes are not supported.", "512 and 4096 are.")
    if disk_bytes < least_bytes:
        raise RefusedError(
            f"The disk has {format_size(disk_bytes)} ({disk_bytes} bytes); this Engine needs "
            f"{format_size(least_bytes)} ({least_bytes} bytes).",
            "Choose a larger disk.",
        )
    parts = _chain(sizes, MIB, first_index=1)
    start = parts[-1].end_bytes
    end = (disk_bytes - _TABLE_END_BYTES) // MIB * MIB
    parts.append(Partition(len(parts) + 1, VMS, TYPE_LINUX_DATA, start, end - start))
    return tuple(parts)


def _chain(sizes: _Sizes, start: int, first_index: int) -> list[Partition]:
    parts = []
    for index, (name, type_guid, size) in enumerate(sizes, first_index):
        parts.append(Partition(index, name, type_guid, start, size))
        start += size
    return parts
