"""What an edit of boot menus changes on a medium: kernel arguments, default entry, timeout, volume label.

Pure planning: it reads the menus (``menufiles``), transforms their texts, and gives the changes: files of the
tree are put anew, files inside an EFI image become patches of that FAT. Every menu of the medium is changed
alike, so that a BIOS and a UEFI machine do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial

from mediakit.errors import RefusedError, UsageError
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import patched_reader
from mediakit.iso.bls_config import LOADER
from mediakit.iso.edit import grubmenu, menufiles, sdbootmenu, syslinuxmenu
from mediakit.iso.edit.changes import Patch, Put
from mediakit.iso.edit.menufiles import GRUB, SDBOOT, SYSLINUX, MenuFile, Volume
from mediakit.iso.edit.textedit import encode
from mediakit.iso.image import Image
from mediakit.iso.menu import FatFiles
from mediakit.plain import dataclass

MAX_TIMEOUT_SECONDS = syslinuxmenu.MAX_TIMEOUT_SECONDS
_PROBE = ("mediakit_probe",)
_MAX_NAMES_SHOWN = 30


@dataclass(frozen=True)
class MenuEdit:
    """What is wanted. ``timeout_seconds``: 0 starts at once, -1 waits for ever. Labels: both or none."""

    kernel_arguments: tuple[str, ...] = ()
    default: str = ""
    timeout_seconds: int | None = None
    old_label: str = ""
    new_label: str = ""

    @property
    def is_empty(self) -> bool:
        return self == MenuEdit()


@dataclass(frozen=True)
class MenuPlan:
    """The changes, and remarks for people; no changes where the menus say it all already."""

    changes: tuple[Put | Patch, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """An entry that can be the default: how its loader names it, and what people may call it."""

    name: str
    aliases: tuple[str, ...] = ()


@dataclass
class _Menu:
    """The files that make one menu, with their new texts."""

    loader: str
    files: list[MenuFile]
    texts: dict[str, str] = field(default_factory=dict)
    """By path."""

    def __post_init__(self) -> None:
        self.texts = {file.path: file.text for file in self.files}

    @property
    def name(self) -> str:
        place = self.files[0].volume.name
        return f"{self.files[0].root} in {place}" if place else self.files[0].root

    @property
    def top_files(self) -> list[MenuFile]:
        return [file for file in self.files if file.is_top]

    def change(self, transform: Callable[[str], str], files: Sequence[MenuFile] | None = None) -> None:
        for file in self.files if files is None else files:
            self.texts[file.path] = transform(self.texts[file.path])


def plan(image: Image, edit: MenuEdit, *, now: int) -> MenuPlan:
    """The changes that ``edit`` means for ``image``; ``now`` (seconds) dates files in EFI images.

    UsageError for an entry that no menu has or a senseless timeout, RefusedError where the medium has no menu
    that could say it.
    """
    if edit.is_empty:
        return MenuPlan()
    check_timeout(edit.timeout_seconds)
    menus = _menus(menufiles.find(image))
    notes: list[str] = []
    if not menus and (edit.default or edit.timeout_seconds is not None):
        raise RefusedError(
            "The image has no boot menu that is known here (GRUB, isolinux, systemd-boot).",
            "mediakit inspect --files lists what is there.",
        )
    if edit.kernel_arguments:
        _add_arguments(menus, edit.kernel_arguments)
    if edit.default:
        notes += _set_default(menus, edit.default)
    if edit.timeout_seconds is not None:
        _set_timeout(menus, edit.timeout_seconds)
    if edit.old_label and edit.old_label != edit.new_label:
        _replace_label(menus, edit.old_label, edit.new_label)
    return MenuPlan(tuple(_changes(image, menus, now)), tuple(notes))


def choices(image: Image) -> list[Choice]:
    """Every entry that ``default`` may name, of all menus, each name once."""
    found: dict[str, Choice] = {}
    for menu in _menus(menufiles.find(image)):
        for choice in _choices(menu):
            found.setdefault(choice.name, choice)
    return list(found.values())


def resolve(image: Image, wanted: str) -> str:
    """How GRUB's menus name the entry that people call ``wanted``; UsageError names those that there are."""
    offered = []
    for menu in _menus(menufiles.find(image)):
        if menu.loader == GRUB:
            offered += _choices(menu)
            name = _resolve(_choices(menu), wanted, GRUB)
            if name is not None:
                return name
    raise _no_such_entry(wanted, offered)


def _menus(files: list[MenuFile]) -> list[_Menu]:
    groups: dict[tuple[str, str, str], list[MenuFile]] = {}
    for file in files:
        groups.setdefault((file.volume.name, file.loader, file.root), []).append(file)
    return [_Menu(loader, group) for (_, loader, _), group in groups.items()]


def check_timeout(seconds: int | None) -> None:
    """UsageError for a timeout that no menu can have."""
    if seconds is not None and not -1 <= seconds <= MAX_TIMEOUT_SECONDS:
        raise UsageError(
            f"A menu cannot wait for {seconds} seconds.",
            f"0 starts at once, up to {MAX_TIMEOUT_SECONDS} wait, -1 waits for ever.",
        )


def _add_arguments(menus: list[_Menu], arguments: Sequence[str]) -> None:
    transforms = {
        GRUB: grubmenu.add_kernel_arguments,
        SYSLINUX: syslinuxmenu.add_kernel_arguments,
        SDBOOT: sdbootmenu.add_kernel_arguments,
    }
    starts_linux = False
    for menu in menus:
        add = transforms[menu.loader]
        starts_linux = starts_linux or any(add(text, _PROBE) != text for text in menu.texts.values())
        menu.change(partial(add, arguments=arguments))
    if not starts_linux:
        raise RefusedError(
            "No boot menu of the image starts a Linux: there is no place for kernel arguments.",
            "mediakit inspect --files lists what is there.",
        )


def _set_default(menus: list[_Menu], wanted: str) -> list[str]:
    """Set it in every menu that has such an entry; remarks name the menus that have none."""
    notes, done = [], False
    for menu in menus:
        offered = _choices(menu)
        name = _resolve(offered, wanted, menu.loader)
        if name is None:
            if offered:
                notes.append(f"The menu {menu.name} has no entry “{wanted}”; its default stays as it is.")
            continue
        done = True
        if menu.loader == GRUB:
            _set_grub(menu, "default", name)
        elif menu.loader == SYSLINUX:
            _set_isolinux_default(menu, name)
        else:
            menu.change(partial(sdbootmenu.set_key, key="default", value=name), _loader_conf(menu))
    if not done:
        raise _no_such_entry(wanted, [choice for menu in menus for choice in _choices(menu)])
    return notes


def _no_such_entry(wanted: str, offered: list[Choice]) -> UsageError:
    names = list(dict.fromkeys(f"“{choice.name}”" for choice in offered))
    listed = ", ".join(names[:_MAX_NAMES_SHOWN])
    hint = f"There are: {listed}." if names else "No boot menu with entries was found in the image."
    return UsageError(f"No boot menu of the image has an entry “{wanted}”.", hint)


def _set_isolinux_default(menu: _Menu, label: str) -> None:
    speaks = any(syslinuxmenu.speaks(menu.texts[file.path], "default", "ui") for file in menu.top_files)
    for file in menu.top_files:
        insert = not speaks and file.path == file.root
        menu.change(partial(syslinuxmenu.set_default, label=label, insert=insert), [file])


def _set_timeout(menus: list[_Menu], seconds: int) -> None:
    for menu in menus:
        if menu.loader == GRUB:
            _set_grub(menu, "timeout", str(seconds))
        elif menu.loader == SYSLINUX:
            speaks = any(syslinuxmenu.speaks(menu.texts[file.path], "timeout") for file in menu.top_files)
            for file in menu.top_files:
                insert = not speaks and file.path == file.root
                menu.change(partial(syslinuxmenu.set_timeout, seconds=seconds, insert=insert), [file])
            if seconds:
                _make_isolinux_wait(menu)
        else:
            value = "menu-force" if seconds < 0 else str(seconds)
            menu.change(partial(sdbootmenu.set_key, key="timeout", value=value), _loader_conf(menu))


def _make_isolinux_wait(menu: _Menu) -> None:
    """Without a menu or a prompt the default is started at once, whatever the timeout."""
    if any(syslinuxmenu.waits(menu.texts[file.path]) for file in menu.top_files):
        return
    speaks = any(
        syslinuxmenu.sections(menu.texts[file.path])[0].find("prompt") is not None for file in menu.top_files
    )
    for file in menu.top_files:
        insert = not speaks and file.path == file.root
        menu.change(partial(syslinuxmenu.ask, insert=insert), [file])


def _set_grub(menu: _Menu, name: str, value: str) -> None:
    insert = not any(grubmenu.assigns(menu.texts[file.path], name) for file in menu.top_files)
    menu.change(lambda text: grubmenu.set_variable(text, name, value, insert=insert), menu.top_files)


def _replace_label(menus: list[_Menu], old: str, new: str) -> None:
    transforms = {
        GRUB: grubmenu.replace_label,
        SYSLINUX: syslinuxmenu.replace_label,
        SDBOOT: sdbootmenu.replace_label,
    }
    for menu in menus:
        replace = transforms[menu.loader]
        menu.change(partial(replace, old=old, new=new))


def _loader_conf(menu: _Menu) -> list[MenuFile]:
    return [file for file in menu.files if file.path == LOADER]


def _choices(menu: _Menu) -> list[Choice]:
    found: list[Choice] = []
    for file in menu.top_files:
        text = menu.texts[file.path]
        if menu.loader == GRUB:
            entries = [entry for entry in grubmenu.entries(text) if not entry.depth]
            found += [
                Choice(e.title.replace(">", ">>") if e.id == e.title else e.id, (e.title,)) for e in entries
            ]
        elif menu.loader == SYSLINUX:
            found += [Choice(label, (title,)) for label, title in syslinuxmenu.entries(text)]
        elif file.path != LOADER:
            name = file.path.rsplit("/", 1)[-1]
            found.append(Choice(name, (name.removesuffix(".conf"), sdbootmenu.title(text))))
    return found


def _resolve(offered: list[Choice], wanted: str, loader: str) -> str | None:
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
        head = _resolve(offered, wanted.partition(">")[0], loader)
        return None if head is None else wanted
    return None


def _changes(image: Image, menus: list[_Menu], now: int) -> list[Put | Patch]:
    changes: list[Put | Patch] = []
    inside: dict[Volume, list[tuple[str, bytes]]] = {}
    for menu in menus:
        for file in menu.files:
            text = menu.texts[file.path]
            if text == file.text:
                continue
            if isinstance(file.volume.files, FatFiles):
                inside.setdefault(file.volume, []).append((file.path, encode(text)))
            else:
                changes.append(Put(file.path, encode(text)))
    for volume, files in inside.items():
        changes += _patch_fat(volume, files, now)
    return changes


def _patch_fat(volume: Volume, files: list[tuple[str, bytes]], now: int) -> list[Patch]:
    """The ordered writes that replace files of a FAT; each next one sees those before it."""
    written: list[tuple[int, bytes]] = []
    fat = volume.files
    assert isinstance(fat, FatFiles)
    read = patched_reader(fat.fat.reader, written)
    patches: list[Patch] = []
    for path, content in files:
        try:
            writes = _fat_writes(Fat(read), path, content, now)
        except RefusedError as error:
            raise RefusedError(
                f"The menu {path} in {volume.name} cannot be changed: {error.message}", error.hint
            ) from error
        for at, data in writes:
            why = f"{path} in {volume.name}"
            patches.append(Patch(fat.offset_bytes + at, data, why, order=len(patches)))
        written += writes
    return patches


def _fat_writes(volume: Fat, path: str, content: bytes, now: int) -> list[tuple[int, bytes]]:
    """Into free clusters, or the file's own where there are none: EFI images are often filled to the brim."""
    try:
        return volume.plan_add(path, content, timestamp=now)
    except RefusedError as error:
        try:
            return volume.plan_overwrite(path, content, timestamp=now)
        except RefusedError:
            raise error from None
