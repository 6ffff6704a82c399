"""The redo and undo record of one edit: what it overwrites, with the old and the new bytes. Pure.

It begins the tail that an edit appends: a head block, whose first sector holds the state and is rewritten
alone; the body (JSON, then the bytes it names) further back in the tail; and a trailer in the last block of
the tail, which is the last block of the new volume and so found from its descriptor. Everything carries a
checksum: bytes that only look like a record are none.

States: ``begun`` (the tail may be incomplete), ``committed`` (redo can complete it), ``done``, ``undoing``;
a head that was taken back is cut off or zeroed. Secrets: the body holds no bytes of a secret, old or new; the
new ones lie in the tail until the edit is done, then they are wiped there.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import replace
from typing import Any, Literal

from mediakit.errors import FormatError
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass
from mediakit.units import SECTOR

HEAD_MAGIC = b"mediakit edit 1\n"
TRAILER_MAGIC = b"mediakit tail 1\n"
MAX_BODY_BYTES = 192 << 20
IMPLANT_WHY = "implanted checksum (removed)"
"""The step that blanks isomd5sum's field, which is no longer this edit's: a new sum may lie there since."""
_STICK_END_BYTES = 1 << 20
"""Only a stick's backup GPT is overwritten behind a tail: it lies in these last bytes."""
State = Literal["begun", "committed", "done", "undoing"]
_STATES: tuple[State, ...] = ("begun", "committed", "done", "undoing")
_HEAD = struct.Struct("<16sIIQQQQQQ32s")
_TRAILER = struct.Struct("<16sQ")


@dataclass(frozen=True)
class Step:
    """Bytes that are overwritten outside of the tail, in ``phase``.

    Within one phase the order does not matter. Of a secret ``new`` is None: it lies at ``payload`` of the
    medium; ``old`` is None too, unless it was all zeros. Only bytes that differ between both are the edit's.
    """

    phase: int
    offset_bytes: int
    size_bytes: int
    why: str
    old: bytes | None
    new: bytes | None
    payload: int = 0
    sha256: str = ""
    path: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether the old bytes were a secret that is gone."""
        return self.old is None


@dataclass(frozen=True)
class Record:
    """One edit. ``previous`` is the head of the edit before it; offsets are bytes of the medium."""

    sequence: int
    time: int
    head: int
    tail_end: int
    old_size_bytes: int
    new_size_bytes: int
    previous: int | None
    what: tuple[str, ...]
    steps: tuple[Step, ...]
    wipes: tuple[tuple[int, int], ...] = ()
    state: State = "begun"

    def phases(self) -> list[list[Step]]:
        """The steps phase by phase."""
        numbers = sorted({step.phase for step in self.steps})
        return [[step for step in self.steps if step.phase == number] for number in numbers]

    def with_state(self, state: State) -> Record:
        return replace(self, state=state)

    def body(self) -> bytes:
        """The body, without padding."""
        blobs: list[bytes] = []
        at = 0

        def keep(data: bytes | None) -> list[int] | None:
            nonlocal at
            if data is None:
                return None
            blobs.append(data)
            at += len(data)
            return [at - len(data), len(data)]

        document = {
            "sequence": self.sequence,
            "time": self.time,
            "old_size_bytes": self.old_size_bytes,
            "new_size_bytes": self.new_size_bytes,
            "previous": self.previous,
            "what": list(self.what),
            "wipes": [list(wipe) for wipe in self.wipes],
            "steps": [
                {
                    "phase": s.phase,
                    "offset_bytes": s.offset_bytes,
                    "size_bytes": s.size_bytes,
                    "why": s.why,
                    "old": keep(s.old),
                    "new": keep(s.new),
                    "payload": s.payload,
                    "sha256": s.sha256,
                    "path": s.path,
                }
                for s in self.steps
            ],
        }
        text = json.dumps(document, sort_keys=True).encode()
        return struct.pack("<I", len(text)) + text + b"".join(blobs)


def build_head(record: Record, body_offset: int, body: bytes) -> bytes:
    """The state sector: 512 bytes."""
    head = _HEAD.pack(
        HEAD_MAGIC,
        _STATES.index(record.state),
        0,
        record.head,
        record.tail_end,
        record.old_size_bytes,
        record.new_size_bytes,
        body_offset,
        len(body),
        hashlib.sha256(body).digest(),
    )
    return (head + struct.pack("<I", zlib.crc32(head))).ljust(SECTOR, b"\0")


def build_trailer(head: int) -> bytes:
    """The last block of a tail."""
    trailer = _TRAILER.pack(TRAILER_MAGIC, head)
    return (trailer + struct.pack("<I", zlib.crc32(trailer))).ljust(BLOCK, b"\0")


def parse_trailer(block: bytes) -> int | None:
    """Where the head of a tail lies, if ``block`` ends one."""
    trailer = block[: _TRAILER.size]
    if trailer[:16] != TRAILER_MAGIC or struct.unpack_from("<I", block, _TRAILER.size)[0] != zlib.crc32(
        trailer
    ):
        return None
    return int(_TRAILER.unpack(trailer)[1])


def read(reader: Reader, offset: int) -> Record | None:
    """The record whose head lies at ``offset``; None if there is none.

    One that is begun may have no body yet: it comes back without steps.
    """
    sector = reader(offset, SECTOR)
    raw = sector[: _HEAD.size]
    if raw[:16] != HEAD_MAGIC or struct.unpack_from("<I", sector, _HEAD.size)[0] != zlib.crc32(raw):
        return None
    _, number, _, head, tail_end, old_size, new_size, body_offset, body_size, digest = _HEAD.unpack(raw)
    if number >= len(_STATES) or head != offset or body_size > MAX_BODY_BYTES:
        return None
    if not head < body_offset <= body_offset + body_size <= tail_end:
        return None
    state = _STATES[number]
    try:
        body = reader(body_offset, body_size)
    except FormatError:
        body = b""
    if hashlib.sha256(body).digest() != digest:
        if state != "begun":
            return None
        bare = Record(0, 0, offset, tail_end, old_size, new_size, None, (), ())
        return bare if _is_sane(bare) else None
    found = replace(_parse_body(body, offset, tail_end), state=state)
    if (found.old_size_bytes, found.new_size_bytes) != (old_size, new_size) or not _is_sane(found):
        raise FormatError("The record of an edit in the image makes no sense: it is damaged or forged.")
    return found


def head_sector(reader: Reader, record: Record) -> bytes:
    """The state sector of a record that lies on a medium, with the state of ``record``."""
    sector = bytearray(reader(record.head, SECTOR))
    struct.pack_into("<I", sector, 16, _STATES.index(record.state))
    struct.pack_into("<I", sector, _HEAD.size, zlib.crc32(bytes(sector[: _HEAD.size])))
    return bytes(sector)


def _is_sane(record: Record) -> bool:
    """Whether redo and undo would touch nothing but the image before the tail, and a stick's last sectors."""
    head, end = record.head, record.tail_end
    grows = record.old_size_bytes <= head < end <= record.new_size_bytes
    stays = head < end <= record.old_size_bytes == record.new_size_bytes
    if not (grows and head - record.old_size_bytes < BLOCK) and not stays:
        return False
    for step in record.steps:
        stop = step.offset_bytes + step.size_bytes
        is_before = 0 <= step.offset_bytes < stop <= head
        is_backup = end <= step.offset_bytes and record.new_size_bytes - _STICK_END_BYTES <= step.offset_bytes
        if not is_before and not (stays and is_backup and stop <= record.new_size_bytes):
            return False
        if step.new is None and not head < step.payload <= step.payload + step.size_bytes <= end:
            return False
    return all(head < offset <= offset + size <= end for offset, size in record.wipes)


def _parse_body(body: bytes, head: int, tail_end: int) -> Record:
    try:
        (length,) = struct.unpack_from("<I", body)
        document: dict[str, Any] = json.loads(body[4 : 4 + length])
        blobs = body[4 + length :]
        steps = tuple(_step(words, blobs) for words in document["steps"])
        return Record(
            sequence=int(document["sequence"]),
            time=int(document["time"]),
            head=head,
            tail_end=tail_end,
            old_size_bytes=int(document["old_size_bytes"]),
            new_size_bytes=int(document["new_size_bytes"]),
            previous=None if document["previous"] is None else int(document["previous"]),
            what=tuple(str(word) for word in document["what"]),
            steps=steps,
            wipes=tuple((int(offset), int(size)) for offset, size in document["wipes"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, struct.error) as error:
        raise FormatError("The record of an edit in the image is damaged.") from error


def _step(words: dict[str, Any], blobs: bytes) -> Step:
    def blob(place: list[int] | None) -> bytes | None:
        return None if place is None else blobs[place[0] : place[0] + place[1]]

    step = Step(
        phase=int(words["phase"]),
        offset_bytes=int(words["offset_bytes"]),
        size_bytes=int(words["size_bytes"]),
        why=str(words["why"]),
        old=blob(words["old"]),
        new=blob(words["new"]),
        payload=int(words["payload"]),
        sha256=str(words["sha256"]),
        path=str(words["path"]),
    )
    for data in (step.old, step.new):
        if data is not None and len(data) != step.size_bytes:
            raise ValueError("lengths differ")
    return step
