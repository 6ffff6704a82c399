"""Owns the Engine medium: which files the ISO holds, its manifest and signature. Laying the files out is
``iso.builder``'s work.

The manifest lists every file outside /custom (the only place an edit changes) and hashes the areas that are
no file. It names offsets of the ISO that it is part of, so the ISO is written with a manifest of the right
length, and the true one is put into its place before the ISO gets its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from mediakit.engine import signature
from mediakit.engine.documents import dump
from mediakit.engine.manifest import (
    INSTALLER_PATH,
    PATH,
    SIGNATURE_PATH,
    SYSTEM_PATH,
    Area,
    Hole,
    Manifest,
    ManifestFile,
)
from mediakit.errors import DeviceError, MediakitError
from mediakit.formats import fat, grubenv
from mediakit.iso import builder
from mediakit.iso.builder import IsoFile, IsoLayout, IsoSpec
from mediakit.plain import dataclass
from mediakit.reference import slotimage
from mediakit.reference.bootfiles import BootFiles
from mediakit.reference.metadata import Metadata
from mediakit.units import KIB, MIB, align_up

BIOS_IMAGE = "/boot/grub/i386-pc/eltorito.img"
ANSWERS_BYTES = 16 * KIB
INDEX_BYTES = 16 * KIB
LANGUAGES = ("en", "es")
STARTED = ("boot/vmlinuz", "boot/initrd")
_SYSTEM_AREA = 32 * KIB  # ECMA-119 §6.2.1: sectors 0 to 15
_BOOT_INFO = (Hole(8, 56), Hole(2548, 8))  # boot info table; GRUB's own block pointer
_ANSWERS = """\
# Answers for an installation without questions (mediakit answers example prints one).
# This file has room for 16 KiB; without keys, as it is now, the installer asks.
"""


@dataclass(frozen=True)
class MediumSpec:
    """A medium to be: two squashfs images, what it is, boot files, certificate (DER), signing key."""

    system: Path
    installer: Path
    metadata: Metadata
    boot: BootFiles
    certificate: bytes
    key: signature.SecretKey


def build_medium(spec: MediumSpec, out: Path) -> Manifest:
    """Build, sign and lay out the ISO; returns its manifest. Errors of ``iso.builder.build_iso``."""
    files = tree(spec)
    digests = [ManifestFile(f.path, f.size_bytes, _sha256(f)) for f in files if not is_custom(f.path)]
    guess = _manifest(spec, digests, _guessed_areas(files))
    for _ in range(3):
        iso = _iso_spec(spec, files, guess)
        finished: list[Manifest] = []
        try:
            builder.build_iso(iso, out, finish=_finisher(spec, digests, guess, finished))
        except _LengthDiffersError as error:
            guess = error.manifest
            continue
        return finished[0]
    raise MediakitError("The manifest does not settle on a length.", "Report this.")


def tree(spec: MediumSpec) -> list[IsoFile]:
    """Every file of the medium but the manifest and its signature."""
    meta, boot = spec.metadata, spec.boot
    menu = fill_in(boot.medium_cfg, meta, marker(spec))
    texts = resources.files("mediakit.reference") / "licence"
    firmware = [
        ("/EFI/BOOT/BOOTX64.EFI", boot.shim),
        ("/EFI/BOOT/grubx64.efi", boot.grub_efi),
        ("/EFI/BOOT/mmx64.efi", boot.mokmanager),
        ("/EFI/debian/grub.cfg", menu),
        ("/ENGINE.CER", spec.certificate),
    ]
    install = [
        ("boot.img", boot.boot_img),
        ("core.img", boot.core_img),
        ("shimx64.efi", boot.shim),
        ("grubx64.efi", boot.grub_efi),
        ("mmx64.efi", boot.mokmanager),
        ("grub.cfg", boot.disk_cfg),
        ("ENGINE.CER", spec.certificate),
    ]
    files = [IsoFile(SYSTEM_PATH, spec.system), IsoFile(INSTALLER_PATH, spec.installer)]
    # UEFI's GRUB reads a file whole into its memory before it loops it (it measures it for a TPM). What the
    # medium starts lies beside the system image, not only in it: memory need not hold all of that.
    files += [IsoFile(f"/{name}", slotimage.read(spec.system, name)) for name in STARTED]
    files += [IsoFile(path, data) for path, data in firmware]
    files += [IsoFile(f"/engine/boot/{name}", data) for name, data in install]
    files += [IsoFile(f"/engine/licence/{n}.txt", (texts / f"{n}.txt").read_bytes()) for n in LANGUAGES]
    files += [
        IsoFile(f"/engine/{marker(spec)}", f"{meta.product} {meta.version} {meta.build}\n".encode()),
        IsoFile("/boot/grub/grub.cfg", menu),
        IsoFile("/boot/grub/loopback.cfg", boot.loopback_cfg),
        IsoFile(BIOS_IMAGE, boot.eltorito_img),
        IsoFile("/custom/bootenv", grubenv.build({}, 1024)),
        IsoFile("/custom/answers.toml", _ANSWERS.encode().ljust(ANSWERS_BYTES, b"\n")),
        IsoFile("/custom/index.json", empty_index()),
    ]
    return files


def empty_index() -> bytes:
    """The index of a medium that nobody customised, with room to grow."""
    return dump({"schema": 1, "by": "", "files": []}).ljust(INDEX_BYTES, b"\n")


def esp_image(spec: MediumSpec) -> bytes:
    """The FAT image behind El Torito's UEFI entry, which is also the stick's ESP."""
    meta, boot = spec.metadata, spec.boot
    files = [
        fat.FatFile("/EFI/BOOT/BOOTX64.EFI", boot.shim),
        fat.FatFile("/EFI/BOOT/grubx64.efi", boot.grub_efi),
        fat.FatFile("/EFI/BOOT/mmx64.efi", boot.mokmanager),
        fat.FatFile("/EFI/debian/grub.cfg", fill_in(boot.medium_cfg, meta, marker(spec))),
        fat.FatFile("/ENGINE.CER", spec.certificate),
    ]
    size_bytes = align_up(sum(len(file.data) for file in files) + MIB, MIB)
    serial = int.from_bytes(hashlib.sha256(marker(spec).encode()).digest()[:4], "big")
    return fat.build(size_bytes, files, label="ENGINE-BOOT", serial=serial, timestamp=meta.epoch).to_bytes()


def marker(spec: MediumSpec) -> str:
    """The name of a file under /engine that no other build has: how GRUB tells this medium from another."""
    digest = hashlib.sha256(repr(spec.metadata).encode())
    for path in (spec.system, spec.installer):
        digest.update(_file_sha256(path).encode())
    return f"{spec.metadata.version}-{spec.metadata.build}-{digest.hexdigest()[:12]}.id"


def fill_in(menu: bytes, meta: Metadata, name: str) -> bytes:
    """The medium's grub.cfg with version, build and marker."""
    text = menu.decode().replace("@MARKER@", name)
    return text.replace("@VERSION@", meta.version).replace("@BUILD@", str(meta.build)).encode()


def is_custom(path: str) -> bool:
    """Whether ``path`` is what an edit may change, and the manifest therefore does not list."""
    return path.startswith("/custom/")


class _LengthDiffersError(Exception):
    """The true manifest is longer or shorter than the one the ISO was written with."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        self.manifest = manifest


def _finisher(
    spec: MediumSpec, digests: list[ManifestFile], guess: Manifest, finished: list[Manifest]
) -> Callable[[Path, IsoLayout], None]:
    def finish(path: Path, layout: IsoLayout) -> None:
        # What xorriso itself made or patched is hashed as it stands in the ISO.
        made = {BIOS_IMAGE, builder.CATALOG_PATH, builder.ALIGNMENT_PATH}
        with path.open("r+b") as file:

            def read(offset: int, size_bytes: int) -> bytes:
                file.seek(offset)
                return file.read(size_bytes)

            files = [entry for entry in digests if entry.path not in made]
            for name in sorted(made):
                offset, size_bytes = layout.files[name]
                files.append(
                    ManifestFile(name, size_bytes, hashlib.sha256(read(offset, size_bytes)).hexdigest())
                )
            manifest = _manifest(spec, files, _areas(layout, read))
            if len(manifest.to_bytes()) != len(guess.to_bytes()):
                raise _LengthDiffersError(manifest)
            for name, data in _signed(spec, manifest).items():
                offset, size_bytes = layout.files[name]
                if size_bytes != len(data):
                    raise DeviceError(
                        f"{name} has {size_bytes} bytes in the ISO, not {len(data)}.", "Report this."
                    )
                file.seek(offset)
                file.write(data)
        finished.append(manifest)

    return finish


def _areas(layout: IsoLayout, read: Callable[[int, int], bytes]) -> list[Area]:
    """What is no file. Holes: disk id and partition entries (Windows, ``write``), the GPT, the boot info."""
    bios, bios_size = layout.files[BIOS_IMAGE]
    holes = (Hole(440, 70), Hole(512, _SYSTEM_AREA - 512))
    shapes = [
        ("system-area", 0, _SYSTEM_AREA, holes),
        ("el-torito-bios", bios, bios_size, _BOOT_INFO),
        ("esp", *layout.esp, ()),
    ]
    areas = []
    for name, offset, size_bytes, gaps in shapes:
        data = bytearray(read(offset, size_bytes))
        for hole in gaps:
            data[hole.offset_bytes : hole.offset_bytes + hole.size_bytes] = bytes(hole.size_bytes)
        areas.append(Area(name, offset, size_bytes, hashlib.sha256(data).hexdigest(), gaps))
    return areas


def _guessed_areas(files: list[IsoFile]) -> list[Area]:
    """Areas whose numbers have, most likely, as many digits as the true ones."""
    total = sum(align_up(file.size_bytes, builder.BLOCK) for file in files) + MIB
    bios = next(file.size_bytes for file in files if file.path == BIOS_IMAGE)
    layout = IsoLayout({BIOS_IMAGE: (total, bios)}, (total, 8 * MIB), total)
    return _areas(layout, lambda offset, size_bytes: b"")


def _manifest(spec: MediumSpec, files: list[ManifestFile], areas: list[Area]) -> Manifest:
    meta = spec.metadata
    listed = {entry.path for entry in files}
    extra = {builder.ALIGNMENT_PATH: 500 * KIB, builder.CATALOG_PATH: builder.BLOCK}
    files = files + [ManifestFile(p, size, "0" * 64) for p, size in extra.items() if p not in listed]
    return Manifest(
        product=meta.product,
        version=meta.version,
        build=meta.build,
        arch=meta.arch,
        created=meta.created,
        layout=meta.layout,
        upgrade_from=meta.upgrade_from,
        pv_driver=meta.pv_driver,
        min_ram_bytes=meta.min_ram_bytes,
        min_disk_bytes=meta.min_disk_bytes,
        files=tuple(sorted(files, key=lambda f: f.path)),
        areas=tuple(areas),
    )


def _signed(spec: MediumSpec, manifest: Manifest) -> dict[str, bytes]:
    data = manifest.to_bytes()
    comment = f"{manifest.product} {manifest.version} build {manifest.build}"
    return {PATH: data, SIGNATURE_PATH: signature.sign(data, spec.key, comment).encode()}


def _iso_spec(spec: MediumSpec, files: list[IsoFile], manifest: Manifest) -> IsoSpec:
    meta = spec.metadata
    name = meta.version.replace(".", "_")
    return IsoSpec(
        files=(*files, *(IsoFile(path, data) for path, data in _signed(spec, manifest).items())),
        volume_id=f"ENGINE_{name}",
        bios_image=BIOS_IMAGE,
        hybrid_mbr=spec.boot.hybrid_img,
        esp_image=esp_image(spec),
        first=(SYSTEM_PATH, INSTALLER_PATH),
        identity=marker(spec),
        created=meta.epoch,
        publisher=meta.product.upper(),
    )


def _sha256(file: IsoFile) -> str:
    source = file.source
    return hashlib.sha256(source).hexdigest() if isinstance(source, bytes) else _file_sha256(source)


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
