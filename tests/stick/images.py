"""Small hybrid images for the stick tests, made by xorriso as Engine's and others' are."""

from __future__ import annotations

import random
from pathlib import Path

from mediakit import run
from mediakit.formats import fat
from mediakit.units import MIB
from tests.engine import medium

HYBRID_MBR = Path("/usr/lib/grub/i386-pc/boot_hybrid.img")


def make_tree(folder: Path, seed: int = 1, payload_bytes: int = 6 * MIB) -> Path:
    """A tree with a boot image, a FAT for UEFI beside it, and a payload."""
    tree = folder / f"tree-{seed}"
    (tree / "boot").mkdir(parents=True)
    chance = random.Random(seed)
    (tree / "boot/core.img").write_bytes(chance.randbytes(32768))
    (tree / "boot/menu.cfg").write_text(f"menu {seed}\n")
    payload = random.Random(99).randbytes(payload_bytes // 2) + chance.randbytes(payload_bytes // 2)
    (tree / "payload.bin").write_bytes(payload)
    esp = fat.build(2 * MIB, [fat.FatFile("/EFI/BOOT/BOOTX64.EFI", b"MZ" + bytes(1000))], label="ESP")
    (folder / f"esp-{seed}.img").write_bytes(esp.to_bytes())
    return tree


def grub_hybrid(folder: Path, seed: int = 1, payload_bytes: int = 6 * MIB) -> Path:
    """MBR with GRUB's code, GPT with an appended EFI partition: the kind an Engine ISO is."""
    tree = make_tree(folder, seed, payload_bytes)
    out = folder / f"grub-{seed}.iso"
    words = ["-o", out, "-V", "TEST", "-J", "-r", "--grub2-mbr", HYBRID_MBR, "--protective-msdos-label"]
    words += ["-partition_offset", "16", "-append_partition", "2", "0xef", folder / f"esp-{seed}.img"]
    words += ["-appended_part_as_gpt", "-c", "boot/boot.cat", "-b", "boot/core.img", "-no-emul-boot"]
    words += ["-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot"]
    words += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot", tree]
    run.run(["xorriso", "-as", "mkisofs", *words], timeout=60)
    return out


def mbr_hybrid(folder: Path, seed: int = 2) -> Path:
    """An MBR with the ISO's partition and an EFI partition, no GPT."""
    tree = make_tree(folder, seed)
    out = folder / f"mbr-{seed}.iso"
    words = ["-o", out, "-V", "TEST", "-r", "--grub2-mbr", HYBRID_MBR, "-partition_offset", "16"]
    words += ["-append_partition", "2", "0xef", folder / f"esp-{seed}.img", "-c", "boot/boot.cat"]
    words += ["-b", "boot/core.img", "-no-emul-boot", "-boot-load-size", "4", "--grub2-boot-info", tree]
    run.run(["xorriso", "-as", "mkisofs", *words], timeout=60)
    return out


def isolinux_hybrid(folder: Path, seed: int = 3) -> Path:
    """``-isohybrid-gpt-basdat``: nested partitions, a GPT without protective entry."""
    tree = make_tree(folder, seed)
    out = folder / f"isolinux-{seed}.iso"
    (tree / "boot/efi.img").write_bytes((folder / f"esp-{seed}.img").read_bytes())
    (tree / "boot/core.img").write_bytes(Path("/usr/lib/ISOLINUX/isolinux.bin").read_bytes())
    words = ["-o", out, "-V", "TEST", "-r", "-isohybrid-mbr", "/usr/lib/ISOLINUX/isohdpfx.bin"]
    words += ["-c", "boot/boot.cat", "-b", "boot/core.img", "-no-emul-boot", "-boot-load-size", "4"]
    words += ["-boot-info-table", "-eltorito-alt-boot", "-e", "boot/efi.img", "-no-emul-boot"]
    words += ["-isohybrid-gpt-basdat", tree]
    run.run(["xorriso", "-as", "mkisofs", *words], timeout=60)
    return out


def plain(folder: Path, seed: int = 4) -> Path:
    """An ISO without any partition table."""
    tree = make_tree(folder, seed)
    out = folder / f"plain-{seed}.iso"
    run.run(["xorriso", "-as", "mkisofs", "-o", out, "-V", "TEST", "-r", tree], timeout=60)
    return out


def engine(folder: Path) -> Path:
    """A signed Engine medium as a GRUB hybrid, with the public test key."""
    tree = make_tree(folder, 7)
    medium.make(
        tree, {"/engine/system.squashfs": random.Random(7).randbytes(5 * MIB), "/engine/note": b"x" * 9}
    )
    out = folder / "engine-5.0.iso"
    words = ["-o", out, "-V", "ENGINE", "-J", "-r", "--grub2-mbr", HYBRID_MBR, "--protective-msdos-label"]
    words += ["-partition_offset", "16", "-append_partition", "2", "0xef", folder / "esp-7.img"]
    words += ["-appended_part_as_gpt", "-c", "boot/boot.cat", "-b", "boot/core.img", "-no-emul-boot", tree]
    run.run(["xorriso", "-as", "mkisofs", *words], timeout=60)
    return out
