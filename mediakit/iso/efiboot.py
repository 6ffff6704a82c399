"""Whether UEFI can boot an image, from disc and as a disk: a FAT with a loader, where firmware looks.

UEFI 2.10 §3.5.1.1 (removable media), §13.3.2 (El Torito), §5.2.3 (a GPT counts only behind a protective MBR),
§5.3 (partitions). OVMF boots more than real firmware does, so this is judged by the structures alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from mediakit.formats import gpt, mbr
from mediakit.formats.findings import Finding, Severity
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.biosboot import BootImage, Route
from mediakit.iso.efivolume import SECOND_STAGES, EfiFile, EfiVolume, VolumeCache
from mediakit.iso.structures import SECTOR, Structures

_ESP_TYPES = (gpt.ESP, gpt.BASIC_DATA)
_FAT_TYPES = (mbr.TYPE_EFI, mbr.TYPE_FAT32_LBA, 0x0B, 0x0E, 0x06, 0x04, 0x01)
_MAX_CANDIDATES = 24
"""Partitions that are looked into: a hostile GPT names thousands."""
_AGAIN = "Copy or download the image again."
_REBUILD = "Put the loader there: \\EFI\\BOOT\\BOOTX64.EFI of a shim or GRUB for x64."
_LEVELS: tuple[tuple[Severity, str, dict[str, int]], ...] = (
    (
        "warning",
        "machines with the revocations of 2024 (Windows Update brought them)",
        {"shim": 4, "grub": 3, "grub.debian": 4},
    ),
    (
        "note",
        "machines with the revocations of 2025 (a shim from 16 on brings them when it boots)",
        {"shim": 4, "grub": 5, "grub.peimage": 2, "grub.proxmox": 2},
    ),
)
"""What machines refuse: SBAT levels 2024010900 and 2025051000 of shim's ``SbatLevel_Variable.txt``.

Windows Update set the first one in August 2024. The second one's ``shim,4 grub,5`` are the automatic level of
Debian's shim 16.1, which it stores in the firmware; ``grub.peimage,2`` is of 2024040900, in Fedora's. What is
beyond (``grub,6`` of 2025112400) is nobody's automatic level yet.
"""


def judge_cd(
    structures: Structures, images: list[BootImage], cache: VolumeCache, findings: list[Finding]
) -> tuple[Route, EfiVolume | None]:
    """UEFI from disc: an El Torito entry for EFI whose image is a FAT with a loader."""
    if structures.catalog is None:
        return Route(False, "The image has no El Torito boot catalog."), None
    entries = [i for i in images if i.entry.is_efi]
    if not entries:
        return Route(False, "The boot catalog has no entry for UEFI."), None
    bootable = [i for i in entries if i.entry.is_bootable]
    boot = (bootable or entries)[0]
    if not bootable:
        return Route(False, "The boot catalog marks its entry for UEFI as not bootable."), None
    where = boot.path or f"the image at block {boot.entry.lba}"
    start = boot.entry.lba * BLOCK
    if not boot.is_inside:
        what = "The UEFI boot image lies outside the file: the image is truncated."
        findings.append(Finding("error", what, _AGAIN, start, boot.size_bytes))
        return Route(False, what), None
    volume = cache.look(where, start)
    if volume.why_not:
        what = f"El Torito's UEFI image ({where}): {volume.why_not}"
        if volume.is_for_others:
            return Route(False, what), volume
        findings.append(Finding("error", what, _REBUILD, start, volume.size_bytes or boot.size_bytes))
        return Route(False, what), volume
    size = boot.entry.load_sectors * SECTOR
    if 1 < boot.entry.load_sectors < 0xFFFF and size < volume.size_bytes:
        what = (
            f"The boot catalog gives UEFI only {size} bytes of {where}, whose filesystem has "
            f"{volume.size_bytes}: strict firmware cannot read it."
        )
        hint = "Build the image without -boot-load-size for the UEFI entry."
        findings.append(Finding("warning", what, hint, start, volume.size_bytes))
    return Route(True, f"El Torito gives {where}, a FAT with \\EFI\\BOOT\\BOOTX64.EFI."), volume


def judge_usb(
    structures: Structures, cache: VolumeCache, findings: list[Finding]
) -> tuple[Route, EfiVolume | None]:
    """UEFI from a stick: a partition in GPT or MBR that is a FAT with a loader."""
    reasons: list[tuple[str, str, int, int]] = []
    seen: EfiVolume | None = None
    others: tuple[str, EfiVolume] | None = None
    for origin, start_lba, sectors, is_esp in _candidates(structures):
        offset = start_lba * SECTOR
        if offset + sectors * SECTOR > structures.size_bytes:
            what = f"{origin} ends behind the image: it is truncated."
            reasons.append((what, _AGAIN, offset, sectors * SECTOR))
            continue
        volume = cache.look(origin, offset)
        if volume.why_not:
            if volume.is_for_others:
                others = others or (origin, volume)
            elif is_esp:
                reasons.append((f"{origin}: {volume.why_not}", _REBUILD, offset, sectors * SECTOR))
                seen = seen or volume
            continue
        if volume.size_bytes > sectors * SECTOR:
            what = f"{origin} is smaller than the FAT filesystem in it."
            hint = "Strict firmware may not boot it; enlarge the partition's entry."
            findings.append(Finding("warning", what, hint, offset, sectors * SECTOR))
        if origin.startswith("GPT") and structures.mbr and not structures.mbr.has_protective:
            what = "The MBR has no protective entry: strict UEFI firmware does not look at the GPT then."
            hint = "Build the image without -part_like_isohybrid, or with an MBR entry of type EF for it."
            findings.append(Finding("warning", what, hint, 446, 64))
        return Route(True, f"{origin} is a FAT with \\EFI\\BOOT\\BOOTX64.EFI."), volume
    if reasons:
        what, hint, offset, size = reasons[0]
        findings.append(Finding("error", what, hint, offset, size))
        return Route(False, what), seen
    if others is not None:
        return Route(False, f"{others[0]}: {others[1].why_not}"), others[1]
    return Route(False, _why_no_partition(structures)), None


def _why_no_partition(structures: Structures) -> str:
    if structures.mbr is None and not structures.gpt.is_present:
        return "The image has no partition table: firmware sees no partition on a stick."
    if structures.mbr is None:
        return "The MBR is missing, without which firmware does not look at the GPT."
    if structures.gpt.is_present and structures.gpt.primary is None and structures.mbr.has_protective:
        return "The primary partition table (GPT) is damaged; not every firmware takes the backup."
    return "No partition of the image is an EFI system partition."


def judge_secure_boot(volumes: list[EfiVolume], findings: list[Finding]) -> Route:
    """Secure Boot as machines are sold: Microsoft's signature on the first loader, any on the next."""
    good = [v for v in volumes if not v.why_not and v.loader is not None]
    if not good:
        return Route(False, "Nothing boots by UEFI.")
    for volume in good:
        why = _why_not_secure(volume)
        if why is not None:
            what, file = why
            if _claims_secure(volume):
                place = (
                    (file.offset_bytes, file.size_bytes) if file.offset_bytes is not None else (None, None)
                )
                hint = "Take loaders as their distributor signed them."
                findings.append(Finding("error", what, hint, *place))
            return Route(False, what)
    for volume in good:
        _check_revocations(volume, findings)
    first, *rest = good[0].chain
    behind = f", {rest[0].path.rpartition('/')[2]} by {rest[0].program.signers[0]}" if rest else ""
    return Route(True, f"BOOTX64.EFI is signed by {_authority(first)}{behind}.")


def claims_secure_boot(volumes: list[EfiVolume]) -> bool:
    """Whether the image is meant for Secure Boot: its first loader carries a signature machines trust."""
    return any(_claims_secure(volume) for volume in volumes)


def _claims_secure(volume: EfiVolume) -> bool:
    return volume.loader is not None and volume.loader.program.is_trusted_as_sold


def _authority(file: EfiFile) -> str:
    trusted = [str(s) for s in file.program.signers if file.program.is_trusted_as_sold]
    return next((name for name in trusted if "Microsoft" in name), str(file.program.signers[0]))


def _why_not_secure(volume: EfiVolume) -> tuple[str, EfiFile] | None:
    """What keeps this volume's loaders from starting under Secure Boot, and the file it is about."""
    loader, second = volume.loader, volume.second_stage
    assert loader is not None
    if not loader.program.is_signed:
        return "BOOTX64.EFI is not signed.", loader
    if loader.is_altered:
        return "BOOTX64.EFI was changed after it was signed.", loader
    if not loader.program.is_trusted_as_sold:
        signer = loader.program.signers[0]
        return f"BOOTX64.EFI is signed by {signer}, which machines do not trust as sold.", loader
    if loader.kind != "shim":
        return None
    if second is None:
        wanted = loader.starts or SECOND_STAGES[0]
        reason = dict(volume.damaged).get(f"EFI/BOOT/{wanted}", "")
        if reason:
            return f"The shim is signed, but {wanted} beside it is no loader: {reason}", loader
        return f"The shim is signed, but there is no {wanted} beside it.", loader
    name = second.path.rpartition("/")[2]
    if not second.program.is_signed:
        return f"The shim is signed by Microsoft, but {name} is not signed.", second
    if second.is_altered:
        return f"{name} was changed after it was signed.", second
    signers = {word for s in second.program.signers for word in (s.name, s.issuer) if word}
    is_foreign = bool(loader.vendors and signers) and not signers & set(loader.vendors)
    if is_foreign and not second.program.is_trusted_as_sold:
        shown, trusted = second.program.signers[0], loader.vendors[0]
        return f"{name} is signed by {shown}, but the shim trusts {trusted}.", second
    for component, least in loader.revocations:
        generation = second.program.generation(component)
        if generation is not None and generation < least:
            what = f"The shim refuses {name}: its SBAT generation {component} {generation} is below {least}."
            return what, second
    return None


def _check_revocations(volume: EfiVolume, findings: list[Finding]) -> None:
    """What machines with newer revocations refuse, though the signatures are right."""
    for file in volume.chain:
        if file.kind == "shim" and not file.program.sbat:
            what = f"{file.dos_path} is a shim without SBAT (before 15.3): up-to-date machines refuse it."
            findings.append(_revoked(what, file))
        reason = next(_below(file), None)
        if reason is not None:
            findings.append(reason)


def _below(file: EfiFile) -> Iterator[Finding]:
    """What each level of revocations says against a loader, the oldest level first."""
    for severity, who, level in _LEVELS:
        for component, least in level.items():
            generation = file.program.generation(component)
            if generation is not None and generation < least:
                what = (
                    f"{file.dos_path} has the SBAT generation {component} {generation}; {who} want {least} "
                    "and refuse it."
                )
                yield _revoked(what, file, severity)


def _revoked(what: str, file: EfiFile, severity: Severity = "warning") -> Finding:
    hint = "Take newer loaders, or turn Secure Boot off on such machines."
    where = (file.offset_bytes, file.size_bytes) if file.offset_bytes is not None else (None, None)
    return Finding(severity, what, hint, *where)


def _candidates(structures: Structures) -> list[tuple[str, int, int, bool]]:
    """Name, start, sectors and “is an ESP” of the partitions firmware may look into, the likeliest first."""
    record, table = structures.mbr, structures.gpt.primary
    if record is None:
        return []
    by_gpt: list[tuple[str, int, int, bool]] = []
    if table is not None:
        likely = [p for p in table.partitions if p.type_guid in _ESP_TYPES]
        likely.sort(key=lambda p: p.type_guid != gpt.ESP)
        by_gpt += [
            (f"GPT partition {p.index}", p.start_lba, p.sectors, p.type_guid == gpt.ESP) for p in likely
        ]
    entries = [p for p in record.partitions if p.type in _FAT_TYPES]
    entries.sort(key=lambda p: p.type != mbr.TYPE_EFI)
    by_mbr = [(f"MBR partition {p.index}", p.start_lba, p.sectors, p.type == mbr.TYPE_EFI) for p in entries]
    found = by_gpt + by_mbr if record.has_protective else by_mbr + by_gpt
    return [item for item in found if item[1] > 0 and item[2] > 0][:_MAX_CANDIDATES]
