"""Timing whole processes side by side, and the folder and images that the rows share. Knows no row."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.isos import make

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
Argument = str | os.PathLike[str]
Step = Callable[[int], Sequence[Sequence[Argument]]]
"""The commands of one timed run; it is given the number of the run."""


class UnavailableError(Exception):
    """A row cannot be measured here, and why."""


@dataclass(frozen=True)
class Result:
    """One row, measured: figures as text, and whether the target was reached."""

    ours: str
    peer: str
    ratio: str
    reached: bool
    note: str = ""


@dataclass
class Bench:
    """Where and how: a folder that is removed afterwards, full sizes or tiny ones."""

    folder: Path
    is_tiny: bool
    repeats: int
    _count: int = field(default=0)

    def size(self, full_mib: int) -> int:
        """Bytes of something that has ``full_mib`` MiB in a real run."""
        return max(1, full_mib // 256) * MIB if self.is_tiny else full_mib * MIB

    def place(self, name: str) -> Path:
        """A new folder for one row."""
        self._count += 1
        place = self.folder / f"{self._count:02}-{name}"
        place.mkdir()
        return place

    @cached_property
    def image(self) -> Path:
        """A bootable hybrid of 1 GiB: GRUB's MBR, an appended EFI partition, a few large files."""
        return self.hybrid(self.place("image"), 1024, is_sparse=False)

    def hybrid(self, place: Path, full_mib: int, *, is_sparse: bool) -> Path:
        """A bootable hybrid image of about that size; ``is_sparse``: its payload is zeros."""
        tree = make.tree(place)
        left, number = self.size(full_mib), 0
        while left > 0:
            size = min(left, 256 * MIB)
            payload(tree / f"payload-{number}", size, seed=number, is_sparse=is_sparse)
            left, number = left - size, number + 1
        out = place / "image.iso"
        make.grub_appended(tree, out)
        shutil.rmtree(tree)
        return out

    def best(self, ours: Step, peer: Step, *, after: Callable[[], None] | None = None) -> tuple[float, float]:
        """The best wall time of each, run in turn; a first run of both warms the page cache, uncounted.

        Before each run dirty pages are written back, so nobody pays for the one before.
        """
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(1 if self.is_tiny else 0, self.repeats + 1):
            for side, step in enumerate((ours, peer)):
                commands = step(number)
                os.sync()
                seconds = sum(timed(command) for command in commands)
                if number:
                    times[side].append(seconds)
                if after:
                    after()
        return min(times[0]), min(times[1])


def mediakit(*words: Argument) -> list[Argument]:
    """The command line of this checkout's mediakit."""
    return [sys.executable, "-m", "mediakit", *words]


def need_verb(verb: str) -> None:
    """Raise unless mediakit has the verb."""
    if run(mediakit(verb, "--help")).returncode:
        raise UnavailableError(f"mediakit {verb} is not there yet")


def need_tool(tool: str) -> None:
    """Raise unless the peer is installed."""
    if shutil.which(tool) is None:
        raise UnavailableError(f"{tool} is not installed")


def timed(command: Sequence[Argument]) -> float:
    """Seconds from start to end of one process; raises if it fails."""
    started = time.perf_counter()
    done = run(command)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise UnavailableError(_failure(command, done))
    return seconds


def document(command: Sequence[Argument]) -> dict[str, Any]:
    """The JSON that a command prints."""
    done = run(command)
    if done.returncode:
        raise UnavailableError(_failure(command, done))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(command: Sequence[Argument]) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: compiled once, not in every run
    return subprocess.run(
        [os.fspath(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=1800,
        env=environment,
        check=False,
    )


def payload(path: Path, size_bytes: int, *, seed: int, is_sparse: bool = False) -> None:
    """A file of ``size_bytes``: zeros, or bytes that do not repeat within a MiB and differ by ``seed``."""
    with path.open("wb") as file:
        if is_sparse:
            file.truncate(size_bytes)
            return
        block = _noise()
        for number in range(0, size_bytes, MIB):
            turn = (seed * 7919 + number // MIB * 61) % MIB
            file.write((block[turn:] + block[:turn])[: size_bytes - number])


def seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def ratio(ours: float, peer: float, limit: float, note: str = "") -> Result:
    """A row whose target is at most ``limit`` times the peer's time."""
    return Result(seconds(ours), seconds(peer), f"{ours / peer:.2f}x", ours <= limit * peer, note)


_NOISE: list[bytes] = []


def _noise() -> bytes:
    if not _NOISE:
        _NOISE.append(os.urandom(MIB))
    return _NOISE[0]


def _failure(command: Sequence[Argument], done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    name = " ".join(Path(os.fspath(word)).name for word in command[:4])
    return f"{name} … ended with {done.returncode}: {said[-1] if said else ''}"
