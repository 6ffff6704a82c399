"""What an image is, how it boots, and what is odd about it: the document of ``inspect --json``.

Everything is judged by the bytes alone, sparsely: the cost does not depend on the image's size. Whether it is
an Engine, and whose, is added by the caller: this package does not know Engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mediakit.formats import gpt, mbr
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso import biosboot, data_volumes, efiboot, structures, tables
from mediakit.iso.biosboot import BootImage, Route
from mediakit.iso.bootmenus import menus
from mediakit.iso.bootmenus.menus import Menus
from mediakit.iso.efivolume import NAMES, EfiVolume, VolumeCache
from mediakit.iso.structures import SECTOR, Structures
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.image import FileRecord, Image

SCHEMA = 1
_AGAIN = "Copy or download the image again."
_NEW_CODE = "Copy or download the image again, or let mediakit rewrite --usb-bootable write it anew."


@dataclass(frozen=True)
class BootRoutes:
    """The four routes and Secure Boot."""

    bios_cd: Route
    bios_usb: Route
    uefi_cd: Route
    uefi_usb: Route
    secure_boot: Route

    def items(self) -> list[tuple[str, Route]]:
        return [(name, getattr(self, name)) for name in self.__dataclass_fields__]


@dataclass(frozen=True)
class ImageFacts:
    """All of it. ``is_truncated``: the image says itself that it should be longer. ``claims``: the routes it
    is made for."""

    path: str
    size_bytes: int
    volume_id: str
    structures: Structures
    boot_images: tuple[BootImage, ...]
    efi_volumes: tuple[EfiVolume, ...]
    boot: BootRoutes
    findings: tuple[Finding, ...]
    is_truncated: bool
    menus: Menus
    claims: tuple[str, ...]

    @property
    def broken_claims(self) -> tuple[str, ...]:
        """The routes that the image claims and that do not work: what ``audit`` fails for."""
        return tuple(name for name, route in self.boot.items() if name in self.claims and not route.ok)

    def to_audit_json(self) -> dict[str, Any]:
        """The document of ``audit --json``."""
        return {
            "schema": SCHEMA,
            "path": self.path,
            "boot": {name: {"ok": route.ok, "why": route.why} for name, route in self.boot.items()},
            "findings": [finding.to_audit_json() for finding in self.findings],
        }

    def to_json(
        self, engine: dict[str, Any] | None = None, files: Iterable[FileRecord] | None = None
    ) -> dict[str, Any]:
        """The document of ``inspect --json``; ``files`` only where they were asked for."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "path": self.path,
            "size_bytes": self.size_bytes,
            "volume_id": self.volume_id,
            "filesystems": list(self.structures.filesystems),
            "el_torito": [_boot_image_json(boot) for boot in self.boot_images],
            "mbr": _mbr_json(self.structures),
            "gpt": _gpt_json(self.structures),
            "boot": {name: {"ok": route.ok, "why": route.why} for name, route in self.boot.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "engine": engine,
        }
        if files is not None:
            document["files"] = [{"path": f.path, "size_bytes": f.size_bytes, "kind": f.kind} for f in files]
        return document


def gather(image: Image, kept: ImageFacts | None = None) -> ImageFacts:
    """Look at everything once.

    ``kept``: facts of the same image but for bytes outside its files and EFI volumes, whose loaders and menus
    need no second look.
    """
    raw = structures.gather(image)
    findings = [*raw.findings, *raw.gpt.findings]
    truncated = _check_size(image, raw, findings)
    if not image.descriptors.has_end:
        findings.append(Finding("warning", "The list of volume descriptors has no end mark.", _AGAIN))
    findings += _about_trees(image)
    entries = raw.catalog.entries if raw.catalog else ()
    images = biosboot.examine(image, raw, entries)
    cache = VolumeCache(image, kept.efi_volumes if kept else ())
    routes = {
        "bios_cd": biosboot.judge_cd(raw, images, findings),
        "bios_usb": biosboot.judge_usb(raw, images, findings),
    }
    routes["uefi_cd"], cd_volume = efiboot.judge_cd(raw, images, cache, findings)
    routes["uefi_usb"], usb_volume = efiboot.judge_usb(raw, cache, findings)
    volumes = list({v.offset_bytes: v for v in (cd_volume, usb_volume) if v is not None}.values())
    routes["secure_boot"] = efiboot.judge_secure_boot(volumes, findings)
    if kept is not None and kept.boot_images == tuple(images) and list(kept.efi_volumes) == volumes:
        followed = kept.menus
    else:
        followed = menus.gather(image, images, cd_volume, usb_volume)
    for name, route in routes.items():
        if route.ok and followed.why_dead(name):
            routes[name] = Route(False, followed.why_dead(name))
    findings += [*tables.judge(raw, volumes), *data_volumes.judge(image, raw, volumes)]
    claims = _claims(raw, images, volumes)
    findings += [*followed.findings, *_remarks(volumes)]
    if "bios_usb" in claims and raw.mbr_kind == "none" and not raw.has_unmarked_code:
        what = "The boot code of the first sector is gone: a BIOS does not start this from a stick."
        findings.append(Finding("error", what, _NEW_CODE, 0, SECTOR))
    boot = BootRoutes(**routes)
    return ImageFacts(
        path=str(image.path),
        size_bytes=image.size_bytes,
        volume_id=image.descriptors.volumes[0].volume_id,
        structures=raw,
        boot_images=tuple(images),
        efi_volumes=tuple(volumes),
        boot=boot,
        findings=tuple(dict.fromkeys(findings)),
        is_truncated=truncated,
        menus=followed,
        claims=claims,
    )


def _claims(raw: Structures, images: list[BootImage], volumes: list[EfiVolume]) -> tuple[str, ...]:
    """The routes that an image is made for, whether or not they work.

    From disc: a catalog entry for that firmware, bootable or not; a catalog that is announced and cannot be
    read claims BIOS, and UEFI too where there is an EFI partition. BIOS from a stick: boot code in the first
    sector that is known, or known to be a system's; what unknown code would do cannot be told, so it claims
    nothing. UEFI from a stick: a partition typed as an ESP. Secure Boot: a first loader with a signature that
    machines trust. What is made for other machines' UEFI alone claims nothing for those of x64.
    """
    record = raw.mbr
    starts = {boot.offset_bytes for boot in images if boot.entry.is_efi}
    partitions = raw.gpt.gpt.partitions if raw.gpt.gpt else ()
    is_for_x64 = not volumes or not all(volume.is_for_others for volume in volumes)
    has_esp = bool(raw.gpt.gpt and any(p.type_guid == gpt.ESP for p in raw.gpt.gpt.partitions))
    has_esp = has_esp or bool(record and any(p.type == mbr.TYPE_EFI for p in record.partitions))
    is_lost = raw.catalog_lba is not None and raw.catalog is None
    has_esp = has_esp or any(p.start_lba * SECTOR in starts for p in partitions)
    known = raw.mbr_kind not in ("none", "other") or _lost_its_code(raw, images)
    claims = {
        "bios_cd": is_lost or any(i.entry.is_bios for i in images),
        "bios_usb": known or raw.has_unmarked_code,
        "uefi_cd": is_for_x64 and ((is_lost and has_esp) or any(i.entry.is_efi for i in images)),
        "uefi_usb": is_for_x64 and has_esp,
        "secure_boot": efiboot.claims_secure_boot(volumes),
    }
    return tuple(name for name, claimed in claims.items() if claimed)


def _lost_its_code(raw: Structures, images: list[BootImage]) -> bool:
    """Whether the image had boot code for sticks that is gone, as after edits with pycdlib.

    What is left of it: the pointer in GRUB's boot image that only a hybrid MBR reads, or isohybrid's GPT.
    """
    boot = biosboot.bios_image(images)
    if raw.mbr_kind != "none" or boot is None or not boot.is_inside:
        return False
    partitions = raw.gpt.gpt.partitions if raw.gpt.gpt else ()
    was_isohybrid = any("ISOHybrid" in p.name for p in partitions) and boot.is_hybrid_ready
    return boot.has_grub2_pointer or was_isohybrid


def _check_size(image: Image, raw: Structures, findings: list[Finding]) -> bool:
    """Whether filesystem, GPT or MBR reach behind the end. An appended partition lies behind the volume."""
    volume = image.descriptors.find("primary")
    assert volume is not None
    needed = {"The filesystem": volume.space_blocks * BLOCK}
    if raw.gpt.primary is not None:
        needed["The partition table (GPT)"] = (raw.gpt.primary.alternate_lba + 1) * SECTOR
    for partition in raw.mbr.partitions if raw.mbr else ():
        # isohybrid rounds the first partition up to whole cylinders, which not everybody pads
        slack = 0 if partition.index > 1 else 1 << 20
        end = (partition.start_lba + partition.sectors) * SECTOR
        if partition.type not in (0xEE,) and partition.start_lba:
            needed[f"Partition {partition.index} of the MBR"] = end - slack
    for name, size in needed.items():
        if size > image.size_bytes:
            what = f"{name} needs {size} bytes, but the image has {image.size_bytes}: it is truncated."
            findings.append(Finding("error", what, _AGAIN, image.size_bytes, size - image.size_bytes))
            return True
    return False


def _about_trees(image: Image) -> list[Finding]:
    """Which tree the files are from, where there is a choice."""
    found = []
    number = len(image.sessions.starts)
    if image.sessions.are_several:
        last = image.sessions.shown == number - 1
        what = (
            f"The image has several sessions ({number}); its files are those of the last one."
            if last
            else f"The image has several sessions ({number}); its files are those of the first one."
        )
        hint = "What boots or mounts it as a file or stick sees the same. It can be read, but not edited."
        found.append(Finding("note", what, hint))
    if image.tree is image.udf:
        what = "The files are in the UDF filesystem; the ISO 9660 tree is only a stub."
        found.append(Finding("note", what, "They can be read, but not edited."))
    elif image.udf_error is not None:
        what = f"The UDF filesystem of the image cannot be read: {image.udf_error.message}"
        found.append(Finding("warning", what, image.udf_error.hint))
    return found


def _remarks(volumes: list[EfiVolume]) -> list[Finding]:
    found = []
    for volume in volumes:
        where = (volume.offset_bytes, volume.size_bytes)
        for machine in volume.loaders:
            if machine != "x64":
                name = f"{NAMES[machine]} ({machine})"
                too = "only" if volume.is_for_others else "too"
                what = f"There is a loader for UEFI on {name} {too}, in {volume.origin}."
                found.append(Finding("note", what, "", *where))
        for path, why in volume.damaged:
            if path != "EFI/BOOT/BOOTX64.EFI":
                dos = "\\" + path.replace("/", "\\")
                what = f"{dos} in {volume.origin} is no loader: {why}"
                found.append(Finding("warning", what, _AGAIN, *where))
    return found


def _boot_image_json(boot: BootImage) -> dict[str, Any]:
    return {
        "platform": boot.entry.platform,
        "emulation": boot.entry.emulation,
        "lba": boot.entry.lba,
        "load_sectors": boot.entry.load_sectors,
        "path": boot.path or None,
        "boot_info_table": boot.table_ok,
        "grub2_boot_info": boot.grub2_ok,
    }


def _mbr_json(raw: Structures) -> dict[str, Any] | None:
    if raw.mbr is None:
        return None
    return {
        "kind": raw.mbr_kind,
        "disk_id": f"0x{raw.mbr.disk_id:08x}",
        "partitions": [
            {
                "index": p.index,
                "type": f"0x{p.type:02x}",
                "active": p.active,
                "start_lba": p.start_lba,
                "sectors": p.sectors,
            }
            for p in raw.mbr.partitions
        ],
    }


def _gpt_json(raw: Structures) -> dict[str, Any] | None:
    table = raw.gpt.gpt
    if not raw.gpt.is_present:
        return None
    return {
        "disk_guid": str(table.disk_guid) if table else None,
        "partitions": [
            {
                "index": p.index,
                "name": p.name,
                "type_guid": str(p.type_guid),
                "guid": str(p.guid),
                "start_lba": p.start_lba,
                "end_lba": p.end_lba,
            }
            for p in (table.partitions if table else ())
        ],
        "primary_ok": raw.gpt.primary is not None,
        "backup_ok": raw.gpt.backup is not None,
        "backup_at_end": raw.gpt.backup_at_end,
    }
