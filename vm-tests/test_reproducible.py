"""The same inputs give the same bytes, wherever and whenever they are built."""

from __future__ import annotations

import sys
from pathlib import Path

from mediakit.run import run


def test_two_builds_from_nothing_are_the_same_file(product, tmp_path: Path) -> None:
    first, second = product.iso("5.1"), tmp_path / "elsewhere" / "again.iso"
    second.parent.mkdir()
    cache = tmp_path / "cache"
    environment = {"XDG_CACHE_HOME": str(cache), "TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "mediakit", "build-reference", "5.1", "-o", second]
    run(command, timeout=3600, env=environment, cwd=second.parent)
    assert list(cache.glob("mediakit/base-*")), "it was not built there"
    run(["cmp", first, second], timeout=600)
