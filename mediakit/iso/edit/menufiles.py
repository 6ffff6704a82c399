"""Finding the boot menus of a medium the way their loaders do: in the tree and in its EFI images. Reads only.

A ``MenuFile`` is one configuration: whose it is, where it lies, what it says. Which ones another one reads is
asked of ``grubmenu`` and ``syslinuxmenu``. A file that is named and not there is left out: loaders go on.
Sources: GRUB's embedded prefixes as grub-mkrescue, Debian, Fedora, SUSE and Arch set them; syslinux 6.03
``doc/isolinux.txt`` (where isolinux looks, in this order); UAPI Boot Loader Specification 1.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Protocol

from mediakit.errors import RefusedError
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import sub_reader
from mediakit.iso.edit import grubmenu, syslinuxmenu
from mediakit.iso.edit.textedit import decode
from mediakit.iso.image import Image
from mediakit.plain import dataclass
from mediakit.units import KIB, MIB

GRUB, SYSLINUX, SDBOOT = "GRUB", "isolinux", "systemd-boot"
MAX_MENU_BYTES = 256 * KIB
MAX_ALL_BYTES = 2 * MIB
MAX_FILES = 300
MAX_FOLDER_NAMES = 200
MAX_LOOKUPS = 5000
"""Configurations that menus name, whether they are there or not."""
_BY_HAND = "Change it by hand, and put it into the image with --add."
SDBOOT_CONF = "/loader/loader.conf"
_GRUB_NAMES = ("grub.cfg", "loopback.cfg", "grub-efi.cfg", "kernels.cfg")
_GRUB_FOLDERS = (
    "/boot/grub",
    "/boot/grub2",
    "/boot/grub/x86_64-efi",
    "/boot/grub/i386-pc",
    "/boot/grub/i386-efi",
)
_EFI_FOLDERS = ("/EFI", "/efi")
_ISOLINUX_FOLDERS = (
    "/boot/isolinux",
    "/isolinux",
    "",
    "/boot/syslinux",
    "/syslinux",
    "/EFI/BOOT",
    "/EFI/syslinux",
)
_ISOLINUX_NAMES = ("isolinux.cfg", "syslinux.cfg", "extlinux.conf")
_DEVICE = re.compile(r"\([^)]*\)")
_PREFIX = re.compile(r"\$\{?prefix\}?|\$\{?cmdpath\}?|\$\{?config_directory\}?")
_ROOT = re.compile(r"^\$\{?\w+\}?(?=/)")


class Volume(Protocol):
    """A filesystem that holds menus."""

    name: str

    def key(self, path: str) -> str:
        """The same for all ways to write one path."""
        ...

    def read(self, path: str) -> bytes | None: ...
    def names(self, folder: str) -> list[str]: ...


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


class IsoVolume:
    """The image's own tree."""

    name = ""

    def __init__(self, image: Image) -> None:
        self._image = image

    def key(self, path: str) -> str:
        return path if self._image.tree.kind == "rockridge" else path.lower()

    def read(self, path: str) -> bytes | None:
        node = self._image.tree.find(path)
        if node is None or node.kind != "file":
            return None
        _check_size(path, node.size_bytes, MAX_MENU_BYTES)
        return self._image.read(path)

    def names(self, folder: str) -> list[str]:
        node = self._image.tree.find(folder)
        if node is None or node.kind != "directory":
            return []
        return list(self._image.tree.children(node))[:MAX_FOLDER_NAMES]


class FatVolume:
    """A FAT with EFI programs inside the image, ``offset_bytes`` from its start."""

    def __init__(self, image: Image, offset_bytes: int, size_bytes: int) -> None:
        self.name = f"the EFI image at byte {offset_bytes}"
        self.offset_bytes = offset_bytes
        self.size_bytes = size_bytes
        self.fat = Fat(sub_reader(image.reader, offset_bytes, size_bytes))

    def key(self, path: str) -> str:
        return path.lower()

    def read(self, path: str) -> bytes | None:
        entry = self.fat.find(path)
        if entry is None or entry.is_directory:
            return None
        _check_size(path, entry.size_bytes, MAX_MENU_BYTES)
        return self.fat.read(path)

    def names(self, folder: str) -> list[str]:
        entry = self.fat.find(folder)
        if entry is None or not entry.is_directory:
            return []
        return [found.name for found in self.fat.names(entry.first_cluster)][:MAX_FOLDER_NAMES]


def find(image: Image) -> list[MenuFile]:
    """Every menu of the medium, each once, the ones that loaders start with before what they read."""
    volumes: list[Volume] = [IsoVolume(image)]
    for volume in image.facts().efi_volumes:
        if volume.size_bytes:
            volumes.append(FatVolume(image, volume.offset_bytes, volume.size_bytes))
    finder = _Finder(volumes)
    for where in volumes:
        finder.search(where)
    return list(finder.found.values())


class _Finder:
    def __init__(self, volumes: list[Volume]) -> None:
        self._volumes = volumes
        self.found: dict[tuple[str, str], MenuFile] = {}
        self._left = MAX_ALL_BYTES
        self._looked_for: set[tuple[str, str]] = set()

    def search(self, volume: Volume) -> None:
        """All that loaders start with first: it makes a menu of its own, whoever else reads it."""
        roots = [self._add(volume, path, GRUB, path, is_top=True) for path in _grub_roots(volume)]
        roots += [self._add(volume, path, SYSLINUX, path, is_top=True) for path in _isolinux_roots(volume)]
        for file in roots:
            if file is not None:
                self._follow(file, file.path)
        self._systemd_boot(volume)

    def _systemd_boot(self, volume: Volume) -> None:
        names = [name for name in sorted(volume.names("/loader/entries")) if name.lower().endswith(".conf")]
        for name in names:
            self._add(volume, f"/loader/entries/{name}", SDBOOT, SDBOOT_CONF, is_top=True)
        if names:
            self._add(volume, SDBOOT_CONF, SDBOOT, SDBOOT_CONF, is_top=True)

    def _add(self, volume: Volume, path: str, loader: str, root: str, *, is_top: bool) -> MenuFile | None:
        """A file that is there and was not seen yet."""
        key = (volume.name, volume.key(path))
        if key in self.found:
            return None
        data = volume.read(path)
        if data is None or b"\0" in data:
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
                where = next((place for place in places if place.read(target) is not None), None)
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


def _grub_roots(volume: Volume) -> Iterator[str]:
    for folder in _GRUB_FOLDERS:
        names = {name.lower(): name for name in volume.names(folder)}
        yield from (f"{folder}/{names[name]}" for name in _GRUB_NAMES if name in names)
    for top in _EFI_FOLDERS:
        for vendor in volume.names(top):
            names = {name.lower(): name for name in volume.names(f"{top}/{vendor}")}
            yield from (f"{top}/{vendor}/{names[name]}" for name in _GRUB_NAMES if name in names)


def _isolinux_roots(volume: Volume) -> Iterator[str]:
    for folder in _ISOLINUX_FOLDERS:
        names = {name.lower(): name for name in volume.names(folder or "/")}
        yield from (f"{folder}/{names[name]}" for name in _ISOLINUX_NAMES if name in names)


def _grub_paths(written: str, prefix: str) -> list[str]:
    """Where a path of GRUB's may lead: its device and ``$root`` left out, ``$prefix`` filled in."""
    path = _PREFIX.sub(prefix, _DEVICE.sub("", written))
    path = _ROOT.sub("", path)
    if "$" in path or not path:
        return []
    return [posixpath.normpath(path if path.startswith("/") else f"{prefix}/{path}")]


__all__ = ["GRUB", "SDBOOT", "SYSLINUX", "FatVolume", "IsoVolume", "MenuFile", "find"]
