"""Who uses which block device right now: mounts of every visible namespace, swap, the medium we booted from.

A snapshot is plain data, so that ``safety`` judges without I/O.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import field
from pathlib import Path

from mediakit.block import sysfs
from mediakit.block.loops import Loop, attached, file_id
from mediakit.plain import dataclass

PROC = Path("/proc")
BOOT_JSON = Path("/run/engine/boot.json")


@dataclass(frozen=True)
class Usage:
    """Device numbers are ``major:minor``; files are named by ``loops.file_id``."""

    mounts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    swaps: frozenset[str] = frozenset()
    swap_files: frozenset[str] = frozenset()
    booted: frozenset[str] = frozenset()
    btrfs: frozenset[str] = frozenset()
    loops: tuple[Loop, ...] = ()


def snapshot() -> Usage:
    """Look at this machine once."""
    swaps, swap_files = _swaps()
    return Usage(_all_mounts(), swaps, swap_files, _booted(), _btrfs(), attached())


def parse_mountinfo(text: str) -> list[tuple[str, str, str]]:
    """(device number, mount point, source) a line of ``/proc/PID/mountinfo`` (proc(5))."""
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        words, rest = left.split(), right.split()
        if dash and len(words) >= 5 and len(rest) >= 2:
            found.append((words[2], _unescape(words[4]), _unescape(rest[1])))
    return found


def number_of(path: str | Path) -> str:
    """``major:minor`` of a block device node; empty when ``path`` is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    if not stat.S_ISBLK(status.st_mode):
        return ""
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _unescape(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _all_mounts() -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    seen: set[str] = set()
    for process in ("self", *(entry.name for entry in os.scandir(PROC) if entry.name.isdigit())):
        try:
            namespace = str(Path(f"{PROC}/{process}/ns/mnt").readlink())
            if namespace in seen:
                continue
            text = (PROC / process / "mountinfo").read_text(errors="surrogateescape")
        except OSError:
            continue  # it ended meanwhile, or is another user's
        seen.add(namespace)
        for number, point, source in parse_mountinfo(text):
            # btrfs and others mount under an anonymous number (major 0): then the source names the device,
            # bcachefs' all of them
            names = source.split(":") if "/" in source else []
            anonymous = [number_of(name) for name in (source, *names) if name]
            for real in (number,) if not number.startswith("0:") else filter(None, anonymous):
                found.setdefault(real, {})[point] = None
    return {number: tuple(points) for number, points in found.items()}


def _swaps() -> tuple[frozenset[str], frozenset[str]]:
    try:
        lines = (PROC / "swaps").read_text().splitlines()[1:]
    except OSError:
        return frozenset(), frozenset()
    numbers, files = set(), set()
    for path in (_unescape(line.split()[0]) for line in lines if line.split()):
        try:
            status = Path(path).stat()
        except OSError:
            continue  # made in a place that we do not see
        if stat.S_ISBLK(status.st_mode):
            numbers.add(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
        else:
            files.add(file_id(status.st_dev, status.st_ino))
    return frozenset(numbers), frozenset(files)


def _booted() -> frozenset[str]:
    try:
        document = json.loads(BOOT_JSON.read_text())
    except (OSError, ValueError):
        return frozenset()
    if not isinstance(document, dict):
        return frozenset()
    # An installed Engine writes its own boot partition: the good mark, the boot choice of an update.
    keys = ("disk", "slot_device") if document.get("kind") == "slot" else ("device", "disk")
    names = [document.get(key) for key in keys]
    return frozenset(filter(None, (number_of(name) for name in names if isinstance(name, str))))


def _btrfs() -> frozenset[str]:
    folder = sysfs.SYS / "fs/btrfs"
    return frozenset(filter(None, (sysfs.device_number(d.resolve()) for d in folder.glob("*/devices/*"))))
