"""What an image that boots from disc only needs to boot from a stick: MBR code, partition entries. Pure.

A BIOS needs code in the first sector that starts the boot image El Torito names; UEFI needs a partition entry
that leads to the FAT which El Torito names. Both are patches of the system area, which a disc does not use.
Where an EFI partition lies inside the ISO's own one, that one is typed 00: EDK II (``PartitionValidMbr``)
takes no MBR with overlapping partitions, and that is how Debian's images are made too.
Sources: syslinux 6.03 ``utils/isohybrid.c``; xorrisofs(1), -isohybrid-mbr and --grub2-mbr; UEFI 2.10 §5.2.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mediakit.errors import FormatError, MissingToolError, RefusedError
from mediakit.formats import bootinfo, gpt, mbr
from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.formats.mbr import Mbr, MbrPartition
from mediakit.iso.biosboot import BootImage
from mediakit.iso.edit.changes import Patch
from mediakit.iso.efivolume import EfiVolume
from mediakit.iso.facts import ImageFacts
from mediakit.iso.image import Image
from mediakit.plain import dataclass
from mediakit.units import SECTOR, align_up

ISOLINUX_MBR = Path("/usr/lib/ISOLINUX/isohdpfx.bin")
GRUB_MBR = Path("/usr/lib/grub/i386-pc/boot_hybrid.img")
ISOHYBRID_CODE_BYTES = 432
HEADS, SECTORS_PER_TRACK = 64, 32
CYLINDER_BYTES = HEADS * SECTORS_PER_TRACK * SECTOR
_DISKBOOT_MARK = b"loading"
_NESTED_CHS = b"\xfe\xff\xff"


@dataclass(frozen=True)
class UsbPlan:
    """The patches (none where it boots from USB already), and remarks: what stays impossible, and why."""

    patches: tuple[Patch, ...] = ()
    notes: tuple[str, ...] = ()


def isolinux_code() -> bytes:
    """The isohybrid MBR of Debian's isolinux; MissingToolError names the package."""
    return _code(ISOLINUX_MBR, "isolinux")


def grub_code() -> bytes:
    """GRUB's hybrid MBR; MissingToolError names the package."""
    return _code(GRUB_MBR, "grub-pc-bin")


def plan(
    image: Image,
    *,
    isolinux: Callable[[], bytes] = isolinux_code,
    grub: Callable[[], bytes] = grub_code,
) -> UsbPlan:
    """What makes ``image`` boot from USB by every firmware that boots it from disc.

    RefusedError with the reason where nothing can be done; MissingToolError where the code is not installed.
    """
    return _Planner(image, isolinux, grub).plan()


class _Planner:
    def __init__(self, image: Image, isolinux: Callable[[], bytes], grub: Callable[[], bytes]) -> None:
        self._image, self._isolinux, self._grub = image, isolinux, grub
        self._facts: ImageFacts = image.facts()
        self._sector = image.read_at(0, SECTOR)
        self._mbr = self._facts.structures.mbr or Mbr(b"", 0, ())
        self._patches: list[Patch] = []
        self._notes: list[str] = []

    def plan(self) -> UsbPlan:
        routes = self._facts.boot
        if not routes.bios_cd.ok and not routes.uefi_cd.ok:
            raise RefusedError(
                "The image does not even boot from disc: there is nothing that a stick could start.",
                f"BIOS: {routes.bios_cd.why} UEFI: {routes.uefi_cd.why}",
            )
        wants_bios = routes.bios_cd.ok and not routes.bios_usb.ok
        wants_uefi = routes.uefi_cd.ok and not routes.uefi_usb.ok
        code = self._bios_code() if wants_bios else b""
        volume = self._efi_volume() if wants_uefi else None
        if not code and volume is None:
            if wants_bios or wants_uefi:
                raise RefusedError(
                    f"The image cannot be made to boot from USB: {' '.join(self._notes)}",
                    "Write it to a disc, or ask its maker for a hybrid image.",
                )
            return UsbPlan((), ("The image boots from USB already.",))
        self._write(code, volume)
        return UsbPlan(tuple(self._patches), tuple(self._notes))

    def _bios_code(self) -> bytes:
        """The MBR's 440 bytes of code for the BIOS boot image, or nothing and a remark."""
        if any(self._sector) and (
            self._facts.structures.mbr is None or self._facts.structures.mbr_kind != "none"
        ):
            return self._no_bios("Its first sector holds something else already.")
        boot = next(b for b in self._facts.boot_images if b.entry.is_bios and b.entry.is_bootable)
        if boot.entry.emulation != "none":
            return self._no_bios(
                f"It emulates a {boot.entry.emulation}, which a BIOS does from discs only.",
            )
        if boot.loader == "isolinux":
            if not boot.is_hybrid_ready:
                return self._no_bios("Its ISOLINUX is older than 3.72 and cannot be started from a disk.")
            code = bytearray(self._isolinux()[:ISOHYBRID_CODE_BYTES].ljust(mbr.BOOT_CODE_BYTES, b"\0"))
            struct.pack_into("<Q", code, bootinfo.MBR_POINTER_OFFSET, boot.entry.lba * 4)
            return bytes(code)
        if boot.loader == "grub2" and self._tell_grub(boot):
            code = bytearray(self._grub()[: mbr.BOOT_CODE_BYTES].ljust(mbr.BOOT_CODE_BYTES, b"\0"))
            struct.pack_into("<Q", code, bootinfo.MBR_POINTER_OFFSET, boot.entry.lba * 4 + 4)
            return bytes(code)
        return self._no_bios("Its boot loader is neither ISOLINUX nor GRUB; nothing is known that starts it.")

    def _no_bios(self, why: str) -> bytes:
        self._notes.append(f"A BIOS will not start it from USB. {why}")
        return b""

    def _tell_grub(self, boot: BootImage) -> bool:
        """GRUB's boot image must know where it lies: the pointer at 2548, and the checksum that covers it."""
        start, size = boot.entry.lba * BLOCK, boot.size_bytes
        if boot.grub2_ok:
            return True
        if not boot.table_ok or size < bootinfo.GRUB2_OFFSET + 8:
            return False
        data = bytearray(self._image.read_at(start, size))
        if _DISKBOOT_MARK not in data[BLOCK : BLOCK + SECTOR]:
            return False
        pointer = struct.pack("<Q", bootinfo.grub2_pointer_for(boot.entry.lba))
        data[bootinfo.GRUB2_OFFSET : bootinfo.GRUB2_OFFSET + 8] = pointer
        table = replace(bootinfo.parse_table(bytes(data)), checksum=bootinfo.checksum(bytes(data)))
        name = boot.path or "the boot image"
        at = start + bootinfo.GRUB2_OFFSET
        self._patches.append(Patch(at, pointer, f"GRUB's pointer to itself in {name}"))
        where = start + bootinfo.TABLE_OFFSET
        self._patches.append(Patch(where, table.build()[:16], f"boot information table of {name}"))
        return True

    def _efi_volume(self) -> EfiVolume | None:
        boot = next(b for b in self._facts.boot_images if b.entry.is_efi and b.entry.is_bootable)
        start = boot.entry.lba * BLOCK
        volume = next((v for v in self._facts.efi_volumes if v.offset_bytes == start), None)
        if any(self._sector) and self._facts.structures.mbr is None:
            self._notes.append(
                "UEFI will not start it from USB. Its first sector holds something else already."
            )
            return None
        if self._facts.structures.gpt.is_present and not self._can_enter_gpt():
            self._notes.append("UEFI will not start it from USB. Its partition table (GPT) is damaged.")
            return None
        if not self._facts.structures.gpt.is_present and self._free_index(0) is None:
            self._notes.append("UEFI will not start it from USB. Its partition table (MBR) is full.")
            return None
        return volume

    def _can_enter_gpt(self) -> bool:
        state = self._facts.structures.gpt
        return state.primary is not None and state.backup is not None

    def _write(self, code: bytes, volume: EfiVolume | None) -> None:
        table = self._mbr
        if self._facts.structures.gpt.is_present:
            if volume is not None:
                self._enter_gpt(volume)
        else:
            table = self._partitions(bool(code), volume)
        if code:
            table = replace(table, boot_code=code)
        if not table.disk_id:
            table = replace(table, disk_id=self._disk_id())
        sector = table.build()
        if sector != self._sector:
            self._patches.append(Patch(0, sector, "MBR: what starts the image from USB"))

    def _partitions(self, has_code: bool, volume: EfiVolume | None) -> Mbr:
        """The MBR with the ISO's own partition (active, for BIOSes that want one), and the EFI one."""
        table = self._mbr
        if has_code and not table.partitions:
            sectors = align_up(self._image.size_bytes, CYLINDER_BYTES) // SECTOR
            whole = MbrPartition(
                1, mbr.TYPE_HIDDEN_NTFS, True, 0, sectors, b"\x00\x01\x00", _end_chs(sectors)
            )
            table = table.with_partition(whole)
        if volume is None:
            return table
        start = volume.offset_bytes // SECTOR
        sectors = align_up(volume.size_bytes, SECTOR) // SECTOR
        for other in table.partitions:
            if other.start_lba < start + sectors and other.end_lba >= start:
                table = table.with_partition(replace(other, type=mbr.TYPE_EMPTY))
        index = self._free_index(len(table.partitions)) or 1
        chs = _NESTED_CHS if table.partitions else b""
        return table.with_partition(MbrPartition(index, mbr.TYPE_EFI, False, start, sectors, chs, chs))

    def _free_index(self, known: int) -> int | None:
        used = {p.index for p in self._mbr.partitions} | ({1} if known else set())
        return next((index for index in range(1, 5) if index not in used), None)

    def _enter_gpt(self, volume: EfiVolume) -> None:
        """The EFI image as a partition of both sides of the GPT."""
        state = self._facts.structures.gpt
        start = volume.offset_bytes // SECTOR
        end = start + align_up(volume.size_bytes, SECTOR) // SECTOR - 1
        guid = uuid.uuid5(gpt.ESP, self._identity().hex())
        for side, name in ((state.primary, "primary"), (state.backup, "backup")):
            assert side is not None
            used = {p.index for p in side.partitions}
            index = next((i for i in range(1, side.entry_count + 1) if i not in used), 0)
            entry = gpt.GptPartition(index, "EFI", gpt.ESP, guid, start, end)
            try:
                built = replace(side, partitions=(*side.partitions, entry)).build(SECTOR)
            except FormatError as error:
                raise RefusedError(
                    f"Its partition table (GPT) cannot take the EFI image: {error.message}",
                    "Write it to a disc, or ask its maker for a hybrid image.",
                ) from error
            self._patches.append(Patch(built.array_offset, built.array, f"entries of the {name} GPT"))
            self._patches.append(Patch(built.header_offset, built.header, f"header of the {name} GPT"))

    def _identity(self) -> bytes:
        return hashlib.sha256(self._image.read_at(FIRST_DESCRIPTOR * BLOCK, BLOCK)).digest()

    def _disk_id(self) -> int:
        """Never zero, the same for the same image."""
        return int.from_bytes(self._identity()[:4], "little") or 1


def _end_chs(sectors: int) -> bytes:
    """The last sector of an image of whole cylinders, for 64 heads and 32 sectors (isohybrid's geometry)."""
    cylinder = min(sectors // (HEADS * SECTORS_PER_TRACK), 1024) - 1
    return bytes((HEADS - 1, SECTORS_PER_TRACK | (cylinder >> 2 & 0xC0), cylinder & 0xFF))


def _code(path: Path, package: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingToolError(
            f"{path}, which starts an image from USB, is not there.",
            f"Install Debian's package {package}: apt install {package}",
        ) from error
