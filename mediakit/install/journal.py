"""The journal of a plan under way: ``/engine/journal`` on the ESP (FORMATS: Journal).

One preallocated, contiguous file of 1 MiB: the first 256 KiB hold the plan (length, SHA-256, JSON), stored
whole before the first step; behind it lies one 512-byte record a step, written in place and flushed. A record
that is torn fails its checksum and does not count. Pure bytes ↔ data, and the few writes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

from mediakit.errors import FormatError
from mediakit.formats.fat import Fat
from mediakit.formats.reader import Reader, sub_reader
from mediakit.install.bootenv import Writable
from mediakit.plain import dataclass
from mediakit.units import KIB, MIB, SECTOR

PATH = "/engine/journal"
SIZE_BYTES = MIB
PLAN_BYTES = 256 * KIB
RECORDS = (SIZE_BYTES - PLAN_BYTES) // SECTOR
BEGUN, DONE = 1, 2
_PLAN_MAGIC = b"ENGPLAN1"
_RECORD_MAGIC = b"ENGSTEP1"
_PLAN_HEAD = struct.Struct("<8sQ32s")
_RECORD = struct.Struct("<8sQ16sII32s")


@dataclass(frozen=True)
class Record:
    """One step's mark: ``state`` is BEGUN or DONE; ``plan_id`` 16 bytes; ``digest`` is the plan's SHA-256."""

    sequence: int
    plan_id: bytes
    step: int
    state: int
    digest: bytes

    def build(self) -> bytes:
        """The record's 512 bytes; the last 32 are the SHA-256 of the rest."""
        body = _RECORD.pack(_RECORD_MAGIC, self.sequence, self.plan_id, self.step, self.state, self.digest)
        body = body.ljust(SECTOR - 32, b"\0")
        return body + hashlib.sha256(body).digest()


def parse_record(sector: bytes) -> Record | None:
    """The record in ``sector``, or None when there is none or it is torn."""
    if not sector.startswith(_RECORD_MAGIC) or len(sector) != SECTOR:
        return None
    if hashlib.sha256(sector[:-32]).digest() != sector[-32:]:
        return None
    _, sequence, plan_id, step, state, digest = _RECORD.unpack_from(sector)
    return Record(sequence, plan_id, step, state, digest)


@dataclass(frozen=True)
class Pending:
    """A plan that was begun and not ended: its document, and the numbers of the steps that are done."""

    plan: dict[str, Any]
    begun: frozenset[int]
    done: frozenset[int]


def plan_bytes(plan: dict[str, Any]) -> bytes:
    """The plan region's used bytes; FormatError when the plan is larger than the region."""
    body = json.dumps(plan, sort_keys=True, separators=(",", ":")).encode()
    if len(body) + _PLAN_HEAD.size > PLAN_BYTES:
        raise FormatError("The plan is larger than the journal's room for it.")
    return _PLAN_HEAD.pack(_PLAN_MAGIC, len(body), hashlib.sha256(body).digest()) + body


def parse_plan(region: bytes) -> tuple[dict[str, Any], bytes] | None:
    """The plan and its SHA-256, or None when none is stored whole."""
    if len(region) < _PLAN_HEAD.size:
        return None
    magic, length, digest = _PLAN_HEAD.unpack_from(region)
    if magic != _PLAN_MAGIC or length > PLAN_BYTES - _PLAN_HEAD.size:
        return None
    body = region[_PLAN_HEAD.size : _PLAN_HEAD.size + length]
    if hashlib.sha256(body).digest() != digest:
        return None
    try:
        plan = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return (plan, digest) if isinstance(plan, dict) and isinstance(plan.get("steps"), list) else None


def parse(data: bytes) -> Pending | None:
    """The plan under way in a journal's bytes; None when there is none, or it is complete."""
    stored = parse_plan(data[:PLAN_BYTES])
    if stored is None:
        return None
    plan, digest = stored
    begun: set[int] = set()
    done: set[int] = set()
    for offset in range(PLAN_BYTES, len(data) - SECTOR + 1, SECTOR):
        record = parse_record(data[offset : offset + SECTOR])
        if record is not None and record.digest == digest:
            (done if record.state == DONE else begun).add(record.step)
    numbers = {int(step.get("n", 0)) for step in plan["steps"] if isinstance(step, dict)}
    # A new boot partition comes with its plan: there the plan alone says that something was begun.
    is_whole_disk = plan.get("action") in ("fresh", "reinstall")
    if not (begun or is_whole_disk) or numbers <= done:
        return None
    return Pending(plan, frozenset(begun), frozenset(done))


def read_pending(reader: Reader, esp_offset: int, esp_size: int) -> Pending | None:
    """The plan under way on the ESP at ``esp_offset``; FormatError when the ESP cannot be read."""
    return parse(Fat(sub_reader(reader, esp_offset, esp_size)).read(PATH))


class Journal:
    """The journal on an ESP, opened for writing; every method flushes before it returns."""

    def __init__(self, target: Writable, place: int) -> None:
        self._target = target
        self._place = place
        self._plan_id = b""
        self._digest = b""
        self._sequence = 0

    @staticmethod
    def locate(target: Writable, esp_offset: int, esp_size: int) -> Journal:
        """The journal file on the ESP; FormatError when it is not one contiguous file of the right size."""
        extents = Fat(sub_reader(target.reader, esp_offset, esp_size)).extents(PATH)
        merged = _merge(extents)
        if len(merged) != 1 or merged[0][1] < SIZE_BYTES:
            raise FormatError("The journal on the ESP is not one contiguous file.", "Reinstall this Engine.")
        return Journal(target, esp_offset + merged[0][0])

    def begin(self, plan: dict[str, Any]) -> None:
        """Store the plan whole, before its first step; an older plan and its records no longer count.

        The head goes last: without it nothing is stored.
        """
        data = plan_bytes(plan)
        self._digest = hashlib.sha256(data[_PLAN_HEAD.size :]).digest()
        self._plan_id = bytes.fromhex(str(plan["id"]).replace("-", ""))[:16].ljust(16, b"\0")
        self._sequence = 0
        self._target.write(self._place, bytes(SECTOR))
        self._target.flush()
        tail = data[SECTOR:]
        if tail:
            self._target.write(self._place + SECTOR, tail.ljust(-(-len(tail) // SECTOR) * SECTOR, b"\0"))
            self._target.flush()
        self._target.write(self._place, data[:SECTOR].ljust(SECTOR, b"\0"))
        self._target.flush()

    def resume(self, plan: dict[str, Any], used_records: int) -> None:
        """Go on with the plan that is stored; new records go behind the ``used_records`` there are."""
        data = plan_bytes(plan)
        self._digest = hashlib.sha256(data[_PLAN_HEAD.size :]).digest()
        self._plan_id = bytes.fromhex(str(plan["id"]).replace("-", ""))[:16].ljust(16, b"\0")
        self._sequence = used_records

    def used_records(self) -> int:
        """How many of the records are taken by the plan that is stored."""
        data = self._target.read(self._place, SIZE_BYTES)
        stored = parse_plan(data[:PLAN_BYTES])
        if stored is None:
            return 0
        last = -1
        for index in range(RECORDS):
            start = PLAN_BYTES + index * SECTOR
            record = parse_record(data[start : start + SECTOR])
            if record is not None and record.digest == stored[1]:
                last = max(last, index)
        return last + 1

    def mark(self, step: int, state: int) -> None:
        """Note that a step has begun or is done."""
        record = Record(self._sequence, self._plan_id, step, state, self._digest)
        where = self._place + PLAN_BYTES + (self._sequence % RECORDS) * SECTOR
        self._target.write(where, record.build())
        self._target.flush()
        self._sequence += 1


def _merge(extents: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for offset, size in extents:
        if merged and merged[-1][0] + merged[-1][1] == offset:
            merged[-1] = (merged[-1][0], merged[-1][1] + size)
        else:
            merged.append((offset, size))
    return merged
