"""Tiny boot images, as others make them, that say on the serial line what was started.

Debian's kernel with an initrd of 2 MB whose init mounts the medium and prints the kernel's command line, marks
of kernel and initrd, the medium's label, and a digest of all files that Linux finds on it; and testers in place
of a memory test. The images are made by the makers of ``tests/isos`` from a tree whose boot loaders are real.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import testers

from mediakit.formats import fat, mbr
from mediakit.reference import base, bootfiles, cpio, debs, initrd, recipe
from mediakit.run import run
from mediakit.vm.machine import Machine
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec
from tests.isos import make

ROUTES = [(firmware, bus) for firmware in (Firmware.BIOS, Firmware.UEFI) for bus in (Bus.CD, Bus.USB)]
BIOS_ROUTES, UEFI_ROUTES = ROUTES[:2], ROUTES[2:]
LABEL = "TEST"
ORIGINAL = "original"
_DISC_ISOLINUX = ["-J", *make._ISOLINUX, *make._EFI]
_DISC_GRUB = [*make._GRUB[: make._GRUB.index("--grub2-boot-info")], *make._EFI]
# as Limine's manual has it and many home-made scripts: an EFI partition in the ISO, a protective MBR
_GRUB_PROTECTIVE = [
    "-J",
    *make._GRUB,
    "--efi-boot",
    "boot/grub/efi.img",
    "-efi-boot-part",
    "--efi-boot-image",
]
_GRUB_PROTECTIVE += ["--protective-msdos-label"]

KINDS: dict[str, Callable[[Path, Path], None]] = {
    "isohybrid_mbr": make.isohybrid_mbr,
    "isohybrid_gpt": make.isohybrid_gpt,
    "isohybrid_apm": make.isohybrid_apm,
    "isohybrid_tool": make.isohybrid_tool,
    "grub_appended": make.grub_appended,
    "grub_offset": make.grub_offset,
    "grub_gpt": make.grub_gpt,
    "grub_offset_gpt": make.grub_offset_gpt,
    "grub_bootable_flag": make.grub_bootable_flag,
    "grub_protective": lambda root, out: make.xorriso(root, out, *_GRUB_PROTECTIVE),
    "grub_rescue": lambda root, out: run(
        ["grub-mkrescue", "-d", make.GRUB, "-o", out, root, "--", "-volid", LABEL], timeout=120
    ),
    "disc_isolinux": lambda root, out: make.xorriso(root, out, *_DISC_ISOLINUX),
    "disc_uefi": make.uefi_only,
    "disc_grub": lambda root, out: make.xorriso(root, out, *_DISC_GRUB),
}
"""Those that begin with disc_ boot from disc only, until --usb-bootable."""
BIOS_ONLY = frozenset({"isohybrid_mbr", "grub_rescue"})
"""Debian's grub-mkrescue makes what a BIOS boots where GRUB's files for UEFI are not installed."""
_MODULES = ("fs/isofs/isofs", "drivers/scsi/sr_mod", "drivers/scsi/sd_mod", "drivers/ata/ahci")
_MODULES += ("drivers/usb/host/xhci-pci", "drivers/usb/storage/usb-storage")
_GRUB_MODULES = "biosdisk iso9660 part_gpt part_msdos normal configfile linux linux16 multiboot chain search"
_GRUB_MODULES += " echo test"
_KERNEL_MARK = (
    0x240  # hardware_subarch_data of the setup header: boot loaders copy it, a PC's kernel has no use
)

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /mnt
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in ahci sr_mod sd_mod xhci-pci usb-storage isofs; do modprobe $module; done
files() {
    cd /mnt
    find . -type f ! -name boot.cat ! -name boot.catalog -print0 | sort -z | xargs -0 md5sum | md5sum | cut -c 1-32
    cd /
}
tries=0
while [ $tries -lt 300 ]; do
    for disk in /dev/sr0 /dev/sda; do
        [ -b $disk ] && mount -t iso9660 -o ro $disk /mnt 2>/dev/null && break 2
    done
    tries=$((tries + 1))
    usleep 100000
done
note=$(cat /mnt/note.txt)
digest=$(files)
umount /mnt
label=$(dd if=$disk bs=1 skip=32808 count=32 2>/dev/null)
mark=$(hexdump -s 576 -n 1 -e '1/1 "%d"' /sys/kernel/boot_params/data)
parts=
for part in $disk?*; do
    [ -b $part ] && mount -t iso9660 -o ro $part /mnt 2>/dev/null || continue
    parts="$parts ${part#/dev/} $(files)"
    umount /mnt
done
exec >/dev/ttyS0
echo
echo "TINY [$(cat /proc/cmdline)] [$mark] [$(cat /generation)] [$note] [$label] [$digest] [$parts] END"
poweroff -f
"""

_ISOLINUX_CFG = """default linux
prompt 0
label linux
  kernel /boot/vmlinuz
  append initrd=/boot/initrd.img console=ttyS0 quiet
label second
  kernel /boot/vmlinuz
  append initrd=/boot/initrd.img console=ttyS0 quiet tiny.entry=second
label memtest
  kernel /boot/memtest
label multiboot
  kernel mboot.c32
  append /boot/tester.mb
label sector
  kernel /boot/tester.bin
"""
_GRUB_CFG = f"""set timeout=0
set default=linux
search --no-floppy --label {LABEL} --set=root
menuentry "Tiny Linux" --id linux {{
  linux /boot/vmlinuz console=ttyS0 quiet
  initrd /boot/initrd.img
}}
menuentry "Another Linux" --id second {{
  linux /boot/vmlinuz console=ttyS0 quiet tiny.entry=second
  initrd /boot/initrd.img
}}
menuentry "Memory test" --id memtest {{
  if [ "$grub_platform" = efi ]; then
    chainloader /boot/memtest.efi
  else
    linux16 /boot/memtest
  fi
}}
menuentry "Multiboot" --id multiboot {{
  multiboot /boot/tester.mb
}}
menuentry "Boot sector" --id sector {{
  chainloader /boot/tester.bin
}}
"""
_ESP_CFG = f"search --label {LABEL} --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
TESTERS = {"memtest": "/boot/memtest", "multiboot": "/boot/tester.mb", "sector": "/boot/tester.bin"}
"""The menu's entries that start no Linux, and their files."""


@dataclass(frozen=True)
class State:
    """What an image says when it boots, apart from its files' digest."""

    kernel: int = 1
    initrd: int = 1
    note: str = ORIGINAL
    label: str = LABEL
    arguments: frozenset[str] = field(default_factory=frozenset)

    def with_arguments(self, *more: str) -> State:
        return replace(self, arguments=self.arguments | set(more))


@dataclass(frozen=True)
class Booted:
    """What a tiny Linux said: the state, the digest of the files on the whole medium, and those on each of
    its partitions that is an ISO 9660 filesystem by itself."""

    state: State
    files: str
    partitions: dict[str, str]


def routes(kind: str) -> list[tuple[Firmware, Bus]]:
    """The ways to boot that images of this kind are made for (once ``disc_`` ones were made for USB)."""
    if kind == "disc_uefi":
        return UEFI_ROUTES
    return BIOS_ROUTES if kind in BIOS_ONLY else ROUTES


def tree(folder: Path) -> Path:
    """The folder that goes into every image, made under ``folder``."""
    root = folder / "tree"
    for name in ("isolinux", "boot/grub", "spare"):
        (root / name).mkdir(parents=True)
    (root / "note.txt").write_text(ORIGINAL)
    for number in range(3):
        (root / f"spare/file-{number}.bin").write_bytes(bytes([number]) * 5000)
    shutil.copy(make.ISOLINUX, root / "isolinux/isolinux.bin")
    debs.unpack(("syslinux-common",), base.default_cache() / "debs", folder / "syslinux")
    for name in ("ldlinux.c32", "libcom32.c32", "mboot.c32"):
        shutil.copy(folder / "syslinux/usr/lib/syslinux/modules/bios" / name, root / "isolinux")
    (root / "isolinux/isolinux.cfg").write_text(_ISOLINUX_CFG)
    (root / "boot/grub/grub.cfg").write_text(_GRUB_CFG)
    core = root / "boot/grub/eltorito.img"
    words = ["grub-mkimage", "-O", "i386-pc-eltorito", "-o", core, "-p", "/boot/grub"]
    run([*words, *_GRUB_MODULES.split()], timeout=60)
    (root / "boot/grub/efi.img").write_bytes(_esp())
    (root / "boot/vmlinuz").write_bytes(kernel_of(1))
    (root / "boot/initrd.img").write_bytes(initrd_of(1))
    for path, data in tester_files(ORIGINAL).items():
        (root / path.lstrip("/")).write_bytes(data)
    return root


def emulated(kind: str, word: str) -> bytes:
    """A disk for El Torito to emulate: a floppy, or a hard disk with one active partition; it prints ``word``."""
    sector = testers.boot_sector(f"TINY-TESTER {kind} {word}.")
    if kind == "floppy":
        return sector.ljust(1440 << 10, b"\0")
    partition = mbr.MbrPartition(1, 0x01, True, 63, 256)
    return mbr.Mbr(sector[:440], 1, (partition,)).build().ljust((63 + 256) * 512, b"\0")


def emulating(kind: str, folder: Path, out: Path) -> Path:
    """An image that boots such a disk."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "disk.img").write_bytes(emulated(kind, ORIGINAL))
    words = ["genisoimage", "-quiet", "-R", "-J", "-V", LABEL, "-b", "disk.img", "-c", "boot.cat"]
    run([*words, *(["-hard-disk-boot"] if kind == "hard-disk" else []), "-o", out, tree], timeout=60)
    return out


def tester_files(word: str) -> dict[str, bytes]:
    """Path → contents of the testers; each prints its menu entry's name and ``word``."""
    makers = {"memtest": testers.linux_image, "multiboot": testers.multiboot, "sector": testers.boot_sector}
    files = {TESTERS[name]: make_one(f"TINY-TESTER {name} {word}.") for name, make_one in makers.items()}
    return files | {"/boot/memtest.efi": testers.efi(f"TINY-TESTER memtest {word}.")}


def kernel_of(mark: int) -> bytes:
    """Debian's kernel, with a mark that can be seen from inside."""
    system = _system()
    data = bytearray((system / "boot" / f"vmlinuz-{base.kernel_version(system)}").read_bytes())
    struct.pack_into("<Q", data, _KERNEL_MARK, mark)
    return bytes(data)


def initrd_of(generation: int) -> bytes:
    """The initrd; each generation is larger than the one before, and says which one it is."""
    own = [cpio.file("init", _INIT.encode(), 0o755), cpio.file("generation", str(generation).encode())]
    own.append(cpio.file("ballast", bytes(n % 251 for n in range(300_000)) * generation))
    return _common_initrd() + gzip.compress(cpio.build(own), 0, mtime=0)


@cache
def _common_initrd() -> bytes:
    system = _system()
    return initrd.build_initrd(system, base.kernel_version(system), _MODULES)


@cache
def _system() -> Path:
    return base.base_tree(recipe.load(), base.default_cache())


def machine(file: Path, firmware: Firmware, bus: Bus) -> VmSpec:
    """A small machine that starts from ``file`` as a disc or as a stick; the file stays as it is."""
    medium = Disk(file, bus, serial="TINY", boot=0, snapshot=bus is Bus.USB)
    return VmSpec(firmware, (medium,), ram_mib=512)


def booted(vm: Machine) -> Booted:
    """Wait until the tiny Linux has said what it is."""
    said = vm.serial.expect("TINY " + r"\[([^]]*)\]\s+" * 7 + "END", vm.deadline(60))
    texts = [re.sub(r"\s+", " ", text).strip() for text in said.groups()]
    line, kernel, generation, note, label, files, partitions = texts
    words = partitions.split()
    arguments = frozenset(word for word in line.split() if word.startswith("tiny."))
    state = State(int(kernel), int(generation), note, label, arguments)
    return Booted(state, files, dict(zip(words[::2], words[1::2], strict=True)))


def files_digest(image: Path, folder: Path) -> tuple[str, set[str]]:
    """The digest that Linux should come to, by the files that xorriso extracts into ``folder``; their names."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["xorriso", "-no_rc", "-osirrox", "on", "-indev", image, "-extract", "/", folder]
    run([*words, "-rollback_end"], timeout=120)
    run(["chmod", "-R", "u+rwX", folder], timeout=20)
    paths = {
        b"./" + os.fsencode(path.relative_to(folder)): path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("boot.cat", "boot.catalog")
    }
    lines = [
        hashlib.md5(paths[name].read_bytes()).hexdigest().encode() + b"  " + name for name in sorted(paths)
    ]
    shutil.rmtree(folder)
    digest = hashlib.md5(b"".join(line + b"\n" for line in lines)).hexdigest()
    return digest, {os.fsdecode(name[1:]) for name in paths}


def _esp() -> bytes:
    """Debian's GRUB, which reads its menu from the medium."""
    loader = bootfiles.build(base.default_cache()).grub_efi
    files = [
        fat.FatFile("EFI/BOOT/BOOTX64.EFI", loader),
        fat.FatFile("EFI/debian/grub.cfg", _ESP_CFG.encode()),
    ]
    return fat.build(6 << 20, files, label="TINY", serial=0x71).to_bytes()
