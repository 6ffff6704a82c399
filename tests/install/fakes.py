"""A small but real Engine medium in a folder: a real squashfs, GRUB's real images, a real signature."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from mediakit import run
from mediakit.engine import image, keys, manifest, release, signature
from mediakit.units import GIB

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "mediakit/reference/keys"
DISK_BYTES = 8 * GIB


def make_medium(
    folder: Path, version: str = "5.0", build: int = 5000, *, filler: bytes = b"", signed: bool = True
) -> Path:
    """The medium's folder."""
    system = folder / "system"
    (system / "boot").mkdir(parents=True)
    for name in ("xen.gz", "vmlinuz", "initrd", "xen.efi"):
        (system / "boot" / name).write_bytes(name.encode() * 5000 + filler)
    key_folder = system / "usr/share/engine/keys"
    key_folder.mkdir(parents=True)
    shutil.copy(KEYS / "engine-test.pub", key_folder / "engine-test.pub")
    facts = release.Release("Engine", version, build, "x86_64", 2)
    (system / "usr/lib/engine").mkdir(parents=True)
    (system / "usr/lib/engine/release.json").write_bytes(facts.to_bytes())
    boot = folder / "engine" / "boot"
    boot.mkdir(parents=True)
    squashed = folder / "engine" / "system.squashfs"
    run.run(["mksquashfs", str(system), str(squashed), "-comp", "gzip", "-quiet", "-no-progress"], timeout=60)
    shutil.rmtree(system)
    grub = Path("/usr/lib/grub/i386-pc")
    (boot / "boot.img").write_bytes((grub / "boot.img").read_bytes())
    core = (grub / "diskboot.img").read_bytes() + (grub / "kernel.img").read_bytes()
    (boot / "core.img").write_bytes(core)
    for name in ("shimx64.efi", "grubx64.efi", "mmx64.efi", "grub.cfg", "ENGINE.CER"):
        (boot / name).write_bytes(f"{name} of {version}\n".encode() * 3000)
    files = tuple(_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file())
    document = manifest.Manifest(
        "Engine", version, build, "x86_64", "2024-01-01T00:00:00Z", 2, (1, 2), version, GIB, 6 * GIB, files
    )
    write_manifest(folder, document, signed=signed)
    return folder


def write_manifest(folder: Path, document: manifest.Manifest, *, signed: bool = True) -> None:
    data = document.to_bytes()
    (folder / "engine" / "manifest.json").write_bytes(data)
    if signed:
        secret = keys.load_secret_file(KEYS / "engine-test.key")
        text = signature.sign(data, secret, f"Engine {document.version}")
        (folder / "engine" / "manifest.json.minisig").write_text(text)


def open_medium(folder: Path) -> image.EngineImage:
    return image.open_engine(folder)


def sparse_disk(path: Path, size_bytes: int = DISK_BYTES) -> Path:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def digest(path: Path, start: int, size: int) -> str:
    """SHA-256 of a range; blocks of zeros count by their place only, so holes cost nothing."""
    found = hashlib.sha256()
    position, end = start, start + size
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while position < end:
            try:
                position = max(position, os.lseek(descriptor, position, os.SEEK_DATA))
            except OSError:
                break
            position -= (position - start) % 4096
            block = os.pread(descriptor, min(4096, max(0, end - position)), position)
            if block.strip(b"\0"):
                found.update(str(position - start).encode() + block)
            position += 4096
    finally:
        os.close(descriptor)
    return found.hexdigest()


def _entry(folder: Path, path: Path) -> manifest.ManifestFile:
    data = path.read_bytes()
    name = "/" + str(path.relative_to(folder))
    return manifest.ManifestFile(name, len(data), hashlib.sha256(data).hexdigest())
