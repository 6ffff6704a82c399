"""What the menus of a medium start unasked, and when: default entry and timeout, set in every menu alike.

Also how people may call an entry, and how its loader does.
"""

from __future__ import annotations

from functools import partial

from mediakit.errors import UsageError
from mediakit.iso.bootmenus.bls_config import LOADER
from mediakit.iso.menuedit import grubmenu, sdbootmenu, syslinuxmenu
from mediakit.iso.menuedit.menufiles import GRUB, SYSLINUX
from mediakit.iso.menuedit.menuset import Menu
from mediakit.plain import dataclass

MAX_TIMEOUT_SECONDS = syslinuxmenu.MAX_TIMEOUT_SECONDS
_MAX_NAMES_SHOWN = 30


@dataclass(frozen=True)
class Choice:
    """An entry that can be the default: how its loader names it, and what people may call it."""

    name: str
    aliases: tuple[str, ...] = ()


def check_timeout(seconds: int | None) -> None:
    """UsageError for a timeout that no menu can have."""
    if seconds is not None and not -1 <= seconds <= MAX_TIMEOUT_SECONDS:
        raise UsageError(
            f"A menu cannot wait for {seconds} seconds.",
            f"0 starts at once, up to {MAX_TIMEOUT_SECONDS} wait, -1 waits for ever.",
        )


def set_default(menus: list[Menu], wanted: str) -> list[str]:
    """Set it in every menu that has such an entry; remarks name the menus that have none."""
    notes, done = [], False
    for menu in menus:
        offered = choices(menu)
        name = find(menu, wanted)
        if name is None:
            if offered:
                notes.append(f"The menu {menu.name} has no entry “{wanted}”; its default stays as it is.")
            continue
        done = True
        if menu.loader == GRUB:
            set_grub(menu, "default", name)
        elif menu.loader == SYSLINUX:
            _set_isolinux_default(menu, name)
        else:
            _set_loader(menu, "default", name)
    if not done:
        raise no_such_entry(wanted, [choice for menu in menus for choice in choices(menu)])
    return notes


def find(menu: Menu, wanted: str) -> str | None:
    """How the menu's loader names the entry that people call ``wanted``; one of a submenu last."""
    name = resolve(choices(menu), wanted, menu.loader)
    if name is not None:
        return name
    deep: list[tuple[str, str]] = []
    if menu.loader == GRUB:
        deep = [pair for _, text in menu.now(only_top=True) for pair in grubmenu.nested(text)]
    elif menu.loader == SYSLINUX:
        labels = [pair for _, text in menu.now() for pair in syslinuxmenu.entries(text)]
        deep = [(other, label) for label, title in labels for other in (label, title)]
    return next((path for title, path in deep if wanted == title), None)


def no_such_entry(wanted: str, offered: list[Choice]) -> UsageError:
    names = list(dict.fromkeys(f"“{choice.name}”" for choice in offered))
    listed = ", ".join(names[:_MAX_NAMES_SHOWN])
    hint = f"There are: {listed}." if names else "No boot menu with entries was found in the image."
    return UsageError(f"No boot menu of the image has an entry “{wanted}”.", hint)


def _set_isolinux_default(menu: Menu, label: str) -> None:
    if all(choice.name != label for choice in choices(menu)):
        _set_deep_default(menu, label)
        return
    speaks = any(syslinuxmenu.speaks(text, "default", "ui") for _, text in menu.now(only_top=True))
    for file in menu.top_files:
        insert = not speaks and file.path == file.root
        menu.change(partial(syslinuxmenu.set_default, label=label, insert=insert), [file])


def _set_deep_default(menu: Menu, label: str) -> None:
    """For a label of a menu that the first one hands over to (``config``): where that names its default."""
    inside: set[str] = set()
    for _, text in menu.now():
        labels = {name for name, _ in syslinuxmenu.entries(text)}
        inside |= labels if label in labels else set()
    for file, text in menu.now():
        named = syslinuxmenu.sections(text)[0].find("default")
        is_here = label in (name for name, _ in syslinuxmenu.entries(text))
        if is_here or (named is not None and named.value in inside):
            menu.change(partial(syslinuxmenu.set_default, label=label, insert=False), [file])


def set_timeout(menus: list[Menu], seconds: int) -> None:
    for menu in menus:
        if menu.loader == GRUB:
            set_grub(menu, "timeout", str(seconds))
        elif menu.loader == SYSLINUX:
            speaks = any(syslinuxmenu.speaks(text, "timeout") for _, text in menu.now(only_top=True))
            for file in menu.top_files:
                insert = not speaks and file.path == file.root
                menu.change(partial(syslinuxmenu.set_timeout, seconds=seconds, insert=insert), [file])
            if seconds:
                _make_isolinux_wait(menu)
        else:
            value = "menu-force" if seconds < 0 else str(seconds)
            _set_loader(menu, "timeout", value)


def _make_isolinux_wait(menu: Menu) -> None:
    """Without a menu or a prompt the default is started at once, whatever the timeout."""
    texts = [text for _, text in menu.now(only_top=True)]
    if any(syslinuxmenu.waits(text) for text in texts):
        return
    speaks = any(syslinuxmenu.speaks(text, "prompt") for text in texts)
    for file in menu.top_files:
        insert = not speaks and file.path == file.root
        menu.change(partial(syslinuxmenu.ask, insert=insert), [file])


def set_grub(menu: Menu, name: str, value: str) -> None:
    insert = not any(grubmenu.assigns(text, name) for _, text in menu.now(only_top=True))
    menu.change(lambda text: grubmenu.set_variable(text, name, value, insert=insert), menu.top_files)


def _set_loader(menu: Menu, key: str, value: str) -> None:
    menu.add(LOADER, sdbootmenu.set_key(menu.texts.get(LOADER) or "", key, value))


def choices(menu: Menu) -> list[Choice]:
    found: list[Choice] = []
    for file, text in menu.now(only_top=True):
        if menu.loader == GRUB:
            entries = [entry for entry in grubmenu.entries(text) if not entry.depth]
            found += [
                Choice(e.title.replace(">", ">>") if e.id == e.title else e.id, (e.title,)) for e in entries
            ]
        elif menu.loader == SYSLINUX:
            found += [Choice(label, (title,)) for label, title in syslinuxmenu.entries(text)]
        elif file.path != LOADER:
            name = file.path.rsplit("/", 1)[-1]
            found.append(Choice(name, (name.removesuffix(".conf"), sdbootmenu.title_of(text))))
    return found


def resolve(offered: list[Choice], wanted: str, loader: str) -> str | None:
    """How the loader names the entry that people call ``wanted``: by name, title or number from 0."""
    for choice in offered:
        if wanted == choice.name or (wanted and wanted in choice.aliases):
            return choice.name
    folded = [
        c.name
        for c in offered
        if wanted.casefold() in (c.name.casefold(), *(a.casefold() for a in c.aliases))
    ]
    if len(folded) == 1:
        return folded[0]
    if wanted.isdecimal() and int(wanted) < len(offered):
        return str(int(wanted)) if loader == GRUB else offered[int(wanted)].name
    if loader == GRUB and ">" in wanted:
        head = resolve(offered, wanted.partition(">")[0], loader)
        return None if head is None else wanted
    return None
