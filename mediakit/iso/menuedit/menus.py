"""What an edit of boot menus changes on a medium: kernel arguments, default entry, timeout, volume label.

Pure planning: it reads the menus (``menufiles``), transforms their texts, and gives the changes: files of the
tree are put anew, files inside an EFI image become patches of that FAT. Every menu of the medium is changed
alike, so that a BIOS and a UEFI machine do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from mediakit.errors import RefusedError, UsageError
from mediakit.iso.bootmenus.menu import FatFiles
from mediakit.iso.edit.changes import Patch, Put, Remove
from mediakit.iso.image import Image
from mediakit.iso.menuedit import (
    grubmenu,
    kernelargs,
    menudefault,
    menufiles,
    menuset,
    sdbootmenu,
    syslinuxmenu,
)
from mediakit.iso.menuedit.menudefault import MAX_TIMEOUT_SECONDS, Choice, check_timeout
from mediakit.iso.menuedit.menufiles import GRUB, SDBOOT, SYSLINUX
from mediakit.iso.menuedit.menuset import Menu
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.menuedit.menuentries import NewEntry

_PROBE = ("mediakit_probe",)


@dataclass(frozen=True)
class MenuEdit:
    """What is wanted. ``timeout_seconds``: 0 starts at once, -1 waits for ever. Labels: both or none.

    ``removed_arguments`` are whole arguments or ``KEY=``; an argument that is to be added as well stays.
    """

    kernel_arguments: tuple[str, ...] = ()
    default: str = ""
    timeout_seconds: int | None = None
    old_label: str = ""
    new_label: str = ""
    removed_arguments: tuple[str, ...] = ()
    entries: tuple[NewEntry, ...] = ()
    removed_entries: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return self == MenuEdit()


@dataclass(frozen=True)
class MenuPlan:
    """The changes, and remarks for people; no changes where the menus say it all already.

    ``risks``: what a cut in the middle of writing them in place would leave, where no order of writes helps.
    """

    changes: tuple[Put | Patch | Remove, ...] = ()
    notes: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()


__all__ = [
    "MAX_TIMEOUT_SECONDS",
    "Choice",
    "MenuEdit",
    "MenuPlan",
    "check_timeout",
    "choices",
    "plan",
    "resolve",
]


def plan(image: Image, edit: MenuEdit, *, now: int) -> MenuPlan:
    """The changes that ``edit`` means for ``image``; ``now`` (seconds) dates files in EFI images.

    UsageError for an entry that no menu has or a senseless timeout, RefusedError where the medium has no menu
    that could say it.
    """
    if edit.is_empty:
        return MenuPlan()
    check_timeout(edit.timeout_seconds)
    _check_titles(edit)
    menus = menuset.group(menufiles.find(image))
    notes: list[str] = []
    if not menus and edit != MenuEdit(old_label=edit.old_label, new_label=edit.new_label):
        raise RefusedError(
            "The image has no boot menu that is known here (GRUB, isolinux, systemd-boot).",
            "mediakit inspect --files lists what is there.",
        )
    if edit.kernel_arguments or edit.removed_arguments:
        notes += _change_arguments(menus, edit)
    if edit.entries or edit.removed_entries:
        notes += _change_entries(image, menus, edit)
    if edit.default:
        notes += menudefault.set_default(menus, edit.default)
    if edit.timeout_seconds is not None:
        menudefault.set_timeout(menus, edit.timeout_seconds)
    risks: list[str] = []
    if edit.old_label and edit.old_label != edit.new_label:
        risks += _replace_label(menus, edit.old_label, edit.new_label)
    changes, torn = menuset.changes(menus, now)
    return MenuPlan(tuple(changes), tuple(notes), (*risks, *torn))


def choices(image: Image) -> list[Choice]:
    """Every entry that ``default`` may name, of all menus, each name once."""
    found: dict[str, Choice] = {}
    for menu in menuset.group(menufiles.find(image)):
        for choice in menudefault.choices(menu):
            found.setdefault(choice.name, choice)
    return list(found.values())


def resolve(image: Image, wanted: str) -> str:
    """How GRUB's menus name the entry that people call ``wanted``; UsageError names those that there are."""
    offered = []
    for menu in menuset.group(menufiles.find(image)):
        if menu.loader == GRUB:
            offered += menudefault.choices(menu)
            name = menudefault.find(menu, wanted)
            if name is not None:
                return name
    raise menudefault.no_such_entry(wanted, offered)


def _check_titles(edit: MenuEdit) -> None:
    if not all(title.strip() for title in edit.removed_entries):
        raise UsageError("An entry without a name cannot be removed.", "Name it by its title.")
    titles = [new.title for new in edit.entries]
    for title in titles:
        if titles.count(title) > 1 or title in edit.removed_entries:
            raise UsageError(f"The entry “{title}” is named twice.", "Name each entry once.")
    for new in edit.entries:
        for word in new.arguments:
            if kernelargs.is_removed(word, edit.removed_arguments):
                raise UsageError(
                    f"“{word}” is for the entry “{new.title}”, and is to be taken out of every entry.",
                    "Take it out first, then add the entry in another run.",
                )


def _change_entries(image: Image, menus: list[Menu], edit: MenuEdit) -> list[str]:
    from mediakit.iso.menuedit import (  # they follow all menus, which most edits need not
        menuentries,
        menuremoval,
    )

    notes = [note for new in edit.entries for note in menuentries.add(image, menus, new)]
    for title in edit.removed_entries:
        menuremoval.remove(image, menus, title, edit.default)
    return notes


def _change_arguments(menus: list[Menu], edit: MenuEdit) -> list[str]:
    transforms = {
        GRUB: grubmenu.add_kernel_arguments,
        SYSLINUX: syslinuxmenu.add_kernel_arguments,
        SDBOOT: sdbootmenu.add_kernel_arguments,
    }
    texts = [(transforms[menu.loader], text) for menu in menus for _, text in menu.now()]
    if not any(change(text, _PROBE) != text for change, text in texts):
        raise RefusedError(
            "No boot menu of the image starts a Linux: there is no place for kernel arguments.",
            "mediakit inspect --files lists what is there.",
        )
    unknown = [
        word
        for word in edit.removed_arguments
        if all(change(text, (), (word,)) == text for change, text in texts)
    ]
    for menu in menus:
        change = partial(
            transforms[menu.loader], arguments=edit.kernel_arguments, removed=edit.removed_arguments
        )
        menu.change(change)
    return [f"No entry of any menu has the kernel argument {word}." for word in unknown]


def _replace_label(menus: list[Menu], old: str, new: str) -> Iterator[str]:
    """The label wherever menus name it; says where one sector cannot switch with the label itself.

    Menus of the tree switch with the volume descriptor, which holds both the label and the tree.
    """
    transforms = {
        GRUB: grubmenu.replace_label,
        SYSLINUX: syslinuxmenu.replace_label,
        SDBOOT: sdbootmenu.replace_label,
    }
    for menu in menus:
        replace = transforms[menu.loader]
        before = dict(menu.texts)
        menu.change(partial(replace, old=old, new=new))
        if isinstance(menu.volume.files, FatFiles) and menu.texts != before:
            yield (
                f"The menu {menu.name} names the label, and cannot change in the same moment: after a power "
                "cut between the two UEFI would not find the medium"
            )
