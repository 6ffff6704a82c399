"""``installer.squashfs``: what the medium lays over system.squashfs when it boots. Textual, the screens, and
the units that put them on the first virtual terminal and on the serial line."""

from __future__ import annotations

from pathlib import Path

import mediakit
from mediakit.errors import SourceError
from mediakit.progress import Event, Observer, ignore
from mediakit.reference import base, recipe, squash, wheels
from mediakit.reference.recipe import FILES

_PACKAGES = "usr/lib/python3/dist-packages"
_LAYER = "layer"


def build_installer(out: Path, cache: Path, *, tree: Path, observer: Observer = ignore) -> Path:
    """Build the installer's layer at ``out``; ``tree`` is the base whose Python compiles it."""
    observer(Event("phase", phase="installer", message="The installer's layer."))
    parts = recipe.load()
    with squash.working_copy(tree, cache) as work:
        layer = work / _LAYER
        layer.mkdir()
        wheels.install(parts.installer_python, layer / _PACKAGES, cache)
        _screens(layer)
        squash.overlay(FILES / "installer", layer)
        squash.enable(layer, parts.installer_units)
        squash.mask(layer, parts.installer_masked)
        base.compile_python(work, f"/{_LAYER}/{_PACKAGES}", strip=f"/{_LAYER}")
        squash.make_squashfs(layer, out)
    return out


def _screens(layer: Path) -> None:
    """``installer_ui`` as it is in the source tree, beside mediakit."""
    source = Path(mediakit.__file__).parent.parent / "installer_ui"
    if not source.is_dir():
        raise SourceError("The installer's screens are not here.", "Build images from a source checkout.")
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            squash.put(layer / _PACKAGES / "installer_ui" / path.relative_to(source), path.read_bytes())
