"""Where boot loaders look for their menus: what those who follow menus and those who edit them both go by.

Knows names and folders only, and asks nothing but which files are there. Sources: GRUB's embedded prefixes as
grub-mkrescue, Debian, Fedora, SUSE and Arch set them; syslinux 6.03 ``doc/isolinux.txt``, ``core/fs/iso9660/
iso9660.c`` (the folders, in this order) and ``efi/main.c``; UAPI.1 Boot Loader Specification.
"""

from __future__ import annotations

from collections.abc import Iterator

from mediakit.iso.bootmenus.menu import Files

GRUB_BIOS = ("/boot/grub", "/boot/grub2", "/grub", "/grub2", "/boot/grub/i386-pc")
GRUB_UEFI = (
    "/EFI/BOOT",
    "/boot/grub",
    "/EFI/debian",
    "/EFI/ubuntu",
    "/EFI/fedora",
    "/boot/grub2",
    "/grub",
    "/boot/grub/x86_64-efi",
)
GRUB_NAME = "grub.cfg"
ISOLINUX = ("/boot/isolinux", "/isolinux", "/boot/syslinux", "/syslinux", "")
ISOLINUX_NAMES = ("isolinux.cfg", "syslinux.cfg")
_MORE_GRUB_NAMES = ("loopback.cfg", "grub-efi.cfg", "kernels.cfg")
_MORE_GRUB = ("/boot/grub/i386-efi",)
_EFI = ("/EFI", "/efi")
_MORE_ISOLINUX = ("/EFI/BOOT", "/EFI/syslinux")
_MORE_ISOLINUX_NAMES = ("extlinux.conf",)


def grub_configs(files: Files) -> Iterator[str]:
    """Every configuration of the volume that some GRUB may start with, and what another loader hands over to
    (``loopback.cfg``); names in any case, as they are written there.
    """
    vendors = [f"{top}/{vendor}" for top in _EFI for vendor in files.names(top)]
    for folder in dict.fromkeys((*GRUB_BIOS, *GRUB_UEFI, *_MORE_GRUB, *vendors)):
        yield from _named(files, folder, (GRUB_NAME, *_MORE_GRUB_NAMES))


def isolinux_configs(files: Files) -> Iterator[str]:
    """Every configuration of the volume that ISOLINUX, SYSLINUX or EXTLINUX may start with."""
    for folder in (*ISOLINUX, *_MORE_ISOLINUX):
        yield from _named(files, folder, (*ISOLINUX_NAMES, *_MORE_ISOLINUX_NAMES))


def _named(files: Files, folder: str, wanted: tuple[str, ...]) -> Iterator[str]:
    names = {name.lower(): name for name in files.names(folder or "/")}
    yield from (f"{folder}/{names[name]}" for name in wanted if name in names)
