"""Finding, completing and taking back edits by their records.

Every write goes in the order of the record's phases (backwards for undo), with a flush after each, so a cut
here is as harmless as one in the edit itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mediakit.errors import FormatError, RefusedError
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import Reader, cached_reader
from mediakit.iso.edit import record as records
from mediakit.iso.edit.medium import Medium
from mediakit.iso.edit.record import HEAD_MAGIC, Record, State, Step
from mediakit.iso.edit.survey import record_places
from mediakit.iso.image import Image
from mediakit.plain import dataclass
from mediakit.units import SECTOR

MAX_EDITS = 10_000
_MORE_BYTES = 16 << 20


@dataclass(frozen=True)
class UndoResult:
    """What undo did. ``lost`` are paths of secrets that were wiped and cannot be brought back."""

    what: tuple[str, ...]
    lost: tuple[str, ...]
    size_bytes: int
    bytes_written: int


def history(image: Image) -> tuple[Record, ...]:
    """The edits an image carries, the newest first."""
    return history_of(image.reader, newest_record(image.reader, image.size_bytes))


def pending(medium: Medium) -> Record | None:
    """The edit (or undo) that was cut off and is neither complete nor taken back; None if there is none."""
    newest = newest_record(cached_reader(medium.read, medium.size_bytes), medium.size_bytes)
    return newest if newest is not None and newest.state in ("begun", "committed", "undoing") else None


def complete(medium: Medium) -> Record | None:
    """Bring what ``pending`` found to its end: an edit that was committed is finished, one that was not is
    taken back, and an undo is finished. Returns the record, None if nothing was pending."""
    found = pending(medium)
    if found is None:
        return None
    if found.state == "begun":
        _forget(medium, found)
    elif found.state == "undoing":
        _take_back(medium, found)
    else:
        _redo(medium, found)
    return found


def undo(medium: Medium) -> UndoResult:
    """Take back the last edit; RefusedError if there is none, or if its bytes were changed since."""
    found = newest_record(medium.read, medium.size_bytes)
    if found is None:
        raise RefusedError("The image carries no edit that could be taken back.", "It was never edited here.")
    written = 0
    if found.state == "begun":
        _forget(medium, found)
    else:
        if found.state == "committed":
            _redo(medium, found)
        written = _take_back(medium, found)
    lost = tuple(dict.fromkeys(step.path for step in found.steps if step.is_lost))
    return UndoResult(found.what, lost, medium.size_bytes, written)


def history_of(reader: Reader, newest: Record | None) -> tuple[Record, ...]:
    """That edit and those before it, as each names the one before."""
    found: list[Record] = []
    bounded = _bounded(reader, newest.head if newest is not None else 0)
    while newest is not None and len(found) < MAX_EDITS:
        if newest.state != "begun":
            found.append(newest)
        previous = newest.previous
        if previous is None or previous >= newest.head:
            break
        newest = records.read(bounded, previous)
    return tuple(found)


def newest_record(reader: Reader, size_bytes: int) -> Record | None:
    """Of all records in the places where one may be, the one that lies last."""
    best: Record | None = None
    exact, ranges = record_places(reader, size_bytes)
    for found in _candidates(reader, size_bytes, exact, ranges):
        if best is None or found.head > best.head:
            best = found
    if best is not None:
        # an edit after the newest known one begins where that one ended
        for found in _candidates(reader, size_bytes, (), _behind(best, size_bytes)):
            if found.head > best.head:
                best = found
    return best


def _behind(record: Record, size_bytes: int) -> tuple[tuple[int, int], ...]:
    places = {record.tail_end, -(-record.new_size_bytes // BLOCK) * BLOCK}
    return tuple((place, place + 1) for place in sorted(places) if place + SECTOR <= size_bytes)


def _candidates(
    reader: Reader, size_bytes: int, trailers: Iterable[int], ranges: Iterable[tuple[int, int]]
) -> Iterable[Record]:
    ended: set[int] = set()
    scanned: set[int] = set()
    bounded = _bounded(reader, size_bytes)
    for block in trailers:
        if block >= 0 and block + BLOCK <= size_bytes:
            head = records.parse_trailer(reader(block, BLOCK))
            if head is not None and head < block:
                ended.add(head)
    for start, stop in ranges:
        scanned |= set(_scan(reader, start, min(stop, size_bytes - SECTOR + 1)))
    for head in sorted(ended):
        found = records.read(bounded, head)
        if found is not None:
            yield found
    for head in sorted(scanned - ended):
        found = _unfinished(bounded, head)
        if found is not None:
            yield found


def _bounded(reader: Reader, size_bytes: int) -> Reader:
    """The reader for as much as all records of an image can have: hostile ones name the same bytes again."""
    left = 2 * size_bytes + _MORE_BYTES

    def read(offset: int, size: int) -> bytes:
        nonlocal left
        left -= size
        if left < 0:
            raise FormatError("The records of edits in the image share their bytes: they are forged.")
        return reader(offset, size)

    return read


def _unfinished(reader: Reader, head: int) -> Record | None:
    """A record that no volume ends with: of an edit that was cut off, or of an image that was here before.

    A stick keeps what lies behind the image it is given next: only a record whose bytes are all either the
    old or the new ones is this image's.
    """
    try:
        found = records.read(reader, head)
        if found is None or found.state == "done":
            return None
        values: dict[int, list[bytes]] = {}
        for step in found.steps:
            if step.old is not None and step.new is not None and step.why != records.IMPLANT_WHY:
                values.setdefault(step.offset_bytes, []).extend((step.old, step.new))
        for offset, known in values.items():
            now = reader(offset, len(known[0]))
            if any(len(value) != len(now) for value in known) or not _is_between(now, known):
                return None
    except FormatError:
        return None
    return found


def _is_between(now: bytes, known: list[bytes]) -> bool:
    """Whether each byte that differs between the known values is one of them now."""
    return now in known or all(
        len(set(values)) == 1 or byte in values
        for byte, values in zip(now, zip(*known, strict=True), strict=True)
    )


def _scan(reader: Reader, start: int, stop: int) -> Iterable[int]:
    """Blocks from ``start`` on that begin like a head."""
    if start >= stop:
        return
    data = reader(start, stop - start + len(HEAD_MAGIC) - 1)
    at = data.find(HEAD_MAGIC)
    while at >= 0:
        if at % BLOCK == 0:
            yield start + at
        at = data.find(HEAD_MAGIC, at + 1)


def _redo(medium: Medium, record: Record) -> None:
    for steps in record.phases():
        for step in steps:
            was = step.old if step.new is not None else None
            _write_masked(medium, step, was, _new_bytes(medium, step))
        medium.flush()
    for offset, size in record.wipes:
        medium.write(offset, bytes(size))
    medium.flush()
    _set_state(medium, record, "done")


def _take_back(medium: Medium, record: Record) -> int:
    """Undo a record whose edit is complete, or whose undo was cut off; returns the bytes written."""
    if record.state != "undoing":
        _check_untouched(medium, record)
        _set_state(medium, record, "undoing")
    written = 2 * SECTOR
    for steps in reversed(record.phases()):
        for step in steps:
            old = bytes(step.size_bytes) if step.old is None else step.old
            _write_masked(medium, step, None if step.why == records.IMPLANT_WHY else step.new, old)
            written += step.size_bytes
        medium.flush()
    _forget(medium, record)
    return written


def _forget(medium: Medium, record: Record) -> None:
    """The end of an undo: the tail is no edit any more, a file gets its old size."""
    medium.resize(record.old_size_bytes)
    if medium.size_bytes > record.head:
        medium.write(record.head, bytes(SECTOR))
    medium.flush()


def _set_state(medium: Medium, record: Record, state: State) -> None:
    medium.write(record.head, records.head_sector(medium.read, record.with_state(state)))
    medium.flush()


def _new_bytes(medium: Medium, step: Step) -> bytes:
    if step.new is not None:
        return step.new
    data = medium.read(step.payload, step.size_bytes)
    if hashlib.sha256(data).hexdigest() != step.sha256:
        # the wipe had begun, so the step was done before
        return medium.read(step.offset_bytes, step.size_bytes)
    return data


def _write_masked(medium: Medium, step: Step, was: bytes | None, wanted: bytes | None) -> None:
    """Make the bytes that the edit is about ``wanted``; the others stay what they are now."""
    assert wanted is not None
    now = medium.read(step.offset_bytes, step.size_bytes)
    if was is not None:
        wanted = bytes(w if w != o else n for w, o, n in zip(wanted, was, now, strict=True))
    if wanted != now:
        medium.write(step.offset_bytes, wanted)


def _check_untouched(medium: Medium, record: Record) -> None:
    """Each byte the edit changed still is what it made of it."""
    last: dict[int, Step] = {}
    for step in record.steps:
        last[step.offset_bytes] = step
    for step in last.values():
        if step.old is None or step.new is None or step.why == records.IMPLANT_WHY:
            continue  # implantisomd5 may have been run since, as it should
        now = medium.read(step.offset_bytes, step.size_bytes)
        if any(n != new and old != new for n, old, new in zip(now, step.old, step.new, strict=True)):
            raise RefusedError(
                f"The {step.why} was changed by something else after the edit.",
                "Take it back in the image file and write the stick anew, or edit the stick the other way.",
            )
