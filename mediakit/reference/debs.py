"""Owns fetching single Debian packages without installing them: apt resolves and verifies, dpkg-deb unpacks.

Some packages must not be installed where images are built (the postinst of shim and GRUB touch ESPs). The
machine's apt configuration decides from where they come; versions and SHA-256 make the key of what is built
from them. Never installs, never writes outside the cache.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mediakit import run
from mediakit.errors import MediakitError
from mediakit.plain import dataclass

_HINT = "Run apt update, and look whether this machine's apt sources hold Debian 12 (bookworm) main."


@dataclass(frozen=True)
class Deb:
    """One package file as apt would fetch it now."""

    file_name: str
    checksum: str

    @property
    def version(self) -> str:
        return self.file_name.split("_")[1]


def resolve(packages: Sequence[str], cache: Path) -> tuple[Deb, ...]:
    """What ``apt-get download`` would fetch for ``packages``, in their order; needs apt's lists only."""
    cache.mkdir(parents=True, exist_ok=True)
    # In a folder that already holds the file, apt would not name it.
    with tempfile.TemporaryDirectory(dir=cache) as empty:
        try:
            done = run.run(
                ["apt-get", "download", "--print-uris", "-qq", *packages], timeout=120, cwd=Path(empty)
            )
        except run.ToolError as error:
            raise MediakitError(f"apt does not know these packages: {', '.join(packages)}.", _HINT) from error
    found = [Deb(words[1], words[3]) for line in done.text.splitlines() if len(words := line.split()) >= 4]
    by_name = {deb.file_name.split("_")[0]: deb for deb in found}
    missing = [name for name in packages if name not in by_name]
    if missing:
        raise MediakitError(f"apt offers no file for: {', '.join(missing)}.", _HINT)
    return tuple(by_name[name] for name in packages)


def unpack(packages: Sequence[str], cache: Path, target: Path) -> tuple[Deb, ...]:
    """Fetch what is not in ``cache`` yet and unpack all of it, without scripts, into ``target``."""
    debs = resolve(packages, cache)
    for package, deb in zip(packages, debs, strict=True):
        stored = cache / deb.file_name
        if not stored.exists():
            _download(package, deb, cache)
        run.run(["dpkg-deb", "-x", stored, target], timeout=120)
    return debs


def _download(package: str, deb: Deb, cache: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        try:
            run.run(["apt-get", "download", "-qq", package], timeout=600, cwd=Path(scratch))
        except run.ToolError as error:
            raise MediakitError(f"Fetching {package} failed: {error.message}", _HINT) from error
        fetched = [path for path in Path(scratch).iterdir() if path.suffix == ".deb"]
        if len(fetched) != 1:
            raise MediakitError(f"apt fetched {len(fetched)} files for {package}, not one.", _HINT)
        shutil.move(fetched[0], cache / deb.file_name)


def default_cache() -> Path:
    """Where builds keep what they can make again: ``$XDG_CACHE_HOME/mediakit``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mediakit"
