"""The locked Python distributions that go into the images: fetched as wheels by pip, checked by hash.

Debian's own versions are years older. Only wheels that run on the image's Python (3.11) and C library are
taken, whatever Python builds the image; what pip installed is cached under a key of the locked lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import mediakit
from mediakit.errors import SourceError
from mediakit.reference.base import remove
from mediakit.run import run

_PLATFORMS = tuple(f"manylinux{tag}_x86_64" for tag in ("_2_34", "_2_28", "_2_17", "2014"))


def lock_file() -> Path:
    """``requirements.lock`` of the source tree; SourceError where mediakit is installed without one."""
    path = Path(mediakit.__file__).parent.parent / "requirements.lock"
    if not path.is_file():
        raise SourceError(
            "The lock file of the Python dependencies is not here.", "Build images from a source checkout."
        )
    return path


def locked(text: str, names: Iterable[str]) -> str:
    """The lines of the lock ``text`` for ``names``, with their hashes; SourceError if one is missing."""
    entries = {
        re.split(r"[=\[ ]", block, maxsplit=1)[0].lower(): block.rstrip()
        for block in re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)
        if "==" in block
    }
    missing = [name for name in names if name not in entries]
    if missing:
        raise SourceError(f"The lock file lists no {', '.join(missing)}.", "Renew requirements.lock.")
    return "".join(f"{entries[name].lstrip()}\n" for name in names)


def install(names: Iterable[str], target: Path, cache: Path) -> None:
    """Put the distributions ``names`` at their locked versions into ``target``."""
    lines = locked(lock_file().read_text(), names)
    key = hashlib.sha256(lines.encode() + Path(__file__).read_bytes()).hexdigest()[:16]
    folder = cache / f"wheels-{key}"
    if not folder.is_dir():
        _fetch(lines, folder, cache)
    shutil.copytree(folder, target, dirs_exist_ok=True)


def _fetch(lines: str, folder: Path, cache: Path) -> None:
    scratch = cache / f".wheels-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    requirements = scratch / "requirements.txt"
    requirements.write_text(lines)
    options = [option for platform in _PLATFORMS for option in ("--platform", platform)]
    try:
        run(
            [
                sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--no-compile",
                "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11",
                "--implementation", "cp", *options, "--target", scratch / "tree",
                "--requirement", requirements,
            ],
            timeout=600,
        )  # fmt: skip
        for path in [scratch / "tree/bin", scratch / "tree/share", *scratch.glob("tree/**/__pycache__")]:
            remove(path)
        (scratch / "tree").rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
