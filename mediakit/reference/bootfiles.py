"""Owns the boot loader files that images and installs carry: GRUB's BIOS images and Debian's signed chain.

The BIOS cores hold their script in a memdisk, because the configuration that ``grub-mkimage -c`` embeds is
run by the rescue parser, which knows neither ``if`` nor ``for``. The disk core is the same for every install:
only its block list and the MBR differ, and the installer patches those. Never writes to a disk, and never
installs a package on the machine that builds.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from dataclasses import fields
from importlib import resources
from pathlib import Path

from mediakit import run
from mediakit.plain import dataclass
from mediakit.reference import debs

PACKAGES = ("grub-pc-bin", "grub-efi-amd64-signed", "shim-signed", "shim-helpers-amd64-signed")
_GRUB_PC = "usr/lib/grub/i386-pc"
_FORMAT = 1  # raise it when the way things are made below changes

_COMMON = """
    biosdisk part_gpt part_msdos squash4 gzio xzio loadenv test true regexp normal configfile echo serial
    terminal search search_fs_file linux boot ls cat sleep minicmd reboot halt memdisk tar chain probe
"""
DISK_MODULES = (*_COMMON.split(), "fat", "multiboot2", "search_fs_uuid", "search_label", "ext2")
MEDIUM_MODULES = (*_COMMON.split(), "iso9660", "fat", "loopback", "drivemap", "udf")


@dataclass(frozen=True)
class BootFiles:
    """The bytes of every boot loader file; GRUB scripts too (``medium_cfg`` is a template)."""

    boot_img: bytes
    """GRUB's first sector for a disk (512 bytes); the installer writes where the core starts into it."""
    hybrid_img: bytes
    """The same for a hybrid ISO."""
    core_img: bytes
    """The disk core; ``core_img[0x1f4:0x200]`` is the block list that the installer fills in."""
    eltorito_img: bytes
    """The medium's BIOS boot image, for El Torito and, through ``hybrid_img``, for USB."""
    shim: bytes
    grub_efi: bytes
    mokmanager: bytes
    disk_cfg: bytes
    medium_cfg: bytes
    loopback_cfg: bytes


_MADE = [field.name for field in fields(BootFiles) if not field.name.endswith("_cfg")]


def config(name: str) -> bytes:
    """A GRUB script of the package, by file name."""
    return resources.files("mediakit.reference").joinpath("grub", name).read_bytes()


def build(cache: Path) -> BootFiles:
    """Every boot file, from ``cache`` if the same inputs were built before, else from Debian's packages."""
    resolved = debs.resolve(PACKAGES, cache / "debs")
    folder = cache / f"bootfiles-{_key(resolved)}"
    if not folder.is_dir():
        _make(cache, folder)
    made = {name: (folder / name).read_bytes() for name in _MADE}
    return BootFiles(
        **made,
        disk_cfg=config("disk.cfg"),
        medium_cfg=config("medium.cfg"),
        loopback_cfg=config("loopback.cfg"),
    )


def memdisk(script: bytes) -> bytes:
    """A ustar archive with ``grub.cfg``, the same bytes for the same script."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("grub.cfg")
        member.size = len(script)
        archive.addfile(member, io.BytesIO(script))
    return buffer.getvalue()


def _key(resolved: tuple[debs.Deb, ...]) -> str:
    parts = [str(_FORMAT), *(f"{deb.file_name} {deb.checksum}" for deb in resolved)]
    parts += [" ".join(DISK_MODULES), " ".join(MEDIUM_MODULES)]
    parts += [config(name).decode() for name in ("disk-memdisk.cfg", "medium-memdisk.cfg")]
    parts.append(run.run(["grub-mkimage", "--version"], timeout=30).text)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _make(cache: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        root, made = Path(scratch, "root"), Path(scratch, "made")
        root.mkdir()
        made.mkdir()
        debs.unpack(PACKAGES, cache / "debs", root)
        grub = root / _GRUB_PC
        for name, source in {
            "boot_img": grub / "boot.img",
            "hybrid_img": grub / "boot_hybrid.img",
            "shim": root / "usr/lib/shim/shimx64.efi.signed",
            "mokmanager": root / "usr/lib/shim/mmx64.efi.signed",
            "grub_efi": root / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        }.items():
            (made / name).write_bytes(source.read_bytes())
        _image(grub, "i386-pc", DISK_MODULES, "disk-memdisk.cfg", made / "core_img")
        _image(grub, "i386-pc-eltorito", MEDIUM_MODULES, "medium-memdisk.cfg", made / "eltorito_img")
        if not folder.exists():
            made.rename(folder)


def _image(grub: Path, kind: str, modules: tuple[str, ...], script: str, out: Path) -> None:
    archive = out.with_suffix(".tar")
    archive.write_bytes(memdisk(config(script)))
    run.run(
        ["grub-mkimage", "-d", grub, "-O", kind, "-o", out, "-m", archive, "-p", "(memdisk)", *modules],
        timeout=60,
    )
    archive.unlink()
