"""``system.squashfs``: the base tree, mediakit, the locked wheels, the overlay, and /boot. The exact bytes of
a slot. Builds in a copy; the cached base is never touched."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import mediakit
from mediakit.engine.release import PATH as RELEASE_PATH
from mediakit.engine.release import Release
from mediakit.progress import Event, Observer, ignore
from mediakit.reference import base, recipe, squash, wheels, xen_efi
from mediakit.reference.initrd import build_initrd
from mediakit.reference.recipe import FILES, Recipe
from mediakit.reference.versions import Version, find

KEYS = Path(__file__).parent / "keys"
_PACKAGES = "usr/lib/python3/dist-packages"
_LEFT_OUT = ("reference", "vm", "__pycache__")
"""Parts of mediakit that an Engine has no use for."""


def build_system(
    version: str,
    out: Path,
    cache: Path,
    *,
    non_free_firmware: bool = False,
    sb_key: Path = KEYS / "sb-test.key",
    sb_cert: Path = KEYS / "sb-test.crt",
    observer: Observer = ignore,
) -> Path:
    """Build the system image of reference version ``version`` at ``out``; a minute on a warm cache."""
    described, parts = find(version), recipe.load()
    tree = base.base_tree(parts, cache, non_free_firmware=non_free_firmware, observer=observer)
    observer(Event("phase", phase="system", message=f"The system image of Engine {version}."))
    with squash.working_copy(tree, cache) as work:
        squash.overlay(FILES / "system", work)
        squash.mask(work, parts.masked)
        squash.enable(work, parts.system_units)
        squash.link(work / "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
        _python(work, parts, cache)
        _identity(work, described)
        _boot(work, parts, cache, sb_key, sb_cert)
        squash.make_squashfs(work, out)
    return out


def install_mediakit(work: Path, packages: str = _PACKAGES) -> None:
    """Put the source of mediakit as it runs now below ``packages``."""
    source = Path(mediakit.__file__).parent
    for path in mediakit_files():
        squash.put(work / packages / "mediakit" / path.relative_to(source), path.read_bytes())


def mediakit_files() -> Iterator[Path]:
    """The files of mediakit that an Engine carries: all but what builds images and boots them in QEMU."""
    source = Path(mediakit.__file__).parent
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and parts[0] not in _LEFT_OUT and "__pycache__" not in parts:
            yield path


def boot_files(work: Path) -> tuple[Path, Path, Path]:
    """Kernel, Xen for multiboot2 (gzip) and Xen for UEFI, as the packages put them into /boot."""
    boot = work / "boot"
    return (
        next(boot.glob("vmlinuz-*")),
        next(path for path in sorted(boot.glob("xen-*.gz"))),
        next(path for path in sorted(boot.glob("xen-*.efi"))),
    )


def _python(work: Path, parts: Recipe, cache: Path) -> None:
    wheels.install(parts.system_python, work / _PACKAGES, cache)
    install_mediakit(work)
    base.compile_python(work, f"/{_PACKAGES}")


def _identity(work: Path, version: Version) -> None:
    release = Release(version.product, version.version, version.build, version.arch, version.layout)
    squash.put(work / RELEASE_PATH.lstrip("/"), release.to_bytes())
    squash.put(work / "etc/engine/pv-driver", f"{version.pv_driver}\n".encode())
    squash.put(work / "etc/motd", f"Engine {version.version} (build {version.build})\n".encode())
    squash.put(
        work / "usr/share/engine/keys/engine-test.pub", (KEYS / "engine-test.pub").read_bytes()
    )  # fmt: skip
    for folder in ("engine/state", "engine/vms"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    if version.tool_bytes:
        squash.put(work / "usr/lib/engine/drivers.bin", _payload(version))


def _payload(version: Version) -> bytes:
    """What this version brings along beside Debian: the guests' drivers; incompressible, repeatable."""
    blocks = (
        hashlib.sha256(f"{version.version} {number}".encode()).digest()
        for number in range(version.tool_bytes // 32)
    )
    return b"".join(blocks)


def _boot(work: Path, parts: Recipe, cache: Path, sb_key: Path, sb_cert: Path) -> None:
    """/boot under the names that every grub.cfg uses; the unified xen.efi is cached, signing included."""
    kernel, xen, xen_for_efi = boot_files(work)
    squash.put(work / "boot/vmlinuz", kernel.read_bytes())
    squash.put(work / "boot/xen.gz", _gzip(xen))
    release = base.kernel_version(work)
    squash.put(work / "boot/initrd", build_initrd(work, release, parts.initrd_modules))
    unified = cache / f"xen-{_key(work, xen_for_efi, sb_key, sb_cert)}.efi"
    if not unified.exists():
        partial = unified.with_suffix(".partial")
        xen_efi.unify(
            xen_for_efi,
            work / "boot/vmlinuz",
            work / "boot/initrd",
            partial,
            sb_key,
            sb_cert,
            signing_time=base.epoch(),
        )
        partial.replace(unified)
    squash.put(work / "boot/xen.efi", unified.read_bytes())
    for path in (kernel, xen, xen_for_efi):
        base.remove(path)


def _gzip(path: Path) -> bytes:
    """Debian's file as it is: GRUB unpacks it while loading."""
    data = path.read_bytes()
    gzip.decompress(data)
    return data


def _key(work: Path, xen_for_efi: Path, sb_key: Path, sb_cert: Path) -> str:
    digest = hashlib.sha256(str(base.epoch()).encode())
    code = [Path(xen_efi.__file__), Path(xen_efi.__file__).with_name("cmdline.py")]
    for path in (xen_for_efi, work / "boot/vmlinuz", work / "boot/initrd", sb_key, sb_cert, *code):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
