"""Tiny boot images, as others make them, that say on the serial line what was started.

Debian's kernel with an initrd of 2 MB whose init mounts the medium and prints the kernel's command line, its own
generation and a file of the medium; and a memory test's stand-in, 16-bit code behind a Linux header. The images
are made by the makers of ``tests/isos`` from a tree whose boot loaders are real.
"""

from __future__ import annotations

import gzip
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mediakit.formats import fat
from mediakit.reference import base, bootfiles, cpio, debs, initrd, recipe
from mediakit.run import run
from mediakit.vm.machine import Machine
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec
from tests.isos import make

ROUTES = [(firmware, bus) for firmware in (Firmware.BIOS, Firmware.UEFI) for bus in (Bus.CD, Bus.USB)]
BIOS_ROUTES = ROUTES[:2]
_DISC_ISOLINUX = ["-J", *make._ISOLINUX, *make._EFI]
_DISC_GRUB = [*make._GRUB[: make._GRUB.index("--grub2-boot-info")], *make._EFI]

KINDS: dict[str, Callable[[Path, Path], None]] = {
    "isohybrid_gpt": make.isohybrid_gpt,
    "grub_gpt": make.grub_gpt,
    "disc_isolinux": lambda root, out: make.xorriso(root, out, *_DISC_ISOLINUX),
    "disc_grub": lambda root, out: make.xorriso(root, out, *_DISC_GRUB),
    "grub_rescue": make.grub_rescue,
}
ORIGINAL = "original"
_MODULES = ("fs/isofs/isofs", "drivers/scsi/sr_mod", "drivers/scsi/sd_mod", "drivers/ata/ahci")
_MODULES += ("drivers/usb/host/xhci-pci", "drivers/usb/storage/usb-storage")
_GRUB_MODULES = "biosdisk iso9660 part_gpt part_msdos normal configfile linux linux16 search echo test"

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /mnt
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in ahci sr_mod sd_mod xhci-pci usb-storage isofs; do modprobe $module; done
tries=0
while [ $tries -lt 300 ]; do
    for disk in /dev/sr0 /dev/sda; do
        [ -b $disk ] && mount -t iso9660 -o ro $disk /mnt 2>/dev/null && break 2
    done
    tries=$((tries + 1))
    usleep 100000
done
exec >/dev/ttyS0
echo
echo "TINY [$(cat /proc/cmdline)] [$(cat /generation)] [$(cat /mnt/note.txt)] END"
poweroff -f
"""

_ISOLINUX_CFG = """default linux
prompt 0
label linux
  kernel /boot/vmlinuz
  append initrd=/boot/initrd.img console=ttyS0 quiet
label memtest
  kernel /boot/memtest
"""
_GRUB_CFG = """set timeout=0
set default=linux
menuentry "Tiny Linux" --id linux {
  linux /boot/vmlinuz console=ttyS0 quiet
  initrd /boot/initrd.img
}
menuentry "Memory test" --id memtest {
  linux16 /boot/memtest
}
"""
_ESP_CFG = "search --file --set=root /tiny.id\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"


@dataclass(frozen=True)
class Booted:
    """What a tiny Linux said: its command line, its initrd's generation, the medium's ``/note.txt``."""

    command_line: str
    generation: str
    note: str


def routes(kind: str) -> list[tuple[Firmware, Bus]]:
    """Debian's grub-mkrescue makes what a BIOS boots where GRUB's files for UEFI are not installed."""
    return BIOS_ROUTES if kind == "grub_rescue" else ROUTES


def tree(folder: Path) -> Path:
    """The folder that goes into every image, made under ``folder``."""
    root = folder / "tree"
    for name in ("isolinux", "boot/grub"):
        (root / name).mkdir(parents=True)
    (root / "tiny.id").touch()
    (root / "note.txt").write_text(ORIGINAL)
    shutil.copy(make.ISOLINUX, root / "isolinux/isolinux.bin")
    debs.unpack(("syslinux-common",), base.default_cache() / "debs", folder / "syslinux")
    shutil.copy(folder / "syslinux/usr/lib/syslinux/modules/bios/ldlinux.c32", root / "isolinux")
    (root / "isolinux/isolinux.cfg").write_text(_ISOLINUX_CFG)
    (root / "boot/grub/grub.cfg").write_text(_GRUB_CFG)
    core = root / "boot/grub/eltorito.img"
    words = ["grub-mkimage", "-O", "i386-pc-eltorito", "-o", core, "-p", "/boot/grub"]
    run([*words, *_GRUB_MODULES.split()], timeout=60)
    (root / "boot/grub/efi.img").write_bytes(_esp())
    system = _system()
    shutil.copy(system / "boot" / f"vmlinuz-{base.kernel_version(system)}", root / "boot/vmlinuz")
    (root / "boot/initrd.img").write_bytes(initrd_of(1))
    (root / "boot/memtest").write_bytes(memory_test("TINY-MEMTEST original"))
    return root


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


def memory_test(message: str) -> bytes:
    """16-bit code that prints ``message`` on the first serial port, behind the header of a Linux kernel
    (``Documentation/arch/x86/boot.rst``), as memory testers are packed; boot loaders start it as a kernel."""
    code = bytes.fromhex("0e1f be6000 ac 84c0 7412 88c4 bafd03 ec a820 74fb baf803 88e0 ee ebe9 f4 ebfd")
    setup = bytearray(1024)
    setup[0x1F1] = 1  # sectors of setup code
    struct.pack_into("<IHHH", setup, 0x1F4, 4096 // 16, 0, 0, 0)
    struct.pack_into("<H", setup, 0x1FE, 0xAA55)
    struct.pack_into("<H4sH", setup, 0x200, 0x3EEB, b"HdrS", 0x0202)  # jmp to 0x240
    setup[0x211] = 1  # loaded high
    struct.pack_into("<I", setup, 0x214, 0x100000)
    setup[0x240 : 0x240 + len(code)] = code
    text = message.encode() + b"\r\n\0"
    setup[0x260 : 0x260 + len(text)] = text
    return bytes(setup) + bytes(4096)


def machine(file: Path, firmware: Firmware, bus: Bus) -> VmSpec:
    """A small machine that starts from ``file`` as a disc or as a stick; the file stays as it is."""
    medium = Disk(file, bus, serial="TINY", boot=0, snapshot=bus is Bus.USB)
    return VmSpec(firmware, (medium,), ram_mib=512)


def booted(vm: Machine) -> Booted:
    """Wait until the tiny Linux has said what it is."""
    said = vm.serial.expect(r"TINY \[([^]]*)\] \[([^]]*)\] \[([^]]*)\] END", vm.deadline(40))
    return Booted(*(re.sub(r"\s+", " ", text).strip() for text in said.groups()))


def _esp() -> bytes:
    """Debian's GRUB, which reads its menu from the medium."""
    loader = bootfiles.build(base.default_cache()).grub_efi
    files = [
        fat.FatFile("EFI/BOOT/BOOTX64.EFI", loader),
        fat.FatFile("EFI/debian/grub.cfg", _ESP_CFG.encode()),
    ]
    return fat.build(6 << 20, files, label="TINY", serial=0x71).to_bytes()
