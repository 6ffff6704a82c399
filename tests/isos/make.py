"""Tiny disc images of every kind that is found in the wild, made by the tools that make them there.

``python -m tests.isos.make FOLDER [KIND...]`` makes them by hand; the tests make them once a session.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from mediakit import run
from mediakit.formats import fat
from tests.isos.programs import IA32, efi_program

ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")
ISOHYBRID_MBR = Path("/usr/lib/ISOLINUX/isohdpfx.bin")
GRUB = Path("/usr/lib/grub/i386-pc")
SHIM_SBAT = "sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\n"
MICROSOFT = "Microsoft Corporation UEFI CA 2011"
DEEP = "deep/" + "/".join("abcdefghij")
LONG = "A name that is long enough to need a continuation area " + "x" * 180 + " ü.txt"


def tree(folder: Path) -> Path:
    """The folder that goes into every image; ``esp.img`` beside its boot loaders."""
    root = folder / "tree"
    if root.exists():
        return root
    for name in ("isolinux", "boot/grub", "EFI/BOOT", DEEP):
        (root / name).mkdir(parents=True)
    (root / DEEP / "file.txt").write_text("deep")
    (root / LONG).write_text("long")
    (root / "link").symlink_to("deep/a/b")
    (root / "empty").touch()
    for number in range(60):
        (root / f"boot/File-{number:02}.module").write_bytes(bytes([number]) * (number * 100))
    shutil.copy(ISOLINUX, root / "isolinux/isolinux.bin")
    (root / "isolinux/ldlinux.c32").write_bytes(b"module")
    (root / "isolinux/isolinux.cfg").write_text("default linux\nlabel linux\nkernel /boot/vmlinuz\n")
    (root / "boot/grub/grub.cfg").write_text("menuentry x { linux /boot/vmlinuz }\n")
    (root / "boot/vmlinuz").write_bytes(b"kernel" * 100)
    image = root / "boot/grub/eltorito.img"
    argv = ["grub-mkimage", "-O", "i386-pc-eltorito", "-o", image, "-p", "/boot/grub", "biosdisk", "iso9660"]
    run.run(argv, timeout=60)
    (root / "boot/grub/efi.img").write_bytes(esp())
    return root


def esp(loader: bytes | None = None) -> bytes:
    """A FAT with a loader for x64 signed by Microsoft, one for ia32, and a signed GRUB."""
    shim = efi_program(signers=(MICROSOFT,), sbat=SHIM_SBAT)
    files = [
        fat.FatFile("EFI/BOOT/BOOTX64.EFI", shim if loader is None else loader),
        fat.FatFile("EFI/BOOT/BOOTIA32.EFI", efi_program(IA32)),
        fat.FatFile("EFI/BOOT/grubx64.efi", efi_program(signers=("Debian Secure Boot CA",))),
    ]
    return fat.build(256 << 10, files, label="ESP", serial=0x1234).to_bytes()


def xorriso(root: Path, out: Path, *words: str | Path) -> None:
    common = ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "TEST"]
    run.run([*common, *words, "-o", out, root], timeout=120)


_ISOLINUX = [
    "-b",
    "isolinux/isolinux.bin",
    "-c",
    "isolinux/boot.cat",
    "-no-emul-boot",
    "-boot-load-size",
    "4",
    "-boot-info-table",
]
_GRUB = ["-b", "boot/grub/eltorito.img", "-c", "boot/grub/boot.cat", "-no-emul-boot", "-boot-load-size", "4"]
_GRUB += ["-boot-info-table", "--grub2-boot-info", "--grub2-mbr", str(GRUB / "boot_hybrid.img")]
_EFI = ["-eltorito-alt-boot", "-e", "boot/grub/efi.img", "-no-emul-boot"]
_APPENDED = ["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]


def _appended(root: Path) -> list[str]:
    return ["-append_partition", "2", "0xef", str(root / "boot/grub/efi.img"), *_APPENDED]


def isohybrid_mbr(root: Path, out: Path) -> None:
    xorriso(root, out, "-J", *_ISOLINUX, "-isohybrid-mbr", ISOHYBRID_MBR)


def isohybrid_gpt(root: Path, out: Path) -> None:
    xorriso(root, out, "-J", *_ISOLINUX, "-isohybrid-mbr", ISOHYBRID_MBR, *_EFI, "-isohybrid-gpt-basdat")


def isohybrid_apm(root: Path, out: Path) -> None:
    words = [*_EFI, "-isohybrid-gpt-basdat", "-isohybrid-apm-hfsplus"]
    xorriso(root, out, *_ISOLINUX, "-isohybrid-mbr", ISOHYBRID_MBR, *words)


def isohybrid_tool(root: Path, out: Path) -> None:
    _genisoimage(root, out, "-R", "-J", "-joliet-long", *_ISOLINUX, *_EFI)
    run.run(["isohybrid", "--uefi", out], timeout=60)


def grub_appended(root: Path, out: Path) -> None:
    xorriso(root, out, "-J", *_GRUB, *_appended(root))


def grub_offset(root: Path, out: Path) -> None:
    xorriso(root, out, *_GRUB, "-partition_offset", "16", *_appended(root))


def grub_gpt(root: Path, out: Path) -> None:
    xorriso(root, out, "-J", *_GRUB, *_appended(root), "-appended_part_as_gpt")


def grub_offset_gpt(root: Path, out: Path) -> None:
    words = [*_appended(root), "-partition_offset", "16", "-appended_part_as_gpt"]
    xorriso(root, out, "-J", *_GRUB, *words)


def grub_bootable_flag(root: Path, out: Path) -> None:
    words = ["-part_like_isohybrid", "-iso_mbr_part_type", "0x83", "--mbr-force-bootable"]
    xorriso(root, out, *_GRUB, *_appended(root), "-appended_part_as_gpt", *words)


def grub_rescue(root: Path, out: Path) -> None:
    run.run(["grub-mkrescue", "-d", GRUB, "-o", out, root, "--compress=xz"], timeout=120)


def el_torito(root: Path, out: Path) -> None:
    _genisoimage(root, out, "-R", *_ISOLINUX)


def uefi_only(root: Path, out: Path) -> None:
    xorriso(root, out, "-e", "boot/grub/efi.img", "-no-emul-boot", "-c", "boot/grub/boot.cat")


def floppy(root: Path, out: Path) -> None:
    (root.parent / "floppy").mkdir(exist_ok=True)
    (root.parent / "floppy/floppy.img").write_bytes(b"\xeb\xfe".ljust(1440 << 10, b"\0"))
    xorriso(root.parent / "floppy", out, "-b", "floppy.img", "-c", "boot.cat")


def data_only(root: Path, out: Path) -> None:
    xorriso(root, out, "-J")


def joliet_only(root: Path, out: Path) -> None:
    _genisoimage(root, out, "-J", "-joliet-long", "-D")


def plain(root: Path, out: Path) -> None:
    _genisoimage(root, out, "-iso-level", "3", "-D")


def udf_bridge(root: Path, out: Path) -> None:
    _genisoimage(root, out, "-udf", "-R")


KINDS: dict[str, Callable[[Path, Path], None]] = {
    f.__name__: f
    for f in (
        isohybrid_mbr, isohybrid_gpt, isohybrid_apm, isohybrid_tool, grub_appended, grub_offset, grub_gpt, grub_offset_gpt,
        grub_bootable_flag, grub_rescue, el_torito, uefi_only, floppy, data_only, joliet_only, plain, udf_bridge,
    )
}  # fmt: skip


def make(kind: str, folder: Path) -> Path:
    """One image of ``kind`` in ``folder``."""
    out = folder / f"{kind}.iso"
    if not out.exists():
        KINDS[kind](tree(folder), out)
    return out


def _genisoimage(root: Path, out: Path, *words: str) -> None:
    run.run(["genisoimage", "-quiet", "-V", "TEST", *words, "-o", out, root], timeout=60)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or KINDS:
        print(make(name, place), f"{make(name, place).stat().st_size:,} bytes")
