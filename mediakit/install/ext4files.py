"""Files of an ext4 at an offset of a disk, read by debugfs: nothing is mounted, no journal is replayed.

debugfs is told the filesystem is catastrophically damaged (``-c``), which means read-only and no bitmaps.
Sizes are looked at before anything is fetched, names are held to a safe alphabet: the disk may be hostile.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from mediakit import run
from mediakit.plain import dataclass
from mediakit.units import KIB, align_up

LIMIT_BYTES = 1 << 20
_BLOCK_BYTES = 4 * KIB
_SECONDS = 20.0
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]{0,63}")
_MOST_ENTRIES = 1000
_MOST_FOLDERS = 64


@dataclass(frozen=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool
    is_file: bool
    size_bytes: int


class Ext4Files:
    """The filesystem at ``offset`` of the disk or file ``path``."""

    def __init__(self, path: str, offset: int) -> None:
        self._place = f"{run.safe_path(path)}?offset={offset}"

    def folder(self, path: str) -> list[Entry]:
        """What is in folder ``path``; empty when there is none or it cannot be read."""
        found = []
        for line in self._ask([f"ls -p {path}"]).splitlines():
            words = line.split("/")
            if len(words) < 7 or not words[2].isdigit() or not _SAFE.fullmatch(words[5]):
                continue
            kind = int(words[2], 8) >> 12
            size = int(words[6]) if words[6].isdigit() else 0
            found.append(Entry(words[5], kind == 4, kind == 8, size))
            if len(found) >= _MOST_ENTRIES:
                break
        return found

    def tree_bytes(self, path: str) -> int:
        """What the tree below ``path`` takes up in blocks of 4 KiB; ``_MOST_FOLDERS`` folders of it count."""
        total, waiting, looked = 0, [path], 0
        while waiting and looked < _MOST_FOLDERS:
            folder = waiting.pop()
            looked += 1
            total += _BLOCK_BYTES
            for entry in self.folder(folder):
                if entry.is_folder:
                    waiting.append(f"{folder}/{entry.name}")
                else:
                    total += align_up(entry.size_bytes, _BLOCK_BYTES)
        return total

    def read(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The ordinary files among ``paths`` that are there and no larger than 1 MiB."""
        wanted = []
        for folder in dict.fromkeys(path.rpartition("/")[0] or "/" for path in paths):
            prefix = folder.rstrip("/")
            wanted += [
                f"{prefix}/{entry.name}"
                for entry in self.folder(folder)
                if entry.is_file and entry.size_bytes <= LIMIT_BYTES
            ]
        wanted = [path for path in paths if path in wanted]
        if not wanted:
            return {}
        with tempfile.TemporaryDirectory(prefix="engine-look-") as folder_name:
            root = Path(folder_name)
            self._ask([f"dump {path} {root / str(number)}" for number, path in enumerate(wanted)])
            return {
                path: (root / str(number)).read_bytes()
                for number, path in enumerate(wanted)
                if (root / str(number)).is_file()
            }

    def _ask(self, commands: list[str]) -> str:
        script = "\n".join(commands).encode() + b"\n"
        done = run.run(["debugfs", "-c", "-f", "-", self._place], stdin=script, timeout=_SECONDS, check=False)
        return done.text
