"""Runs the tools that make images so that they make the same bytes every time: time, chance, owners and the
order of files on disk have no say (``still.c``). What the tests fuzz is then the same on every machine.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mediakit import run
from mediakit.run import Argument

MOMENT = 1_600_000_000
"""The time of everything, in seconds since 1970."""
FIRST_NUMBER = 1000
NUMBERS = 10_000_000
"""Below it, a modification time is a file's number."""
_SOURCE = Path(__file__).with_name("still.c")


def tool(argv: Sequence[Argument], *trees: Path, timeout: float = 600) -> None:
    """Run ``argv``, which reads ``trees``; their files' times are set to numbers."""
    number(*trees)
    library = _library()
    # found by its name, since LD_PRELOAD cannot hold a path with a space
    env = {"LD_LIBRARY_PATH": str(library.parent), "LD_PRELOAD": library.name}
    run.run(argv, timeout=timeout, env=env | {"SOURCE_DATE_EPOCH": str(MOMENT), "TZ": "UTC0"})


def number(*trees: Path) -> None:
    """Give each file a number of its own, in the order of their names."""
    paths = [path for tree in trees for path in (tree, *sorted(tree.rglob("*")))]
    for count, path in enumerate(paths, FIRST_NUMBER):
        os.utime(path, (count, count), follow_symlinks=False)


def cache_folder() -> Path:
    """Where tests keep what takes long to make."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediakit" / "test-images"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@cache
def _library() -> Path:
    """``still.c``, compiled once for all."""
    words = [f"-DSTILL_MOMENT={MOMENT}", f"-DSTILL_NUMBERS={NUMBERS}", "-O1", "-shared", "-fPIC"]
    digest = hashlib.sha256(_SOURCE.read_bytes() + " ".join(words).encode()).hexdigest()
    library = cache_folder() / f"still-{digest[:16]}.so"
    if not library.exists():
        part = library.with_suffix(f".{os.getpid()}")
        run.run(["gcc", *words, "-o", part, _SOURCE, "-ldl"], timeout=60)
        part.rename(library)
    return library
