"""What an install puts on a disk so that it boots: MBR, GRUB's core, the ESP; bytes and their safe order.

BIOS: the MBR names the core's first sector, the core's own block list the rest; both are patched into GRUB's
images, so neither grub-install nor grub-mkimage is needed (GNU GRUB 2.06 ``util/setup.c``,
``boot/i386/pc/boot.S``: 0x5c kernel sector, 0x66 drive check; ``diskboot.S``: block list at 0x1f4).
UEFI: the removable path holds shim, which starts GRUB beside it.
"""

from __future__ import annotations

import struct

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import fat
from mediakit.install import bootenv, journal
from mediakit.install.windows import Window
from mediakit.plain import dataclass
from mediakit.units import SECTOR

FOLDER = "/engine/boot/"
SHIM_PATH = "/EFI/BOOT/BOOTX64.EFI"
ESP_FILES = {
    "shimx64.efi": SHIM_PATH,
    "grubx64.efi": "/EFI/BOOT/grubx64.efi",
    "mmx64.efi": "/EFI/BOOT/mmx64.efi",
    "grub.cfg": "/EFI/debian/grub.cfg",
    "ENGINE.CER": "/ENGINE.CER",
}
OPTIONAL = ("mmx64.efi", "ENGINE.CER")
_CORE_SEGMENT = 0x820  # where diskboot loads the rest: 0x8200
_SHIM_ENTRY = b"BOOTX64 EFI"
_FOLDERS = ("/boot",)  # Xen opens the folder of its own path, /boot/xen.efi, on the ESP
_ORDER = ("data", "fat", "info", "directory", "boot")


def patched_core(core: bytes, core_lba: int) -> bytes:
    """``core.img`` that finds the rest of itself behind its first sector at ``core_lba``."""
    if len(core) < 2 * SECTOR:
        raise FormatError("GRUB's core.img is too short.", "Use another Engine medium.")
    padded = bytearray(core.ljust(-(-len(core) // SECTOR) * SECTOR, b"\0"))
    struct.pack_into("<QHH", padded, 0x1F4, core_lba + 1, len(padded) // SECTOR - 1, _CORE_SEGMENT)
    return bytes(padded)


def mbr_sector(boot_img: bytes, old: bytes, core_lba: int) -> bytes:
    """GRUB's first sector for this disk; table, disk id and a BIOS parameter block of ``old`` are kept."""
    if len(boot_img) != SECTOR or len(old) < SECTOR:
        raise FormatError("GRUB's boot.img is not one sector.", "Use another Engine medium.")
    sector = bytearray(boot_img)
    sector[3:0x5A] = old[3:0x5A]
    sector[0x1B8:0x1FE] = old[0x1B8:0x1FE]
    struct.pack_into("<Q", sector, 0x5C, core_lba)
    sector[0x66:0x68] = b"\x90\x90"
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)


@dataclass(frozen=True)
class EspImage:
    """A new ESP: what is written first, and the one sector held back that makes firmware find a loader."""

    regions: tuple[fat.Region, ...]
    zeros: tuple[tuple[int, int], ...]
    held_offset: int
    held: bytes


def esp_image(
    size_bytes: int, sector_bytes: int, start_lba: int, files: dict[str, bytes], serial: int
) -> EspImage:
    """The ESP with ``files`` (path → bytes); FormatError when they do not fit."""
    image = fat.build(
        size_bytes,
        [fat.FatFile(path, data) for path, data in files.items()],
        directories=_FOLDERS,
        sector_bytes=sector_bytes,
        label="ENGINE-ESP",
        serial=serial,
        cluster_sectors=_cluster_sectors(sector_bytes),
        hidden_sectors=start_lba,
    )
    regions: list[fat.Region] = []
    held: tuple[int, bytes] | None = None
    for region in image.regions:
        position = region.data.find(_SHIM_ENTRY) if region.kind == "directory" else -1
        if position < 0:
            regions.append(region)
            continue
        start = position - position % sector_bytes
        held = (region.offset + start, region.data[start : start + sector_bytes])
        blank = region.data[:start] + bytes(len(held[1])) + region.data[start + sector_bytes :]
        regions.append(fat.Region(region.offset, blank, region.kind))
    if held is None:
        raise FormatError("The ESP has no loader in its removable path.", "Use another Engine medium.")
    return EspImage(tuple(regions), tuple(image.must_be_zero), *held)


def _cluster_sectors(sector_bytes: int) -> int:
    return 8 if sector_bytes == SECTOR else 1


def write_esp(window: Window, image: EspImage) -> None:
    """Everything but the held sector: zeros, data, FATs, directories, boot sector, each flushed."""
    for offset, size in image.zeros:
        window.zero(offset, size)
    window.flush()
    for kind in _ORDER:
        for region in image.regions:
            if region.kind == kind:
                window.write(region.offset, region.data)
        window.flush()


def esp_files(boot_files: dict[str, bytes], environment: dict[str, str], plan: bytes) -> dict[str, bytes]:
    """The files of a new ESP, without the receipt; ``plan`` is the journal's plan region."""
    files = {path: boot_files[name] for name, path in ESP_FILES.items() if name in boot_files}
    files[bootenv.PATH] = bootenv.build(environment)
    files[journal.PATH] = plan.ljust(journal.SIZE_BYTES, b"\0")
    return files


def check_layout(size_bytes: int, sector_bytes: int, sizes: dict[str, int]) -> None:
    """FormatError unless files of these ``sizes`` (path → bytes) make an ESP of ``size_bytes``."""
    fat.build(
        size_bytes,
        [fat.FatFile(path, b"", size) for path, size in sizes.items()],
        directories=_FOLDERS,
        sector_bytes=sector_bytes,
        cluster_sectors=_cluster_sectors(sector_bytes),
    )


def check_room(core_bytes: int, bios_bytes: int) -> None:
    """RefusedError when a core of that size does not fit into engine-bios."""
    if core_bytes > bios_bytes:
        raise RefusedError(
            f"GRUB's core of {core_bytes} bytes does not fit into engine-bios of {bios_bytes} bytes.",
            "Choose a fresh install without keeping the VMs, or another Engine medium.",
        )
