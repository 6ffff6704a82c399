"""The menus of a medium, found as its loaders find them, and what in them is wrong.

Where loaders look is ``menu_places``': GRUB for BIOS under /boot/grub, else under the prefix that is
compressed into its boot image; GRUB for UEFI under the prefix built into it, beside itself, then on the
disc; systemd-boot in /loader of its volume. A menu that cannot be found or told is no error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats.findings import Finding, Severity
from mediakit.iso.biosboot import MAX_BOOT_IMAGE_BYTES, BootImage, bios_image
from mediakit.iso.bootmenus import menu_places
from mediakit.iso.bootmenus.menu import DiscFiles, FatFiles, Files, Menu, MenuEntry, MenuFile, Place
from mediakit.iso.efivolume import EfiVolume
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.bootmenus.grub_menu import Medium
    from mediakit.iso.image import Image

MAX_FINDINGS = 12
_LABEL_ARGUMENT = re.compile(r"(?:^|[\s:=])(?:CDLABEL|hd:LABEL|live:LABEL|archisolabel|misolabel)=([^\s:,]+)")
_HINTS = {
    "kernel": "Add the file, or remove the entry.",
    "module": "Add the file, or name the right one.",
}
_MISSING = "Add the file, or take the line out of the menu."


@dataclass(frozen=True)
class Menus:
    """The menus by route (``bios``, ``uefi_cd``, ``uefi_usb``), and what is wrong with them."""

    menus: tuple[tuple[str, Menu], ...]
    findings: tuple[Finding, ...]
    dead: tuple[tuple[str, str], ...]

    def of(self, route: str) -> Menu | None:
        """The menu that a route shows."""
        key = "bios" if route.startswith("bios") else route
        return next((menu for name, menu in self.menus if name == key), None)

    def why_dead(self, route: str) -> str:
        """Why a route's menu can start nothing; empty where it can."""
        key = "bios" if route.startswith("bios") else route
        return dict(self.dead).get(key, "")


def gather(
    image: Image, images: list[BootImage], cd_volume: EfiVolume | None, usb_volume: EfiVolume | None
) -> Menus:
    """Follow every menu once; damage becomes findings."""
    menus: list[tuple[str, Menu]] = []
    findings: list[Finding] = []
    dead: list[tuple[str, str]] = []
    boot = bios_image(images)
    if boot is not None and boot.is_inside:
        menu, why = _bios_menu(image, boot, findings)
        menus += [("bios", menu)] if menu else []
        dead += [("bios", why)] if why else []
    seen: dict[int, Menu | None] = {}
    for route, volume in (("uefi_cd", cd_volume), ("uefi_usb", usb_volume)):
        if volume is None or volume.why_not:
            continue
        if volume.offset_bytes not in seen:
            seen[volume.offset_bytes] = _uefi_menu(image, volume)
        found = seen[volume.offset_bytes]
        menus += [(route, found)] if found else []
    for route, menu in menus:
        findings += _judge(menu, _labels(image, cd_volume or usb_volume))
        if menu.is_dead:
            what = f"None of the entries in {menu.configs[0]} finds its files on this medium."
            dead.append((route, what))
            findings.append(Finding("error", what, "Copy or build the image again."))
    return Menus(tuple(menus), tuple(dict.fromkeys(findings)), tuple(dead))


def _bios_menu(image: Image, boot: BootImage, findings: list[Finding]) -> tuple[Menu | None, str]:
    if boot.loader == "grub2":
        from mediakit.iso.bootmenus import grub_menu

        disc = DiscFiles(image)
        for prefix in menu_places.GRUB_BIOS:
            if disc.find(f"{prefix}/grub.cfg") is not None:
                medium = grub_volumes(image, disc, None)
                return grub_menu.follow(medium, grub_menu.MEDIUM, f"{prefix}/grub.cfg", "bios", prefix), ""
        return _unusual_menu(image, boot, disc, findings), ""
    if boot.loader == "isolinux":
        from mediakit.iso.bootmenus import isolinux_menu

        files = DiscFiles(image, any_case=True)
        folders = (*_built_in_folder(image, boot), *menu_places.ISOLINUX)
        if boot.version >= 5 and not any(files.find(f"{folder}/ldlinux.c32") for folder in folders):
            what = f"ISOLINUX {boot.version} does not start without ldlinux.c32, which is not where it looks."
            hint = "Add ldlinux.c32 of the same version to /isolinux or /boot/isolinux."
            findings.append(Finding("error", what, hint, boot.offset_bytes, boot.size_bytes))
            return None, what
        path = isolinux_menu.find_config(files, folders)
        if path is not None:
            return isolinux_menu.mark_default(isolinux_menu.follow(files, path)), ""
        what = "ISOLINUX finds no isolinux.cfg: it shows its prompt and no menu."
        hint = "It belongs into /isolinux or /boot/isolinux."
        findings.append(Finding("warning", what, hint))
    return None, ""


def _unusual_menu(image: Image, boot: BootImage, disc: Files, findings: list[Finding]) -> Menu | None:
    """The menu under the prefix that is built into GRUB's boot image: unpacking it takes a moment."""
    from mediakit.formats import grub_core
    from mediakit.iso.bootmenus import grub_menu

    size = min(boot.size_bytes, MAX_BOOT_IMAGE_BYTES)
    core = grub_core.read_bios(image.read_at(boot.offset_bytes, size))
    prefix = core.prefix.rpartition(")")[2] if core is not None else ""
    if core is not None and core.config:
        from mediakit.iso.bootmenus import grub_builtin

        return grub_builtin.follow(grub_volumes(image, disc, None), grub_menu.MEDIUM, core, "bios")
    if core is None or core.has_memdisk or not prefix.startswith("/"):
        return None
    path = f"{prefix}/grub.cfg"
    if disc.find(path) is not None:
        return grub_menu.follow(grub_volumes(image, disc, None), grub_menu.MEDIUM, path, "bios", prefix)
    what = f"GRUB finds no {path}: it shows its prompt and no menu."
    hint = "Put the menu there, or build the boot image for the folder where it is."
    findings.append(Finding("warning", what, hint, boot.offset_bytes, boot.size_bytes))
    return None


def _built_in_folder(image: Image, boot: BootImage) -> tuple[str, ...]:
    """The folder of isolinux.bin where SUSE's ``isolinux-config --base`` wrote it into the loader.

    No other ISOLINUX looks in its own folder.
    """
    folder = boot.path.rpartition("/")[0]
    size = min(boot.size_bytes, MAX_BOOT_IMAGE_BYTES)
    is_built_in = len(folder) > 1 and folder[1:].encode(errors="replace") in image.read_at(
        boot.offset_bytes, size
    )
    return (folder,) if is_built_in else ()


def _uefi_menu(image: Image, volume: EfiVolume) -> Menu | None:
    if not volume.chain or volume.fat is None:
        return None
    last = volume.chain[-1]
    fat = FatFiles(volume.fat, volume.offset_bytes, "ESP:")
    if last.kind == "systemd-boot":
        from mediakit.iso.bootmenus import bls_menu

        return bls_menu.follow(fat)
    if last.kind != "grub":
        return None
    from mediakit.iso.bootmenus import grub_menu

    disc = DiscFiles(image)
    medium = grub_volumes(image, disc, fat)
    own = last.core.prefix if last.core is not None and last.core.prefix.startswith("/") else ""
    prefixes = tuple(dict.fromkeys([*([own] if own else []), *menu_places.GRUB_UEFI]))
    for device, files in ((grub_menu.ESP, fat), (grub_menu.MEDIUM, disc)):
        for prefix in prefixes:
            if files.find(f"{prefix}/grub.cfg") is not None:
                return grub_menu.follow(medium, device, f"{prefix}/grub.cfg", "uefi", prefix)
    if last.core is None or not last.core.config:
        return None
    from mediakit.iso.bootmenus import grub_builtin

    return grub_builtin.follow(medium, grub_menu.ESP, last.core, "uefi")


def grub_volumes(image: Image, disc: Files, fat: FatFiles | None) -> Medium:
    """The volumes that a GRUB of this medium finds, with how ``search`` knows them."""
    from mediakit.iso.bootmenus.grub_menu import ESP, MEDIUM, Medium

    volumes: dict[str, Files] = {MEDIUM: disc}
    labels, uuids = {}, {}
    primary = image.descriptors.find("primary")
    if primary is not None:
        labels[MEDIUM] = primary.volume_id
        uuids[MEDIUM] = _iso_uuid(image, primary.lba)
    if fat is not None:
        volumes[ESP] = fat
        try:
            labels[ESP] = fat.fat.label
        except FormatError:
            pass
        uuids[ESP] = fat.fat.serial_text
    return Medium(volumes, labels, {name: uuid for name, uuid in uuids.items() if uuid})


def _iso_uuid(image: Image, lba: int) -> str:
    """The modification time as GRUB and blkid write it (``grub-core/fs/iso9660.c``)."""
    moment = image.read_at(lba * 2048 + 830, 16).decode("ascii", "replace")
    if not moment.isdigit() or not int(moment):
        return ""
    return "-".join((moment[:4], *(moment[at : at + 2] for at in range(4, 16, 2))))


def _labels(image: Image, volume: EfiVolume | None) -> set[str]:
    found = {v.volume_id for v in image.descriptors.volumes}
    if volume is not None and volume.fat is not None:
        try:
            found.add(volume.fat.label)
        except FormatError:
            pass
    return found


def _judge(menu: Menu, labels: set[str]) -> list[Finding]:
    found: list[Finding] = []
    for place, what in menu.problems:
        from mediakit.iso.bootmenus import grub_config  # there are none without it

        if what == grub_config.TOO_LONG:
            long = f"{place.config} is too long: what stands behind line {place.line} was not looked at."
            found.append(_finding("note", long, "", place))
            continue
        sentence = f"GRUB does not understand {place}: {what}"
        found.append(
            _finding("error", sentence, "Correct that line; GRUB reads nothing of such a file.", place)
        )
    found += _judge_optional(menu)
    for file in menu.includes:
        if file.role != "configuration" or file.state != "missing":
            found += _judge_include(menu, file)
    broken = list(dict.fromkeys(_missing(menu)))
    for entry, file in broken[:MAX_FINDINGS]:
        what = f"“{entry}” names {file.path}, which is not there ({file.place})."
        found.append(_finding("warning", what, _HINTS.get(file.role, _MISSING), file.place))
    if len(broken) > MAX_FINDINGS:
        count = len(broken) - MAX_FINDINGS
        found.append(Finding("warning", f"{count} more files that {menu.configs[0]} names are not there."))
    wrong = {(label, place) for entry in menu.entries for label, place in _wrong_labels(entry, labels)}
    for label, place in sorted(wrong, key=lambda pair: (pair[1].config, pair[1].line))[:MAX_FINDINGS]:
        what = f"A kernel is told to look for a disc labelled “{label}”, which this one is not ({place})."
        hint = "Change the label in the menu, or that of the image."
        found.append(_finding("warning", what, hint, place))
    return found


def _judge_optional(menu: Menu) -> list[Finding]:
    """Menus that others ask for and that are not there: loaders pass over them, and Debian's name many."""
    missing = [file for file in menu.includes if file.role == "configuration" and file.state == "missing"]
    if not missing:
        return []
    names = ", ".join(dict.fromkeys(file.path for file in missing))
    what = f"The menu includes {names}, which the image does not have ({missing[0].place})."
    return [_finding("note", what, "Harmless: the loader passes over it.", missing[0].place)]


def _judge_include(menu: Menu, file: MenuFile) -> list[Finding]:
    if file.state == "elsewhere":
        what = f"The menu looks for a disk with the {file.role} “{file.path}”, not this one ({file.place})."
        hint = "Change it in the menu, or change the image's own."
        return [_finding("warning", what, hint, file.place)]
    if file.state != "missing":
        return []
    is_needed = file.role == "module" or menu.loader != "grub"
    what = f"The menu names {file.path}, which is not there ({file.place})."
    return [_finding("warning" if is_needed else "note", what, _MISSING, file.place)]


def _missing(menu: Menu) -> Iterator[tuple[str, MenuFile]]:
    for entry in menu.entries:
        for file in entry.files:
            if file.state == "missing":
                yield entry.title, file


def _wrong_labels(entry: MenuEntry, labels: set[str]) -> Iterator[tuple[str, Place]]:
    for line, place in entry.arguments:
        for match in _LABEL_ARGUMENT.finditer(line):
            label = match[1].replace("\\x20", " ").replace("\\040", " ").strip("\"'")
            # Red Hat's GRUB hands \x20 on, where the others take the backslash for their own
            kept = {name.replace(" ", "x20") for name in labels}
            if "$" not in label and label not in labels | kept:
                yield label, place


def _finding(severity: Severity, what: str, hint: str, place: Place) -> Finding:
    return Finding(severity, what, hint, place.offset_bytes, place.size_bytes)
