"""The built images of a reference version, from the cache where their inputs have not changed.

Each image has a key of its own: a changed screen costs a new installer layer (seconds), not a new system.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import mediakit
from mediakit.plain import dataclass
from mediakit.progress import Observer, ignore
from mediakit.reference import base, installer, recipe, system, wheels
from mediakit.reference.versions import Version, find

_KEPT = {"base-*": 3, "system-*": 8, "installer-*": 8, "xen-*.efi": 8}
"""How many of each the cache keeps; the oldest go."""


@dataclass(frozen=True)
class Artefacts:
    """Where the two layers of a version lie."""

    version: Version
    system: Path
    installer: Path


def artefacts(
    version: str, cache: Path | None = None, *, non_free_firmware: bool = False, observer: Observer = ignore
) -> Artefacts:
    """System and installer image of ``version``, built if sources, recipe or base have changed."""
    described = find(version)
    folder = cache or base.default_cache()
    parts = recipe.load()
    tree = base.base_tree(parts, folder, non_free_firmware=non_free_firmware, observer=observer)
    common = f"{tree.name} {parts!r} {base.epoch()} {_digest([wheels.lock_file(), *_builders()])}"
    system_key = _short(f"{common} {described!r} {_digest(_system_sources())}")
    installer_key = _short(f"{common} {_digest(_installer_sources())}")
    system_image = folder / f"system-{version}-{system_key}.squashfs"
    installer_image = folder / f"installer-{installer_key}.squashfs"
    if not system_image.exists():
        system.build_system(
            version, system_image, folder, non_free_firmware=non_free_firmware, observer=observer
        )
    if not installer_image.exists():
        installer.build_installer(installer_image, folder, tree=tree, observer=observer)
    for path in (tree, system_image, installer_image):
        path.touch()
    prune(folder)
    return Artefacts(described, system_image, installer_image)


def prune(folder: Path) -> None:
    """Take the oldest artefacts out of the cache."""
    for pattern, count in _KEPT.items():
        found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in found[count:]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _builders() -> Iterator[Path]:
    """The code that makes the images, by the modules that it lies in."""
    folder = Path(__file__).parent
    names = ("squash", "wheels", "initrd", "cpio", "xen_efi", "cmdline", "signing", "system", "installer")
    return (folder / f"{name}.py" for name in names)


def _system_sources() -> Iterator[Path]:
    yield from system.mediakit_files()
    for name in ("files/system", "files/initrd", "keys"):
        yield from _files(Path(__file__).parent / name)


def _installer_sources() -> Iterator[Path]:
    yield from _files(Path(mediakit.__file__).parent.parent / "installer_ui")
    yield from _files(Path(__file__).parent / "files/installer")


def _files(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    ]  # fmt: skip


def _digest(paths: list[Path] | Iterator[Path]) -> str:
    root = Path(mediakit.__file__).parent.parent
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root)} {path.stat().st_mode & 0o100}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
