"""Every boot menu of a medium, in the tree and in its EFI images, as an edit needs them. Reads only.

Where loaders look is ``bootmenus.menu_places``', which menu each of them finds first is ``bootmenus.menus``'.
An edit changes all that any loader could read, so ``find`` does not run menus as ``bootmenus.grub_menu``: it
takes what could be read under any condition. A ``MenuFile`` is one configuration: whose it is, where it lies,
what it says. A file that is named and not there is left out: loaders go on.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import field

from mediakit.errors import RefusedError
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import sub_reader
from mediakit.iso.bootmenus import bls_config, menu_places
from mediakit.iso.bootmenus.bls_config import ENTRIES, LOADER
from mediakit.iso.bootmenus.menu import DiscFiles, FatFiles
from mediakit.iso.image import Image
from mediakit.iso.menuedit import grubmenu, syslinuxmenu
from mediakit.iso.menuedit.textedit import decode
from mediakit.plain import dataclass
from mediakit.units import KIB, MIB

GRUB, SYSLINUX, SDBOOT = "GRUB", "isolinux", "systemd-boot"
MAX_MENU_BYTES = 256 * KIB
MAX_ALL_BYTES = 2 * MIB
MAX_FILES = 300
MAX_LOOKUPS = 5000
"""Configurations that menus name, whether they are there or not."""
_BY_HAND = "Change it by hand, and put it into the image with --add."
_DEVICE = re.compile(r"\([^)]*\)")
_PREFIX = re.compile(r"\$\{?prefix\}?|\$\{?cmdpath\}?|\$\{?config_directory\}?")
_ROOT = re.compile(r"^\$\{?\w+\}?(?=/)")


@dataclass(frozen=True)
class Volume:
    """A filesystem that holds menus: the image's own tree, without a name, or a FAT of EFI programs."""

    name: str
    files: DiscFiles | FatFiles = field(repr=False, compare=False)


@dataclass(frozen=True)
class MenuFile:
    """One configuration. ``is_top``: it makes the first menu, so default and timeout are set in it.

    ``root`` is the path of the configuration that its loader starts with; files of one root make one menu.
    """

    volume: Volume = field(repr=False)
    path: str
    loader: str
    root: str
    is_top: bool
    text: str = field(repr=False)


def find(image: Image) -> list[MenuFile]:
    """Every menu of the medium, each once, the ones that loaders start with before what they read."""
    volumes: list[Volume] = [Volume("", DiscFiles(image))]
    facts = image.facts()
    for found in facts.efi_volumes:
        if found.size_bytes:
            fat = Fat(sub_reader(image.reader, found.offset_bytes, found.size_bytes))
            name = f"the EFI image at byte {found.offset_bytes}"
            volumes.append(Volume(name, FatFiles(fat, found.offset_bytes, name)))
    built_in = [menu.configs[0].rpartition(":")[2] for _, menu in facts.menus.menus if menu.loader == "grub"]
    finder = _Finder(volumes, is_exact=image.tree.kind == "rockridge")
    for where in volumes:
        finder.search(where, built_in)
    return list(finder.found.values())


class _Finder:
    def __init__(self, volumes: list[Volume], *, is_exact: bool) -> None:
        self._volumes = volumes
        self._is_exact = is_exact
        self.found: dict[tuple[str, str], MenuFile] = {}
        self._left = MAX_ALL_BYTES
        self._looked_for: set[tuple[str, str]] = set()

    def search(self, volume: Volume, built_in: list[str]) -> None:
        """All that loaders start with first: it makes a menu of its own, whoever else reads it.

        ``built_in`` are the configurations that GRUBs of this medium start with, wherever those are.
        """
        starts = [*menu_places.grub_configs(volume.files), *built_in]
        roots = [self._add(volume, path, GRUB, path, is_top=True) for path in starts]
        starts = [*menu_places.isolinux_configs(volume.files)]
        roots += [self._add(volume, path, SYSLINUX, path, is_top=True) for path in starts]
        for file in roots:
            if file is not None:
                self._follow(file, file.path)
        self._systemd_boot(volume)

    def _systemd_boot(self, volume: Volume) -> None:
        names = [name for name in sorted(volume.files.names(ENTRIES)) if bls_config.is_entry(name)]
        for name in names:
            self._add(volume, f"{ENTRIES}/{name}", SDBOOT, LOADER, is_top=True)
        if names:
            self._add(volume, LOADER, SDBOOT, LOADER, is_top=True)

    def _add(self, volume: Volume, path: str, loader: str, root: str, *, is_top: bool) -> MenuFile | None:
        """A file that is there and was not seen yet."""
        is_exact = self._is_exact and not volume.name
        key = (volume.name, path if is_exact else path.lower())
        spot = volume.files.find(path)
        if key in self.found or spot is None:
            return None
        _check_size(path, spot.size_bytes, MAX_MENU_BYTES)
        data = volume.files.read(path)
        if b"\0" in data:
            return None
        if len(self.found) >= MAX_FILES:
            raise RefusedError(f"The image has more than {MAX_FILES} boot menus.", _BY_HAND)
        _check_size("All boot menus together", MAX_ALL_BYTES - self._left + len(data), MAX_ALL_BYTES)
        self._left -= len(data)
        file = MenuFile(volume, path, loader, root, is_top, decode(data))
        self.found[key] = file
        return file

    def _follow(self, file: MenuFile, start: str) -> None:
        """What ``file`` reads; relative paths count from the folder of ``start``, the loader's first file."""
        folder = posixpath.dirname(start)
        if file.loader == SYSLINUX:
            for name, is_other in syslinuxmenu.follows(file.text):
                target = posixpath.normpath(name if name.startswith("/") else f"{folder}/{name}")
                if target.startswith("/") and self._is_new(file.volume, target):
                    self._read(file.volume, target, file, start, file.root, file.is_top and not is_other)
            return
        for follow in grubmenu.follows(file.text):
            for target in _grub_paths(follow.path, folder):
                if not self._is_new(file.volume, target):
                    continue
                places = dict.fromkeys((file.volume, *self._volumes))
                where = next((place for place in places if place.files.find(target) is not None), None)
                if where is not None:
                    root = target if follow.new_context else file.root
                    self._read(where, target, file, start, root, file.is_top and not follow.in_entry)

    def _is_new(self, volume: Volume, path: str) -> bool:
        """Whether nobody asked for it yet: whoever does again gets nothing new."""
        key = (volume.name, path)
        if key in self._looked_for:
            return False
        self._looked_for.add(key)
        if len(self._looked_for) > MAX_LOOKUPS:
            raise RefusedError(f"The image's boot menus name more than {MAX_LOOKUPS} others.", _BY_HAND)
        return True

    def _read(self, volume: Volume, path: str, by: MenuFile, start: str, root: str, is_top: bool) -> None:
        file = self._add(volume, path, by.loader, root, is_top=is_top)
        if file is not None:
            self._follow(file, start)


def _check_size(name: str, size_bytes: int, limit_bytes: int) -> None:
    """Leaving out a menu in silence would make an edit look whole that is not."""
    if size_bytes > limit_bytes:
        raise RefusedError(f"{name}: {size_bytes} bytes are too many for a boot menu.", _BY_HAND)


def _grub_paths(written: str, prefix: str) -> list[str]:
    """Where a path of GRUB's may lead: its device and ``$root`` left out, ``$prefix`` filled in."""
    path = _PREFIX.sub(prefix, _DEVICE.sub("", written))
    path = _ROOT.sub("", path)
    if "$" in path or not path:
        return []
    return [posixpath.normpath(path if path.startswith("/") else f"{prefix}/{path}")]
