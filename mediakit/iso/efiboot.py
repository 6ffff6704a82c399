"""Whether UEFI can boot an image, from disc and as a disk: a FAT with a loader, where firmware looks.

UEFI 2.10 §3.5.1.1 (removable media: \\EFI\\BOOT\\BOOT{arch}.EFI), §13.3.2 (El Torito), §5.3 (partitions).
OVMF boots more than real firmware does, so this is judged by the structures alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats import gpt, mbr, pe
from mediakit.formats.fat import Fat
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.pe import EfiProgram
from mediakit.formats.reader import Reader, bytes_reader, sub_reader
from mediakit.iso.biosboot import BootImage, Route
from mediakit.iso.structures import SECTOR, Structures

if TYPE_CHECKING:
    from mediakit.iso.image import Image

LOADERS = {"x64": "EFI/BOOT/BOOTX64.EFI", "ia32": "EFI/BOOT/BOOTIA32.EFI", "aa64": "EFI/BOOT/BOOTAA64.EFI"}
_SECOND_STAGES = ("EFI/BOOT/grubx64.efi", "EFI/BOOT/gcdx64.efi")
_ESP_TYPES = (gpt.ESP, gpt.BASIC_DATA)
_FAT_TYPES = (mbr.TYPE_EFI, mbr.TYPE_FAT32_LBA, 0x0B, 0x0E, 0x06, 0x04, 0x01)
MAX_LOADER_BYTES = 256 << 20


@dataclass(frozen=True)
class EfiVolume:
    """One FAT that firmware may find; ``why_not`` is empty when it holds a loader for x64."""

    origin: str
    offset_bytes: int
    size_bytes: int
    loaders: dict[str, EfiProgram]
    second_stage: EfiProgram | None
    why_not: str

    @property
    def loader(self) -> EfiProgram | None:
        return self.loaders.get("x64")


class VolumeCache:
    """Looks at each place in the image once, however many tables point there."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._seen: dict[int, EfiVolume] = {}

    def look(self, origin: str, offset: int) -> EfiVolume:
        """The FAT at ``offset``, and the loaders in it."""
        if offset not in self._seen:
            self._seen[offset] = _examine(self._image, origin, offset)
        return self._seen[offset]


def judge_cd(
    structures: Structures, images: list[BootImage], cache: VolumeCache, findings: list[Finding]
) -> tuple[Route, EfiVolume | None]:
    """UEFI from disc: an El Torito entry for EFI whose image is a FAT with a loader."""
    if structures.catalog is None:
        return Route(False, "The image has no El Torito boot catalog."), None
    entries = [i for i in images if i.entry.is_efi and i.entry.is_bootable]
    if not entries:
        return Route(False, "The boot catalog has no entry for UEFI."), None
    boot = entries[0]
    where = boot.path or f"the image at block {boot.entry.lba}"
    if not boot.is_inside:
        what = "The UEFI boot image lies outside the file: the image is truncated."
        findings.append(Finding("error", what, "Copy or download the image again."))
        return Route(False, what), None
    volume = cache.look(where, boot.entry.lba * BLOCK)
    if volume.why_not:
        what = f"El Torito's UEFI image ({where}): {volume.why_not}"
        findings.append(Finding("error", what, "", volume.offset_bytes, volume.size_bytes))
        return Route(False, what), volume
    return Route(True, f"El Torito gives {where}, a FAT with \\EFI\\BOOT\\BOOTX64.EFI."), volume


def judge_usb(
    structures: Structures, cache: VolumeCache, findings: list[Finding]
) -> tuple[Route, EfiVolume | None]:
    """UEFI from a stick: a partition in GPT or MBR that is a FAT with a loader."""
    reasons: list[str] = []
    for origin, start_lba, sectors in _candidates(structures):
        offset = start_lba * SECTOR
        if offset + sectors * SECTOR > structures.size_bytes:
            reasons.append(f"{origin} ends behind the image: it is truncated.")
            continue
        volume = cache.look(origin, offset)
        if volume.why_not:
            reasons.append(f"{origin}: {volume.why_not}")
            continue
        if volume.size_bytes > sectors * SECTOR:
            what = f"{origin} is smaller than the FAT filesystem in it."
            findings.append(Finding("warning", what, "Strict firmware may not boot it.", offset, SECTOR))
        return Route(True, f"{origin} is a FAT with \\EFI\\BOOT\\BOOTX64.EFI."), volume
    if reasons:
        return Route(False, reasons[0]), None
    if structures.mbr is None and not structures.gpt.is_present:
        return Route(False, "The image has no partition table: firmware sees no partition on a stick."), None
    return Route(False, "No partition of the image is an EFI system partition."), None


def judge_secure_boot(volumes: list[EfiVolume]) -> Route:
    """Secure Boot as machines are sold: Microsoft's signature on the first loader, any on the next."""
    good = [v for v in volumes if not v.why_not and v.loader is not None]
    if not good:
        return Route(False, "Nothing boots by UEFI.")
    for volume in good:
        loader = volume.loader
        assert loader is not None
        if not loader.is_signed:
            return Route(False, "BOOTX64.EFI is not signed.")
        if not loader.is_trusted_as_sold:
            what = f"BOOTX64.EFI is signed by {loader.signers[0]}, which machines do not trust as sold."
            return Route(False, what)
        is_shim = any(entry.component == "shim" for entry in loader.sbat)
        if is_shim and volume.second_stage is None:
            return Route(False, "The shim is signed, but there is no grubx64.efi beside it.")
        if is_shim and volume.second_stage is not None and not volume.second_stage.is_signed:
            return Route(False, "The shim is signed by Microsoft, but grubx64.efi is not signed.")
    first = good[0].loader
    assert first is not None
    then = good[0].second_stage
    behind = f", what follows by {then.signers[0]}" if then is not None and then.is_signed else ""
    return Route(True, f"BOOTX64.EFI is signed by {first.signers[0]}{behind}.")


def _candidates(structures: Structures) -> list[tuple[str, int, int]]:
    """Name, start and sectors of every partition that firmware may look into, the likeliest first."""
    found: list[tuple[str, int, int]] = []
    table = structures.gpt.primary
    if table is not None:
        likely = [p for p in table.partitions if p.type_guid in _ESP_TYPES]
        likely.sort(key=lambda p: p.type_guid != gpt.ESP)
        found += [(f"GPT partition {p.index}", p.start_lba, p.sectors) for p in likely]
    if structures.mbr is not None:
        entries = [p for p in structures.mbr.partitions if p.type in _FAT_TYPES]
        found += [(f"MBR partition {p.index}", p.start_lba, p.sectors) for p in entries]
    return [(name, start, sectors) for name, start, sectors in found if start > 0 and sectors > 0]


def _examine(image: Image, origin: str, offset: int) -> EfiVolume:
    left = image.size_bytes - offset
    try:
        fat = Fat(sub_reader(image.reader, offset, left))
        size = fat.volume.size_bytes
        if size > left:
            return EfiVolume(origin, offset, size, {}, None, "the FAT filesystem is cut off.")
        loaders = {}
        for machine, path in LOADERS.items():
            if fat.exists(path):
                program = _program(fat, path)
                if program.machine == machine and program.is_efi_application:
                    loaders[machine] = program
        second = next((_program(fat, path) for path in _SECOND_STAGES if fat.exists(path)), None)
    except FormatError as error:
        return EfiVolume(origin, offset, 0, {}, None, error.message)
    why_not = (
        "" if "x64" in loaders else "there is no \\EFI\\BOOT\\BOOTX64.EFI in it that is a loader for x64."
    )
    return EfiVolume(origin, offset, size, loaders, second, why_not)


def _program(fat: Fat, path: str) -> EfiProgram:
    """The headers of a program, read through its extents: sparse when it is contiguous."""
    extents = fat.extents(path)
    if len(extents) == 1:
        start, size = extents[0]
        return pe.read(sub_reader(fat.reader, start, size), size)
    data = fat.read(path, MAX_LOADER_BYTES)
    reader: Reader = bytes_reader(data)
    return pe.read(reader, len(data))
