"""A stick that was edited since it was written, seen as it was before: so its receipt still judges it.

Every edit leaves its record on the stick (``iso.edit.record``): the bytes it replaced, old and new. Reads
only. What edits appended lies behind what the receipt is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mediakit.engine.sweep import Damage
from mediakit.errors import MediakitError
from mediakit.formats.reader import Reader
from mediakit.iso.edit.record import IMPLANT_WHY, Record, Step
from mediakit.iso.edit.undo import history
from mediakit.iso.image import Image
from mediakit.plain import dataclass
from mediakit.units import SECTOR

_CAUSE = "it was changed by something else after the edit"


@dataclass(frozen=True)
class Edited:
    """The edits, the newest first; ``before`` reads the stick with what they replaced."""

    records: tuple[Record, ...]
    before: Reader

    def damage(self, reader: Reader) -> Iterator[Damage]:
        """Where bytes that the edits changed are not what they made of them."""
        wanted: dict[int, dict[int, int]] = {}
        names: dict[int, Step] = {}
        for record in reversed(self.records):
            for step in record.steps:
                if step.old is None or step.new is None or step.why == IMPLANT_WHY:
                    continue
                for at in range(0, step.size_bytes, SECTOR):
                    sector = step.offset_bytes + at
                    names[sector] = step
                    old, new = step.old[at : at + SECTOR], step.new[at : at + SECTOR]
                    changed = {i: w for i, (o, w) in enumerate(zip(old, new, strict=True)) if o != w}
                    wanted.setdefault(sector, {}).update(changed)
        for sector, values in sorted(wanted.items()):
            now = reader(sector, SECTOR)
            if any(now[i] != value for i, value in values.items()):
                yield Damage(names[sector].why, sector, SECTOR, _CAUSE)


def find(path: Path, reader: Reader, size_bytes: int) -> Edited:
    """The edits a stick carries; none where it holds no disc image that can be read."""
    try:
        records = history(Image(path, reader, size_bytes))
    except MediakitError:
        records = ()
    # the newest edit's old bytes first, so that those of the oldest one win
    steps = [step for record in records for step in reversed(record.steps)]

    def before(offset: int, size: int) -> bytes:
        data = bytearray(reader(offset, size))
        for step in steps:
            at, old = step.offset_bytes, step.old or bytes(step.size_bytes)
            low, high = max(at, offset), min(at + step.size_bytes, offset + size)
            for place in range(low, high):
                if step.new is None or old[place - at] != step.new[place - at] or step.why == IMPLANT_WHY:
                    data[place - offset] = old[place - at]
        return bytes(data)

    return Edited(records, before if steps else reader)
