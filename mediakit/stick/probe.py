"""Is a stick as large as it says? Marks a few places across it, reads them back, and restores what was there.

A fake either wraps around (a later mark appears at an earlier place) or forgets what lies beyond its end. The
marks go past the page cache, but a stick's own small cache may still lie: this is no complete media test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from mediakit.block.target import Target
from mediakit.errors import RefusedError
from mediakit.stick.tables import HEAD_BYTES, Span
from mediakit.units import format_size

MARK_BYTES = 4096
SPOTS = 24


def spots(size_bytes: int, keep: Sequence[Span] = ()) -> list[int]:
    """Where marks go: even steps, powers of two and the last 4 KiB; not the first MiB, not ``keep``."""
    last = size_bytes // MARK_BYTES * MARK_BYTES - MARK_BYTES
    wanted = {last} | {size_bytes * number // SPOTS for number in range(1, SPOTS)}
    power = HEAD_BYTES * 64
    while power < last:
        wanted.add(power)
        power *= 2
    places = {place // MARK_BYTES * MARK_BYTES for place in wanted}
    return sorted(
        place
        for place in places
        if place >= HEAD_BYTES
        and not any(place < span.end and span.offset_bytes < place + MARK_BYTES for span in keep)
    )


def probe(target: Target, keep: Sequence[Span] = ()) -> None:
    """RefusedError, with the size it seems to have, if marks do not come back; all is as before."""
    places = spots(target.size_bytes, keep)
    before = {place: target.read(place, MARK_BYTES) for place in places}
    try:
        for place in places:
            target.write(place, _mark(place))
        target.flush()
        wrong = [place for place in places if target.read(place, MARK_BYTES) != _mark(place)]
    finally:
        for place in reversed(places):
            target.write(place, before[place])
        target.flush()
    if wrong:
        good = [place for place in places if place not in wrong]
        real = f"about {format_size(max(good))} at most" if good else "far less"
        raise RefusedError(
            f"{target.path} claims {format_size(target.size_bytes)}, but holds {real}: it is a fake.",
            "Use another stick.",
        )


def _mark(place: int) -> bytes:
    return hashlib.shake_128(b"mediakit probe %d" % place).digest(MARK_BYTES)
