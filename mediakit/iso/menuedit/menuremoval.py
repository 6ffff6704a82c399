"""Removing entries from every menu of a medium; what starts unasked stays. Pure: new texts, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from mediakit.errors import RefusedError, UsageError
from mediakit.iso.bootmenus import bls_config
from mediakit.iso.bootmenus.bls_config import LOADER
from mediakit.iso.bootmenus.grub_config import EntryText
from mediakit.iso.bootmenus.isolinux_config import Section
from mediakit.iso.bootmenus.menu import MenuEntry
from mediakit.iso.image import Image
from mediakit.iso.menuedit import grubentry, menudefault, menuview, sdbootmenu, syslinuxentry, syslinuxmenu
from mediakit.iso.menuedit.menufiles import GRUB, SYSLINUX, MenuFile
from mediakit.iso.menuedit.menuset import Menu
from mediakit.iso.menuedit.menuview import Start

MAX_ALIKE = 50
"""Entries of one name in one file; no menu has more."""


def remove(image: Image, menus: list[Menu], title: str, default: str) -> None:
    """Every entry of that title (or id, label, file name) gone; ``default`` is the one to start instead.

    UsageError where no menu has it, RefusedError for the last entry of a menu, and for what starts unasked
    unless ``default`` names another one of the same menu.
    """
    starts = menuview.starts(menus)
    before = [menuview.entries(image, menus, start) for start in starts]
    was_there = [_remove_from(menu, title) for menu in menus]
    if not any(was_there):
        raise _no_such_entry(menus, title)
    for start, old in zip(starts, before, strict=True):
        left = menuview.entries(image, menus, start)
        if left == old:
            continue
        if old and not left:
            raise RefusedError(
                f"“{title}” is the only entry of the menu {start.menu.name}.", "Add another one first."
            )
        unasked = next((entry for entry in old if entry.is_default), None)
        if unasked is None or any(_is_same(entry, unasked) for entry in left):
            keep_default(image, menus, start, old)
        elif not default or not _offers(menus, start, old, default):
            raise RefusedError(
                f"“{title}” is what the menu {start.menu.name} starts unasked.",
                "Name another one of its entries with --menu-default.",
            )


def _is_same(one: MenuEntry, other: MenuEntry) -> bool:
    return (one.title, one.entry_id, one.place.config) == (other.title, other.entry_id, other.place.config)


def _offers(menus: list[Menu], start: Start, old: Sequence[MenuEntry], default: str) -> bool:
    """Whether the menu that lost its default has an entry of that name."""
    found = menuview.origin(menus, start, next(entry for entry in old if entry.is_default))
    menu = found[0] if found is not None else start.menu
    return menudefault.find(menu, default) is not None


def keep_default(image: Image, menus: list[Menu], start: Start, old: Sequence[MenuEntry]) -> None:
    """Where the default was a number and counts another entry now, the old one by name."""
    unasked = next((entry for entry in old if entry.is_default), None)
    if unasked is None or start.menu.loader != GRUB:
        return
    now = [entry for entry in menuview.entries(image, menus, start) if entry.is_default]
    if any(_is_same(entry, unasked) for entry in now):
        return
    name = menudefault.find(start.menu, unasked.entry_id or unasked.title)
    found = menuview.origin(menus, start, unasked)
    menu = start.menu
    if name is None and found is not None:
        menu, name = found[0], menudefault.find(found[0], unasked.entry_id)
    if name is not None:
        menudefault.set_grub(menu, "default", name)


def _remove_from(menu: Menu, title: str) -> bool:
    """Take it out of all files of a menu; whether there was one."""
    found = False
    for file, text in menu.now():
        if menu.loader in (GRUB, SYSLINUX):
            menu.texts[file.path] = _without(menu.loader, text, title)
        elif file.path != LOADER and title in _names_of(file, text):
            menu.texts[file.path] = None
        found = found or menu.texts[file.path] != text
    return found


def _without(loader: str, text: str, title: str) -> str:
    for _ in range(MAX_ALIKE):
        before = text
        if loader == GRUB and (entry := _named_grub(text, title)) is not None:
            text = grubentry.remove(text, entry)
        elif loader == SYSLINUX and (label := _named_label(text, title)) is not None:
            text = syslinuxentry.remove(text, label)
        if text == before:
            return text
    raise RefusedError(f"A menu has more than {MAX_ALIKE} entries “{title}”.", "Change it by hand.")


def _named_grub(text: str, title: str) -> EntryText | None:
    return next((e for e in grubentry.entries(text) if title in (e.title, e.entry_id)), None)


def _named_label(text: str, title: str) -> Section | None:
    return next((s for s in syslinuxmenu.sections(text) if s.name and title in (s.title, s.name)), None)


def _names_of(file: MenuFile, text: str) -> tuple[str, ...]:
    name = file.path.rpartition("/")[2]
    return name, name.removesuffix(bls_config.SUFFIX), sdbootmenu.title_of(text)


def _no_such_entry(menus: list[Menu], title: str) -> UsageError:
    names: list[str] = []
    for menu in menus:
        for file, text in menu.now():
            if menu.loader == GRUB:
                names += [entry.title for entry in grubentry.entries(text)]
            elif menu.loader == SYSLINUX:
                names += [section.title for section in syslinuxmenu.sections(text) if section.name]
            elif file.path != LOADER:
                names.append(sdbootmenu.title_of(text) or file.path.rpartition("/")[2])
    return menudefault.no_such_entry(title, [menudefault.Choice(name) for name in dict.fromkeys(names)])
