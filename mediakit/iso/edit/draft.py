"""Collecting what an edit writes: steps over old bytes, by sector and by phase, and the tail. Pure.

The phases are the order that keeps every instant readable: first what makes the tail reachable (tables), then
the trees, then the boot catalog, then what nobody needs to find a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from enum import IntEnum

from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import Reader
from mediakit.iso.edit.model import Region, Source
from mediakit.iso.edit.record import Step
from mediakit.plain import dataclass
from mediakit.units import SECTOR, align_up


class Phase(IntEnum):
    """Barriers lie between phases. Up to COMMIT only the tail is written; patches of order N are of the phase
    PATCHES + N."""

    HEAD = 0
    TAIL = 1
    COMMIT = 2
    PATCHES = 3
    TABLES = 1 << 16
    ARRAY = TABLES + 1
    ARRAY_USED = TABLES + 2
    CONTENTS = TABLES + 3
    TREES = TABLES + 4
    CATALOG = TABLES + 5
    PARENTS = TABLES + 6
    WIPE = TABLES + 7
    DONE = TABLES + 8


@dataclass
class Tail:
    """The space behind the image, given out block by block; ``holes`` (start, end) in it are for contents."""

    start: int
    holes: list[tuple[int, int]] = field(default_factory=list)
    pieces: list[Region] = field(default_factory=list)
    at: int = 0

    def __post_init__(self) -> None:
        self.at = self.start

    def reserve(self, size_bytes: int) -> int:
        """The offset of new whole blocks."""
        offset = self.at
        self.at += align_up(size_bytes, BLOCK)
        return offset

    def place(self, size_bytes: int) -> int:
        """The offset of new whole blocks, in the first hole that has them."""
        size = align_up(size_bytes, BLOCK)
        for number, (start, end) in enumerate(self.holes):
            if 0 < size <= end - start:
                self.holes[number] = (start + size, end)
                return start
        return self.reserve(size_bytes)

    def put(self, offset: int, size_bytes: int, source: Source, why: str, phase: int = Phase.TAIL) -> None:
        """Say what goes to reserved blocks; bytes are padded to whole blocks."""
        if isinstance(source, bytes):
            source = source.ljust(align_up(len(source), BLOCK), b"\0")
            size_bytes = len(source)
        if size_bytes:
            self.pieces.append(Region(offset, size_bytes, why, phase, source))
        rest = -size_bytes % BLOCK
        if rest:  # what the medium holds there is not ours to show
            self.pieces.append(Region(offset + size_bytes, rest, why, phase, bytes(rest)))

    def put_raw(self, offset: int, data: bytes, why: str) -> None:
        """Bytes of whole sectors, without reserving or padding."""
        self.pieces.append(Region(offset, len(data), why, Phase.TAIL, data))

    def add(self, size_bytes: int, source: Source, why: str) -> int:
        """Reserve and put."""
        offset = self.reserve(size_bytes)
        self.put(offset, size_bytes, source, why)
        return offset


@dataclass(frozen=True)
class _Write:
    phase: int
    offset: int
    data: bytes
    why: str


@dataclass
class Draft:
    """Writes over what is there; ``steps()`` turns them into whole sectors with their old bytes."""

    reader: Reader
    writes: list[_Write] = field(default_factory=list)
    secrets: list[Step] = field(default_factory=list)

    def write(self, phase: int, offset: int, data: bytes, why: str) -> None:
        """Replace bytes; later writes of one phase win, whole sectors go out at once."""
        self.writes.append(_Write(phase, offset, data, why))

    def write_secret(
        self, offset: int, data: bytes, why: str, path: str, payload: int, *, keeps_old: bool = False
    ) -> None:
        """Replace whole sectors without keeping a copy of the old (or for long) of the new bytes."""
        old = self.reader(offset, len(data))
        kept = old if keeps_old or not any(old) else None
        digest = hashlib.sha256(data).hexdigest()
        self.secrets.append(Step(Phase.CONTENTS, offset, len(data), why, kept, None, payload, digest, path))

    def steps(self) -> tuple[Step, ...]:
        """All steps, in the order of their phases."""
        state: dict[int, bytes] = {}
        found: list[Step] = list(self.secrets)
        for phase in sorted({write.phase for write in self.writes}):
            news: dict[int, bytearray] = {}
            whys: dict[int, str] = {}
            for write in self.writes:
                if write.phase == phase:
                    self._spread(write, state, news, whys)
            changed = {at: bytes(new) for at, new in news.items() if bytes(new) != self._now(state, at)}
            found += self._join(phase, changed, whys, state)
            state |= changed
        return tuple(sorted(found, key=lambda step: (step.phase, step.offset_bytes)))

    def _now(self, state: dict[int, bytes], sector: int) -> bytes:
        if sector not in state:
            state[sector] = self.reader(sector, SECTOR)
        return state[sector]

    def _spread(
        self, write: _Write, state: dict[int, bytes], news: dict[int, bytearray], whys: dict[int, str]
    ) -> None:
        end = write.offset + len(write.data)
        for sector in range(write.offset // SECTOR * SECTOR, end, SECTOR):
            new = news.setdefault(sector, bytearray(self._now(state, sector)))
            whys.setdefault(sector, write.why)
            low, high = max(sector, write.offset), min(sector + SECTOR, end)
            new[low - sector : high - sector] = write.data[low - write.offset : high - write.offset]

    def _join(
        self, phase: int, changed: dict[int, bytes], whys: dict[int, str], state: dict[int, bytes]
    ) -> list[Step]:
        """Neighbouring sectors of the same purpose become one step, but those that several phases write."""
        often = self._written_often()
        runs: list[list[int]] = []
        for at in sorted(changed):
            last = runs[-1][-1] if runs else -1
            if last + SECTOR == at and whys[last] == whys[at] and not {at, last} & often:
                runs[-1].append(at)
            else:
                runs.append([at])
        return [
            Step(
                phase,
                run[0],
                len(run) * SECTOR,
                whys[run[0]],
                b"".join(self._now(state, at) for at in run),
                b"".join(changed[at] for at in run),
            )
            for run in runs
        ]

    def _written_often(self) -> set[int]:
        seen: dict[int, set[int]] = {}
        for write in self.writes:
            start = write.offset // SECTOR * SECTOR
            for sector in range(start, write.offset + len(write.data), SECTOR):
                seen.setdefault(sector, set()).add(write.phase)
        return {sector for sector, phases in seen.items() if len(phases) > 1}
