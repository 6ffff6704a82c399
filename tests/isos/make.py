"""Tiny disc images of every kind that is found in the wild, made by the tools that make them there, each time
with the same bytes.

``python -m tests.isos.make FOLDER [KIND...]`` makes them by hand; the tests make them once a session.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mediakit.formats import fat, mbr
from tests.isos import repeatable, udf250
from tests.isos.programs import IA32, efi_program

ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")
ISOHYBRID_MBR = Path("/usr/lib/ISOLINUX/isohdpfx.bin")
GRUB = Path("/usr/lib/grub/i386-pc")
SHIM_SBAT = "sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\n"
MICROSOFT = "Microsoft Corporation UEFI CA 2011"
DEEP = "deep/" + "/".join("abcdefghij")
ODD_NAMES = (
    b"back\\slash", b"-dash", b"semi;colon;1", b"new\nline", b"tab\tbed", b"quote\"'", b"dot.", b"..dots", b" space ",
    "ünï 文件 😀".encode(), b"latin-\xe4\xf6", b"*?[glob]", b"a:b|c<d>e", b"~", b"%s%n", b"x" * 255,
)  # fmt: skip
LARGE_BYTES = 4_400_000_005
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
    repeatable.tool(argv)
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


def compressible(root: Path) -> Path:
    """What is worth to be compressed, and what is not; with zeros, of which zisofs stores nothing."""
    folder = _folder(root, "compressible")
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "numbers.txt").write_text("".join(f"{n}\n" for n in range(50_000)))
    (folder / "sub/zeros.bin").write_bytes(bytes(400_000) + b"end")
    (folder / "random.bin").write_bytes(random.Random(1).randbytes(100_000))
    (folder / "small.txt").write_text("small")
    return folder


def _folder(root: Path, name: str) -> Path:
    folder = root.parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _sessions(root: Path) -> tuple[Path, Path]:
    """What goes into two sessions: one file each, and one that the second replaces."""
    one, two = _folder(root, "session-1"), _folder(root, "session-2")
    for folder, name in ((one, "one"), (two, "number two")):
        (folder / f"{name.split()[-1]}.txt").write_text(name)
        (folder / "both.txt").write_text(f"both, as of session {name}")
    return one, two


def xorriso(root: Path, out: Path, *words: str | Path) -> None:
    common = ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-V", "TEST"]
    repeatable.tool([*common, *words, "-o", out, root], root)


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
    repeatable.tool(["isohybrid", "--uefi", out])


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
    repeatable.tool(["grub-mkrescue", "-d", GRUB, "-o", out, root, "--compress=xz"], root)


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


def hard_disk(root: Path, out: Path) -> None:
    """El Torito's hard disk emulation: the image is a disk with an MBR and one active partition."""
    folder = _folder(root, "hard-disk")
    volume = fat.build(128 << 10, [fat.FatFile("KERNEL.SYS", b"kernel")], hidden_sectors=63).to_bytes()
    entry = mbr.MbrPartition(1, 0x01, True, 63, len(volume) // 512)
    disk = mbr.Mbr(b"\xeb\xfe", 1, (entry,)).build() + bytes(62 * 512) + volume
    (folder / "disk.img").write_bytes(disk)
    _genisoimage(folder, out, "-R", "-b", "disk.img", "-c", "boot.cat", "-hard-disk-boot")


def platforms(root: Path, out: Path) -> None:
    words = [
        *_ISOLINUX,
        "-eltorito-alt-boot",
        "-eltorito-platform",
        "PPC",
        "-b",
        "boot/vmlinuz",
        "-no-emul-boot",
    ]
    words += ["-eltorito-alt-boot", "-eltorito-platform", "efi", "-b", "boot/grub/efi.img", "-no-emul-boot"]
    xorriso(root, out, *words)


def multi_session(root: Path, out: Path) -> None:
    """Grown by xorriso: block 16 holds the last session's descriptors, the first one's are in block 48."""
    one, two = _sessions(root)
    words = ["xorriso", "-no_rc", "-outdev", out, "-volid", "ONE", "-map", one, "/", "-commit"]
    repeatable.tool([*words, "-map", two, "/", "-volid", "TWO", "-commit"], one, two)


def multi_session_disc(root: Path, out: Path) -> None:
    """Two sessions of mkisofs as they lie on a disc: block 16 holds the first one's descriptors."""
    one, two = _sessions(root)
    first, second = out.with_suffix(".1"), out.with_suffix(".2")
    repeatable.tool(["genisoimage", "-quiet", "-R", "-V", "ONE", "-o", first, one], one)
    words = ["-C", "0,512", "-M", first, "-R", "-V", "TWO", "-o", second]
    repeatable.tool(["genisoimage", "-quiet", *words, two], two)
    out.write_bytes(first.read_bytes().ljust(512 * 2048, b"\0") + second.read_bytes())


def zisofs(root: Path, out: Path) -> None:
    """Files compressed beforehand by mkzftree, marked by mkisofs."""
    packed = root.parent / "packed"
    shutil.rmtree(packed, ignore_errors=True)
    source = compressible(root)
    repeatable.tool(["mkzftree", source, packed], source)
    _genisoimage(packed, out, "-R", "-z")


def zisofs2(root: Path, out: Path) -> None:
    source = compressible(root)
    words = ["xorriso", "-no_rc", "-zisofs", "level=9:block_size=64k:version_2=on", "-outdev", out]
    repeatable.tool([*words, "-map", source, "/", "-set_filter_r", "--zisofs", "/", "--", "-commit"], source)


def continuation(root: Path, out: Path) -> None:
    """Names and links that need several Rock Ridge entries, in continuation areas."""
    folder = _folder(root, "continuation")
    for letter in "abcdef":
        (folder / (letter * 250)).write_text(letter)
        (folder / f"link-{letter}").symlink_to("/".join([letter * 200, "..", "x" * 250] * 2))
    xorriso(folder, out, "-J", "-joliet-long")


def relocated(root: Path, out: Path) -> None:
    """Folders so deep that mkisofs moves them to RR_MOVED, one of them inside another that was moved."""
    folder = _folder(root, "relocated")
    deep = folder.joinpath(*(f"level-{number:02}" for number in range(24)))
    deep.mkdir(parents=True, exist_ok=True)
    for parent in (deep, *list(deep.parents)[:24]):
        (parent / "file.txt").write_text(parent.name)
    _genisoimage(folder, out, "-R")


def odd_names(root: Path, out: Path) -> None:
    folder = _folder(root, "odd")
    for name in ODD_NAMES:
        (folder / os.fsdecode(name)).write_bytes(name)
    xorriso(folder, out, "-input-charset", "utf-8")


def level_4(root: Path, out: Path) -> None:
    """ISO 9660:1999: long names of all kinds without Rock Ridge, told by an enhanced descriptor."""
    _genisoimage(root, out, "-iso-level", "4")


def windows(root: Path, out: Path) -> None:
    """As oscdimg makes Windows' images: everything in UDF, the ISO 9660 tree holds README.TXT alone."""
    folder = _folder(root, "windows")
    for name in ("boot", "efi/boot", "efi/microsoft/boot", "sources/very/deep"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "readme.txt").write_text("This disc contains a UDF file system.")
    (folder / "boot/etfsboot.com").write_bytes(b"\xfa\x33\xc0".ljust(4096, b"\0"))
    (folder / "efi/microsoft/boot/efisys.bin").write_bytes(esp())
    (folder / "efi/boot/bootx64.efi").write_bytes(efi_program(signers=(MICROSOFT,)))
    (folder / "bootmgr").write_bytes(b"boot manager")
    (folder / "setup.exe").write_bytes(b"MZ")
    (folder / "sources/install.wim").write_bytes(bytes(range(256)) * 500)
    (folder / "sources/Ünïcode 文件.txt").write_text("wide")
    (folder / "sources/very/deep/empty").touch()
    words = [word for name in ("boot", "efi", "sources", "bootmgr", "setup.exe") for word in ("-hide", name)]
    words += ["-b", "boot/etfsboot.com", "-no-emul-boot", "-boot-load-size", "8", "-c", "boot/boot.cat"]
    words += ["-eltorito-alt-boot", "-e", "efi/microsoft/boot/efisys.bin", "-no-emul-boot"]
    _genisoimage(folder, out, "-udf", *words)


def udf_250(root: Path, out: Path) -> None:
    out.write_bytes(udf250.build())


def hfsplus(root: Path, out: Path) -> None:
    xorriso(
        root, out, *_GRUB, *_EFI, "-hfsplus", "-part_like_isohybrid", "-hfsplus-serial-no", "0123456789abcdef"
    )


def hfs(root: Path, out: Path) -> None:
    """The older HFS with an Apple partition map, as mkisofs makes it."""
    _genisoimage(root, out, "-R", "-hfs", "-part", "-hfs-volid", "TEST")
    # mkisofs leaves there whatever was in its memory: of the driver map, and the map entries' padding
    with out.open("r+b") as file:
        for start, end in ((12, 510), (0x202, 0x204), (0x402, 0x404)):
            file.seek(start)
            file.write(bytes(end - start))


KINDS: dict[str, Callable[[Path, Path], None]] = {
    f.__name__: f
    for f in (
        isohybrid_mbr, isohybrid_gpt, isohybrid_apm, isohybrid_tool, grub_appended, grub_offset, grub_gpt, grub_offset_gpt,
        grub_bootable_flag, grub_rescue, el_torito, uefi_only, floppy, data_only, joliet_only, plain, udf_bridge,
        hard_disk, platforms, multi_session, multi_session_disc, zisofs, zisofs2, continuation, relocated,
        odd_names, level_4, windows, hfsplus, hfs,
    )
}  # fmt: skip


def many_files(root: Path, out: Path) -> None:
    """50,000 files in 51 folders, all of them one file on disk."""
    (root.parent / "source").write_text("one of many")
    names = (
        f"folder-{n // 1000:02}/sub/file number {n:05}.txt={root.parent}/source\n" for n in range(50_000)
    )
    (root.parent / "names").write_text("".join(names))
    words = ["-R", "-J", "-graft-points", "-path-list", root.parent / "names"]
    repeatable.tool(["genisoimage", "-quiet", "-V", "TEST", *words, "-o", out])


def multi_extent(root: Path, out: Path) -> None:
    """A file above 4 GiB in ISO 9660 and Rock Ridge: two directory records."""
    _large(root, out, ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-r", "-V", "TEST"])


def udf_large(root: Path, out: Path) -> None:
    """The same in UDF: several extents. mkisofs gives its ISO 9660 tree a wrong size, and warns of it."""
    words = ["genisoimage", "-quiet", "-iso-level", "3", "-allow-limited-size", "-udf", "-R", "-V", "TEST"]
    _large(root, out, words)


def _large(root: Path, out: Path, maker: list[str]) -> None:
    """Sparse, but the makers read and write it all: it is kept in the cache."""
    kept = repeatable.cache_folder() / f"{out.stem}-1.iso"
    if not kept.exists():
        folder = _folder(root, "large")
        with (folder / "large.bin").open("wb") as file:
            file.write(b"head")
            file.seek(LARGE_BYTES - 4)
            file.write(b"tail")
        part = kept.with_suffix(f".{os.getpid()}")
        with (
            part.open("wb") as file,
            subprocess.Popen([*maker, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
        ):
            assert process.stdout
            while piece := process.stdout.read(1 << 20):
                if any(piece):
                    file.write(piece)
                else:
                    file.seek(len(piece), os.SEEK_CUR)
            file.truncate()
        assert process.returncode == 0
        part.rename(kept)
    out.symlink_to(kept)


CRAFTED_KINDS = {"udf_250": udf_250}
"""What no tool makes; not among KINDS either: it can be read only."""
LARGE_KINDS = {f.__name__: f for f in (many_files, multi_extent, udf_large)}
"""What takes seconds to make or walk; not among KINDS, which tests try everything on."""


def make(kind: str, folder: Path) -> Path:
    """One image of ``kind`` in ``folder``."""
    out = folder / f"{kind}.iso"
    if not out.exists():
        (KINDS | LARGE_KINDS | CRAFTED_KINDS)[kind](tree(folder), out)
    return out


def _genisoimage(root: Path, out: Path, *words: str) -> None:
    if "-boot-info-table" in words:  # it writes the table into the file that it is given
        root = Path(shutil.copytree(root, _folder(root, "copy"), symlinks=True, dirs_exist_ok=True))
    repeatable.tool(["genisoimage", "-quiet", "-V", "TEST", *words, "-o", out, root], root)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or KINDS:
        print(make(name, place), f"{make(name, place).stat().st_size:,} bytes")
