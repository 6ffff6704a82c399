"""The built images of a reference version, from the cache where their inputs have not changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import mediakit
from mediakit.progress import Observer, ignore
from mediakit.reference import base, installer, recipe, system, wheels
from mediakit.reference.versions import Version, find
from mediakit.units import MIB


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
    folder = cache or base.default_cache()
    tree = base.base_tree(recipe.load(), folder, non_free_firmware=non_free_firmware, observer=observer)
    described = find(version)
    key = _key(tree, described)
    target = folder / f"engine-{version}-{key}"
    target.mkdir(parents=True, exist_ok=True)
    system_image, installer_image = target / "system.squashfs", target / "installer.squashfs"
    if not system_image.exists():
        system.build_system(
            version, system_image, folder, non_free_firmware=non_free_firmware, observer=observer
        )
    if not installer_image.exists():
        installer.build_installer(installer_image, folder, tree=tree, observer=observer)
    return Artefacts(described, system_image, installer_image)


def _key(tree: Path, version: Version) -> str:
    """Of everything that goes into the images and is not in the base: our own files and the lock."""
    root = Path(mediakit.__file__).parent
    sources = [path for top in (root, root.parent / "installer_ui") for path in sorted(top.rglob("*"))]
    digest = hashlib.sha256(f"{tree.name} {version!r} {base.epoch()}".encode())
    for path in [*sources, wheels.lock_file()]:
        if path.is_file() and "__pycache__" not in path.parts and path.stat().st_size < 4 * MIB:
            digest.update(f"{path.relative_to(root.parent)} {path.stat().st_mode & 0o100}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
