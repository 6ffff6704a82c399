"""Adding entries to every menu of a medium. Pure: new texts of the menus, nothing else.

A new entry is a copy of the one that a menu starts unasked; where that starts no Linux or is made by a loop
or a function, of the first that does and is not. It is added once to each menu that a loader can show, so a
file that BIOS and UEFI share gets it once, and a menu that has an entry for either in an ``if`` gets it for
both.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit.errors import RefusedError, UsageError
from mediakit.iso.bootmenus import bls_config
from mediakit.iso.bootmenus.bls_config import ENTRIES, LOADER
from mediakit.iso.bootmenus.grub_config import EntryText
from mediakit.iso.bootmenus.isolinux_config import Section
from mediakit.iso.bootmenus.menu import MenuEntry
from mediakit.iso.image import Image
from mediakit.iso.menuedit import (
    entrymark,
    grubentry,
    kernelargs,
    menuremoval,
    menuview,
    sdbootmenu,
    syslinuxentry,
    syslinuxmenu,
)
from mediakit.iso.menuedit.entrymark import Mark
from mediakit.iso.menuedit.menufiles import GRUB, SYSLINUX, MenuFile
from mediakit.iso.menuedit.menuset import Menu
from mediakit.iso.menuedit.menuview import Start
from mediakit.iso.menuedit.textedit import encode
from mediakit.plain import dataclass

MAX_TITLE = 200
_ASK = "Write it as --menu-entry 'TITLE=ARGUMENTS', such as 'Install, serial=console=ttyS0,115200'."


@dataclass(frozen=True)
class NewEntry:
    """An entry to add: what menus show, and what its kernel is told besides."""

    title: str
    arguments: tuple[str, ...]


def parse(text: str) -> NewEntry:
    """``TITLE=ARGUMENTS``: the title ends at the first ``=``. UsageError for what no menu can show."""
    title, separator, words = text.partition("=")
    title = title.strip()
    if not title or not separator or not words.strip():
        raise UsageError(f"“{text}” is no menu entry.", _ASK)
    if not title.isprintable() or len(title) > MAX_TITLE or title.startswith("-"):
        raise UsageError(f"“{title}” cannot be the title of a menu entry.", "Use one line of plain text.")
    if "^" in title:
        raise UsageError("A title cannot have a ^: isolinux takes it for a hotkey.", "Leave it out.")
    return NewEntry(title, kernelargs.parse([words]))


def add(image: Image, menus: list[Menu], new: NewEntry) -> list[str]:
    """The entry in every menu, in the place of one with the same title that was added before; remarks.

    RefusedError where no menu has an entry to copy, or where the title is that of one of the image's own.
    """
    notes, done = [], False
    for start in menuview.starts(menus):
        shown = menuview.entries(image, menus, start)
        if not shown:
            continue
        if any(_is_titled(entry, new.title) for entry in shown):
            _update(menus, start, shown, new)
            done = True
            continue
        found = _source(menus, start, shown)
        if found is None:
            notes.append(
                f"The menu {start.menu.name} has no entry that could be copied: none is added to it."
            )
            continue
        done = True
        menu, file, entry = found
        _add_copy(menu, file, entry, new)
        if menu.loader not in (GRUB, SYSLINUX):
            _name_default(menu, shown)
        if menu.loader == GRUB:
            menuremoval.keep_default(image, menus, start, shown)
        elif menu.loader == SYSLINUX and not _shows_titles(menu):
            notes += [
                f"{menu.name} shows no menu: the new entry starts when “{section.name}” is typed."
                for section in syslinuxmenu.sections(menu.texts[file.path] or "")
                if section.title == new.title
            ]
    if not done:
        raise RefusedError(
            "No boot menu of the image has an entry that starts a Linux and could be copied.",
            "--kernel-arg changes the entries that there are.",
        )
    return list(dict.fromkeys(notes))


def _is_titled(entry: MenuEntry, title: str) -> bool:
    return entry.title == title or entry.title.endswith(f" > {title}")


# --- adding -----------------------------------------------------------------------------------------------


def _source(
    menus: list[Menu], start: Start, shown: Sequence[MenuEntry]
) -> tuple[Menu, MenuFile, MenuEntry] | None:
    """The entry to copy: the default, else the first of the first menu, else the first.

    What was added before is no source while there is another: where it is the default, that is what it was
    made from.
    """
    found: list[tuple[tuple[bool, ...], Menu, MenuFile, MenuEntry]] = []
    origins: set[str] = set()
    for entry in shown:
        where = menuview.origin(menus, start, entry)
        if where is None or not _can_be_copied(*where, entry):
            continue
        mark = _mark_of(*where, entry)
        origins |= {mark.origin} if mark is not None and entry.is_default else set()
        rank = (entry.is_broken, mark is not None, not entry.is_default)
        found.append((rank, *where, entry))
    found.sort(
        key=lambda one: (
            *one[0][:2],
            one[0][2] and one[3].title.rpartition(" > ")[2] not in origins,
            not one[2].is_top or " > " in one[3].title,
        )
    )
    return found[0][1:] if found else None


def _mark_of(menu: Menu, file: MenuFile, entry: MenuEntry) -> Mark | None:
    text = menu.texts[file.path] or ""
    if menu.loader == GRUB:
        found = _grub_entry(text, entry.place.start)
        return grubentry.mark_of(text, found) if found is not None else None
    if menu.loader == SYSLINUX:
        section = _labelled(text, entry.entry_id)
        return syslinuxentry.mark_of(text, section) if section is not None else None
    return sdbootmenu.mark_of(text)


def _can_be_copied(menu: Menu, file: MenuFile, entry: MenuEntry) -> bool:
    text = menu.texts[file.path] or ""
    if menu.loader == GRUB:
        found = _grub_entry(text, entry.place.start)
        return found is not None and grubentry.can_be_copied(text, found)
    if menu.loader == SYSLINUX:
        section = _labelled(text, entry.entry_id)
        return section is not None and syslinuxentry.can_be_copied(text, section)
    return sdbootmenu.add_kernel_arguments(text, ("mediakit_probe",)) != text


def _add_copy(menu: Menu, file: MenuFile, entry: MenuEntry, new: NewEntry) -> None:
    text = menu.texts[file.path] or ""
    if menu.loader == GRUB:
        source = _grub_entry(text, entry.place.start)
        assert source is not None
        menu.texts[file.path] = grubentry.add(text, source, new.title, new.arguments)
    elif menu.loader == SYSLINUX:
        section = _labelled(text, entry.entry_id)
        assert section is not None
        taken = {s.name.lower() for _, other in menu.now() for s in syslinuxmenu.sections(other)}
        label = entrymark.name_for(new.title, taken)
        menu.texts[file.path] = syslinuxentry.add(
            text, section, label, new.title, new.arguments, _shared(menu, file)
        )
    else:
        _add_file(menu, text, new)


def _add_file(menu: Menu, text: str, new: NewEntry) -> None:
    taken = {path.rpartition("/")[2].lower().removesuffix(bls_config.SUFFIX) for path in menu.texts}
    path = f"{ENTRIES}/{entrymark.name_for(new.title, taken)}{bls_config.SUFFIX}"
    menu.add(path, sdbootmenu.copy(text, new.title, new.arguments, sdbootmenu.title_of(text)))


def _name_default(menu: Menu, shown: Sequence[MenuEntry]) -> None:
    """What systemd-boot starts unasked for its place in the order, by name: a new entry changes the order."""
    settings = menu.texts.get(LOADER) or ""
    unasked = next((entry for entry in shown if entry.is_default), None)
    if unasked is not None and bls_config.find(bls_config.parse(encode(settings)), "default") is None:
        name = unasked.place.config.rpartition("/")[2]
        menu.add(LOADER, sdbootmenu.set_key(settings, "default", name))


def _shared(menu: Menu, file: MenuFile) -> str:
    """The global ``append`` that labels of ``file`` without their own inherit."""
    texts = [menu.texts[file.path] or "", *(text for _, text in menu.now())]
    found = (syslinuxmenu.sections(text)[0].append for text in texts)
    return next((line.value for line in found if line is not None), "")


def _shows_titles(menu: Menu) -> bool:
    return any(
        line.keyword == "ui" or any(word.lower().endswith(".c32") for word in line.value.split()[:1])
        for _, text in menu.now()
        for line in syslinuxmenu.sections(text)[0].directives
        if line.keyword in ("ui", "default")
    )


def _grub_entry(text: str, start: int) -> EntryText | None:
    return next((e for e in grubentry.entries(text) if e.command.start == start), None)


def _labelled(text: str, label: str) -> Section | None:
    return next((s for s in syslinuxmenu.sections(text) if s.name == label), None)


def _section(menu: Menu, file: MenuFile, title: str) -> Section | None:
    return next((s for s in syslinuxmenu.sections(menu.texts[file.path] or "") if s.title == title), None)


# --- changing what was added before -----------------------------------------------------------------------


def _update(menus: list[Menu], start: Start, shown: Sequence[MenuEntry], new: NewEntry) -> None:
    """The entries of that title as if they were added anew; the same arguments are merged in again only."""
    places = [menuview.origin(menus, start, entry) for entry in shown if _is_titled(entry, new.title)]
    found = {(menu.name, file.path): (menu, file) for menu, file in filter(None, places)}
    for menu, file in found.values():
        text = menu.texts[file.path] or ""
        if menu.loader == GRUB:
            menu.texts[file.path] = _update_grub(menu, text, new)
        elif menu.loader == SYSLINUX:
            menu.texts[file.path] = _update_isolinux(menu, file, text, new)
        else:
            menu.texts[file.path] = _update_file(menu, text, new)


def _added(menu: Menu, mark: Mark | None, new: NewEntry) -> Mark:
    if mark is None:
        raise RefusedError(
            f"The menu {menu.name} has an entry “{new.title}” of its own.",
            "Choose another title, or change all entries with --kernel-arg.",
        )
    return mark


def _update_grub(menu: Menu, text: str, new: NewEntry) -> str:
    count = sum(entry.title == new.title for entry in grubentry.entries(text))
    for number in range(count):
        old = [entry for entry in grubentry.entries(text) if entry.title == new.title][number]
        mark = _added(menu, grubentry.mark_of(text, old), new)
        if mark.arguments == new.arguments:
            text = grubentry.merge(text, old, new.arguments)
            continue
        sources = [
            entry
            for entry in grubentry.entries(text)
            if entry.title == mark.origin and grubentry.can_be_copied(text, entry)
        ]
        # the copies of an if's branches each have their own source, in front of them
        ahead = [entry for entry in sources if entry.command.end <= old.command.start]
        found = ahead[-1:] or sources[:1]
        if not found:
            text = grubentry.merge(text, old, (), mark.arguments)
            old = [entry for entry in grubentry.entries(text) if entry.title == new.title][number]
            found = [old]
        text = grubentry.replace(text, old, found[0], new.title, new.arguments, mark.origin)
    return text


def _update_isolinux(menu: Menu, file: MenuFile, text: str, new: NewEntry) -> str:
    old = _section(menu, file, new.title)
    assert old is not None
    mark = _added(menu, syslinuxentry.mark_of(text, old), new)
    if mark.arguments == new.arguments:
        return syslinuxentry.merge(text, old, new.arguments)
    source = _section(menu, file, mark.origin)
    if source is None or not syslinuxentry.can_be_copied(text, source):
        text = syslinuxentry.merge(text, old, (), mark.arguments)
        old = source = next(s for s in syslinuxmenu.sections(text) if s.name == old.name)
    shared = _shared(menu, file)
    return syslinuxentry.replace(
        text, old, source, new.title, new.arguments, origin=mark.origin, shared=shared
    )


def _update_file(menu: Menu, text: str, new: NewEntry) -> str:
    mark = _added(menu, sdbootmenu.mark_of(text), new)
    if mark.arguments == new.arguments:
        return sdbootmenu.add_kernel_arguments(text, new.arguments)
    others = (other for file, other in menu.now() if file.path != LOADER)
    source = next((other for other in others if sdbootmenu.title_of(other) == mark.origin), None)
    if source is None:
        source = sdbootmenu.add_kernel_arguments(text, (), mark.arguments)
    return sdbootmenu.copy(source, new.title, new.arguments, mark.origin)
