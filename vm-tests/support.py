"""What the scenarios are made of: commands, cached images of the reference Engine, disks and their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mediakit as mediakit_package
from mediakit.reference import artefacts, base
from mediakit.run import run
from mediakit.vm.spec import Bus, Disk

PASSWORD = "engine-test"
_STARTED = time.monotonic()


def say(text: str) -> None:
    """One line with the time since the tests began, past pytest's capture."""
    print(f"[{time.monotonic() - _STARTED:7.1f} s] {text}", file=sys.__stderr__, flush=True)


def mediakit(*words: object, timeout: float = 1800.0) -> str:
    """Run the command as a person would."""
    say("mediakit " + " ".join(map(str, words)))
    return run([sys.executable, "-m", "mediakit", *map(str, words)], timeout=timeout).text


def made(path: Path, make: Callable[[Path], object]) -> Path:
    """``path``, made by ``make(scratch)`` and renamed when it is whole, unless it is there."""
    if not path.exists():
        scratch = path.with_name(f"new-{path.name}")
        scratch.unlink(missing_ok=True)
        make(scratch)
        scratch.rename(path)
    return path


def _sources() -> str:
    """A digest of everything that makes media and writes disks."""
    digest = hashlib.sha256()
    for path in sorted(Path(mediakit_package.__file__).parent.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()


class Product:
    """The cached images of both versions. A change of the sources changes the key, and all is built again."""

    def __init__(self) -> None:
        self._folders: dict[str, Path] = {}

    def folder(self, version: str) -> Path:
        """Where everything made of this version with today's sources is kept; older ones are removed."""
        if version not in self._folders:
            images = artefacts.artefacts(version)
            key = hashlib.sha256(f"{images.system.name} {images.installer.name} {_sources()}".encode())
            cache = base.default_cache()
            folder = cache / f"vm-{version}-{key.hexdigest()[:16]}"
            for old in cache.glob(f"vm-{version}-*"):
                if old != folder:
                    shutil.rmtree(old)
            folder.mkdir(parents=True, exist_ok=True)
            self._folders[version] = folder
        return self._folders[version]

    def iso(self, version: str) -> Path:
        name = f"engine-{version}.iso"
        return made(self.folder(version) / name, lambda out: mediakit("build-reference", version, "-o", out))

    def stick(self, version: str) -> Path:
        path = self.folder(version) / "stick.img"
        return made(path, lambda out: mediakit("write", self.iso(version), out, "--size", "2G", "--yes"))

    def installed(self, version: str = "5.0") -> Path:
        """A disk with a fresh Engine, made by ``mediakit install`` on a file; use overlays of it."""
        path = self.folder(version) / "disk.img"
        answers = self.folder(version) / "answers.toml"
        answers.write_text(fresh_answers())
        words = ("--action", "fresh", "--answers", answers, "--size", "12G", "--yes")
        return made(path, lambda out: mediakit("install", self.iso(version), out, *words))


def fresh_answers(action: str = "fresh", end: str = "poweroff") -> str:
    secret = run(["openssl", "passwd", "-6", "-salt", "vmtests", PASSWORD], timeout=20).text.strip()
    return f'''schema = 1
action = "{action}"
language = "en"
keyboard = "us"
licence = "accepted"
[system]
host_name = "engine-vm"
admin_password_hash = "{secret}"
time_zone = "UTC"
[network]
mode = "none"
[end]
action = "{end}"
'''


def engine_disk(file: Path, bus: Bus = Bus.SATA, boot: int = 0) -> Disk:
    return Disk(file, bus, "qcow2" if file.suffix == ".qcow2" else "raw", "ENGINE1", boot=boot)


def vm_store(disk: Path) -> tuple[int, int]:
    """Offset and size in bytes of engine-vms, as sfdisk sees the disk."""
    table = json.loads(run(["sfdisk", "--json", disk], timeout=30).text)["partitiontable"]
    part = next(p for p in table["partitions"] if p.get("name") == "engine-vms")
    return part["start"] * table["sectorsize"], part["size"] * table["sectorsize"]


def vm_store_sha256(disk: Path) -> str:
    """``written_sha256`` of the VM store."""
    return written_sha256(disk, *vm_store(disk))


def written_sha256(disk: Path, offset: int, size: int) -> str:
    """The hash of what was ever written into a span of a raw sparse disk, and where: a hole that is
    written, even with zeros, changes it."""
    digest = hashlib.sha256()
    with disk.open("rb", buffering=0) as file:
        place, end = offset, offset + size
        while place < end:
            try:
                start = os.lseek(file.fileno(), place, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            place = min(os.lseek(file.fileno(), start, os.SEEK_HOLE), end)
            if start < end:
                digest.update(f"{start - offset} {place - start} ".encode())
                for at in range(start, place, 16 << 20):
                    digest.update(os.pread(file.fileno(), min(16 << 20, place - at), at))
    return digest.hexdigest()


def fat_stick(iso: Path, out: Path) -> Path:
    """A stick with one FAT32 partition that holds the medium's files, as a file manager copies them."""
    tree = out.with_suffix(".tree")
    run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", tree], timeout=300)
    run(["chmod", "-R", "u+w", tree], timeout=60)
    return _fat_disk(out, sorted(tree.iterdir()))


def multiboot_stick(iso: Path, out: Path) -> Path:
    """A stick whose own GRUB loops the ISO file and reads its loopback.cfg, as multi-boot sticks do."""
    folder = out.with_suffix(".tree")
    (folder / "EFI/BOOT").mkdir(parents=True)
    (folder / "EFI/debian").mkdir()
    grub = ("/EFI/BOOT/grubx64.efi", folder / "EFI/BOOT/BOOTX64.EFI")
    run(["xorriso", "-osirrox", "on", "-indev", iso, "-extract", *grub], timeout=60)
    (folder / "EFI/debian/grub.cfg").write_text(
        "set iso_path=/engine.iso\nexport iso_path\nloopback loop $iso_path\nset root=loop\n"
        "configfile /boot/grub/loopback.cfg\n"
    )
    (folder / "engine.iso").symlink_to(iso)
    return _fat_disk(out, sorted(folder.iterdir()))


def _fat_disk(out: Path, contents: list[Path]) -> Path:
    with out.open("wb") as file:
        file.truncate(1 << 30)
    run(
        ["sfdisk", "-q", out],
        stdin=b"label: gpt\nstart=2048, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n",
        timeout=30,
    )
    place = f"{out}@@1M"
    run(["mformat", "-i", place, "-F", "-T", str((1 << 21) - 4096), "-h", "64", "-s", "32", "::"], timeout=60)
    run(["mcopy", "-Q", "-s", "-i", place, *contents, "::/"], timeout=600)
    return out
