"""Small ISOs made by xorriso, with and without what makes them an Engine's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mediakit import iso, run
from mediakit.engine import manifest
from mediakit.engine.manifest import Area, Hole
from tests.engine import medium

HOLE = Hole(440, 6)


def make(folder: Path, out: Path) -> Path:
    """The tree in ``folder`` as an ISO with Rock Ridge and Joliet."""
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", out, folder], timeout=60)
    return out


def make_engine(tmp_path: Path) -> Path:
    """An Engine ISO whose system area is an area with a hole; its manifest is put in afterwards."""
    boot = bytearray(hashlib.sha512(b"boot").digest() * 512)
    boot[440:446] = bytes(6)
    area = Area("system-area", 0, len(boot), hashlib.sha256(boot).hexdigest(), (HOLE,))
    path = make(medium.make(tmp_path / "tree", areas=(area,)), tmp_path / "engine.iso")
    with path.open("r+b") as file:
        file.write(boot)
        file.seek(440)
        file.write(b"WINDOW")
    return path


def place(path: Path, name: str) -> int:
    """Where the bytes of ``name`` begin in the ISO."""
    with iso.open_image(path) as image:
        return image.extents(name)[0].offset_bytes


def flip(path: Path, offset: int) -> None:
    """Change one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


__all__ = ["flip", "make", "make_engine", "manifest", "place"]
