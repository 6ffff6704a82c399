"""Each menu of a medium as its loader shows it, with an edit done so far: what ``bootmenus`` follows, edited.

Entries of the followed menu lead back to the file and the place in its text that they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mediakit.iso.bootmenus import bls_menu, grub_menu, isolinux_menu
from mediakit.iso.bootmenus import menu as followed
from mediakit.iso.bootmenus import menus as iso_menus
from mediakit.iso.bootmenus.grub_menu import ESP, MEDIUM
from mediakit.iso.bootmenus.menu import DiscFiles, FatFiles, MenuEntry
from mediakit.iso.image import Image
from mediakit.iso.menuedit.menufiles import GRUB, SYSLINUX, MenuFile, Volume
from mediakit.iso.menuedit.menuset import EditedFiles, Menu, path_key
from mediakit.plain import dataclass

_INSIDE = "ESP:"


@dataclass(frozen=True)
class Start:
    """What a loader starts with: the menu whose first file it reads, and the firmware that ran the loader."""

    menu: Menu
    firmware: str


def starts(menus: Sequence[Menu]) -> list[Start]:
    """Every menu as every firmware comes to it; GRUB's scripts ask which one they run on."""
    found = []
    for menu in menus:
        both = menu.loader == GRUB and not menu.volume.name
        found += [Start(menu, firmware) for firmware in (("bios", "uefi") if both else ("uefi",))]
    return found


def entries(image: Image, menus: Sequence[Menu], start: Start) -> tuple[MenuEntry, ...]:
    """What that menu shows; the default is marked where the medium tells it."""
    menu = start.menu
    is_disc = not menu.volume.name
    own = EditedFiles(menu.volume, menus, "" if is_disc else _INSIDE)
    if menu.loader == SYSLINUX:
        return isolinux_menu.mark_default(isolinux_menu.follow(own, menu.root)).entries
    if menu.loader != GRUB:
        shown = bls_menu.follow(own)
        return shown.entries if shown is not None else ()
    volume = menu.volume if not is_disc else _inside(menus) if start.firmware == "uefi" else None
    disc = EditedFiles(_disc(image, menus), menus, "")
    fat = volume.files if volume is not None and isinstance(volume.files, FatFiles) else None
    medium = iso_menus.grub_volumes(image, disc, fat)
    if volume is not None and fat is not None:
        volumes: dict[str, followed.Files] = {MEDIUM: disc, ESP: EditedFiles(volume, menus, _INSIDE)}
        medium = replace(medium, volumes=volumes)
    prefix = menu.root.rpartition("/")[0]
    return grub_menu.follow(medium, MEDIUM if is_disc else ESP, menu.root, start.firmware, prefix).entries


def origin(menus: Sequence[Menu], start: Start, entry: MenuEntry) -> tuple[Menu, MenuFile] | None:
    """The menu and the file that an entry's text stands in; None where an edit does not know that file."""
    config = entry.place.config
    volume = start.menu.volume
    if config.startswith(_INSIDE):
        config = config.removeprefix(_INSIDE)
        volume = volume if volume.name else _inside(menus) or volume
    elif volume.name:
        volume = next((menu.volume for menu in menus if not menu.volume.name), volume)
    for menu in menus:
        if menu.volume == volume and menu.loader == start.menu.loader:
            for file, _ in menu.now():
                if path_key(file.path) == path_key(config):
                    return menu, file
    return None


def _inside(menus: Sequence[Menu]) -> Volume | None:
    return next((menu.volume for menu in menus if menu.volume.name), None)


def _disc(image: Image, menus: Sequence[Menu]) -> Volume:
    there = (menu.volume for menu in menus if not menu.volume.name)
    return next(there, Volume("", DiscFiles(image)))
