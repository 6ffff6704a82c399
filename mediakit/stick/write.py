"""One image onto one stick, in the order that keeps a half-written stick from booting (DESIGN, sticks).

Compare → zero the first MiB before the first differing byte → body → read back → ENGINE-DATA and backup GPT →
last the first MiB, read back, zeroed again if wrong. What is right already is not written again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import field, replace

from mediakit.block.target import Target
from mediakit.errors import CancelledError, DeviceError, MediakitError
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Meter, Observer
from mediakit.stick import data, receipt, signpost
from mediakit.stick.implants import OnStick
from mediakit.stick.plan import WritePlan, with_head
from mediakit.stick.probe import probe
from mediakit.stick.receipt import Receipt
from mediakit.stick.source import BLOCK_BYTES, DIGEST_BYTES, Source
from mediakit.stick.tables import HEAD_BYTES, Span
from mediakit.units import SECTOR

QUEUE_DEPTH = 3
_DISK_ID = (440, 6)
_TRIAL_BLOCKS = 24
_SKIP_BLOCKS = 256


@dataclass
class Tally:
    """What was done to one stick so far."""

    bytes_written: int = 0
    bytes_compared: int = 0
    head_is_zeroed: bool = False
    data_is_kept: bool = False
    written: list[int] = field(default_factory=list)
    """Numbers of the image's MiB blocks that were written, to be read back."""


@dataclass(frozen=True)
class Job:
    """Everything one stick's writing needs; ``locate`` names the file of the image at a byte."""

    target: Target
    source: Source
    plan: WritePlan
    observer: Observer
    cancel: Cancel
    delta: bool = True
    probe: bool = False
    answers: bytes | None = None
    locate: Callable[[int], str] = lambda offset: ""
    approve: Callable[[], None] = lambda: None
    """Called when every byte of the image has been seen, before the stick is made bootable; may raise."""


def write_stick(job: Job, tally: Tally) -> str:
    """Write, read back, make bootable; returns ``done``, or ``already`` when no byte had to change.

    Raises DeviceError with the byte range if what is read back differs, CancelledError when asked to stop:
    the stick then does not boot.
    """
    with _left_unbootable(job, tally):
        implant = _implant(job)
        _write_body(job, tally, implant)
        job.source.digests()
        job.approve()
        if implant is not None:
            job = replace(job, plan=with_head(job.plan, _image_head(job), implant.head()))
        _read_back(job, tally)
        _write_data(job, tally)
        _write_tail(job, tally)
        if job.plan.tables.tail:
            _take_signpost(job, tally)
        if tally.head_is_zeroed or not _is_head_right(job):
            _write_head(job, tally)
        if not job.plan.tables.tail:
            _take_signpost(job, tally)
    return "done" if tally.bytes_written else "already"


@contextmanager
def _left_unbootable(job: Job, tally: Tally) -> Iterator[None]:
    """After a failure or a stop the first MiB is zeros if anything had been changed (law 4)."""
    try:
        yield
    except BaseException:
        if tally.head_is_zeroed:
            try:
                job.target.zero(0, HEAD_BYTES)
                job.target.flush()
            except MediakitError:
                pass  # the stick is gone or dead; what it said first is what counts
        raise


def _begin(job: Job, tally: Tally) -> None:
    """Before the first changed byte: the stick stops being bootable, durably."""
    if not tally.head_is_zeroed:
        tally.head_is_zeroed = True
        if not job.plan.data_survives:
            _put_signpost(job)
        job.target.zero(0, HEAD_BYTES)
        job.target.flush()
        if job.probe:
            probe(job.target, _kept(job))


def _kept(job: Job) -> list[Span]:
    """What a probe must not touch, not even for a moment: ENGINE-DATA, and what tells where it is."""
    if job.plan.data is None or not job.plan.data_is_kept:
        return []
    end = job.target.size_bytes
    start = min(signpost.place(end), job.plan.tables.tail_offset)
    return [job.plan.data, Span(start, end - start)]


def _put_signpost(job: Job) -> None:
    """A note of where the kept ENGINE-DATA is, for the next run if this one is cut off."""
    if job.plan.data is not None and job.plan.data_is_kept and _has_room(job):
        note = signpost.build(job.plan.data, job.plan.data_guid)
        job.target.write(signpost.place(job.target.size_bytes), note)
        job.target.flush()


def _take_signpost(job: Job, tally: Tally) -> None:
    """The tables are right: the note goes, also one that an earlier run left."""
    place = signpost.place(job.target.size_bytes)
    if _has_room(job) and signpost.parse(job.target.read(place, SECTOR)) is not None:
        job.target.zero(place, SECTOR)
        job.target.flush()
        tally.bytes_written += SECTOR


def _has_room(job: Job) -> bool:
    """Whether nothing of image or ENGINE-DATA lies where the note goes."""
    ends = (job.plan.body.end, job.plan.data.end if job.plan.data else 0)
    return max(ends) <= signpost.place(job.target.size_bytes)


def _image_head(job: Job) -> bytes:
    return job.source.block(0).ljust(HEAD_BYTES, b"\0")


def _implant(job: Job) -> OnStick | None:
    """The stick's own implanted MD5, where the image has one and the tables change what it covers."""
    if job.source.implant is None or job.plan.tables.head == _image_head(job):
        return None
    return OnStick(job.source.implant, job.plan.tables.head)


def _write_body(job: Job, tally: Tally, implant: OnStick | None) -> None:
    first = HEAD_BYTES // BLOCK_BYTES
    job.source.block(0)
    total = job.plan.body.size_bytes
    meter = Meter(job.observer, job.plan.target, "write", total)
    comparing, equal, skip = job.delta, 0, 0
    with ThreadPoolExecutor(QUEUE_DEPTH, thread_name_prefix="stick") as pool:
        waiting: list[Future[None]] = []
        try:
            for index in range(first, job.source.block_count):
                job.cancel.check()
                block = job.source.block(index)
                offset = index * BLOCK_BYTES
                if implant is not None:
                    implant.update(offset, block)
                if comparing and skip == 0:
                    tally.bytes_compared += len(block)
                    if job.target.read(offset, len(block)) == block:
                        equal += 1
                        meter.add(len(block))
                        continue
                    # little matches: comparing costs more than it saves; look again a while later
                    if equal * 8 < len(tally.written) - _TRIAL_BLOCKS:
                        skip, equal = _SKIP_BLOCKS, 0
                elif skip:
                    skip -= 1
                _begin(job, tally)
                tally.written.append(index)
                tally.bytes_written += len(block)
                waiting.append(pool.submit(job.target.write, offset, block))
                if len(waiting) >= QUEUE_DEPTH:
                    waiting.pop(0).result()
                meter.add(len(block))
            for future in waiting:
                future.result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise
    if tally.written:
        job.target.flush()


def _read_back(job: Job, tally: Tally) -> None:
    meter = Meter(job.observer, job.plan.target, "verify", len(tally.written) * BLOCK_BYTES)
    for index in tally.written:
        job.cancel.check()
        block = job.source.block(index)
        got = job.target.read(index * BLOCK_BYTES, len(block))
        if got != block:
            raise _mismatch(job, index * BLOCK_BYTES, block, got)
        meter.add(len(block))


def _mismatch(job: Job, offset: int, wanted: bytes, got: bytes) -> DeviceError:
    """Byte range, the image's file there, and the likely cause."""
    differing = [i for i in range(len(wanted)) if wanted[i] != got[i]]
    start, end = offset + differing[0], offset + differing[-1] + 1
    file = job.locate(start)
    where = f" (in {file})" if file else ""
    if job.source.reader(offset, len(wanted)) != wanted:
        cause = "The image file changed while it was written: write it again."
    elif not any(got):
        cause = "Zeros came back: the stick is failing, or its capacity is fake. Use another one."
    else:
        cause = "The stick is failing, or something else wrote to it. Use another one."
    return DeviceError(f"{job.target.path}: bytes {start} to {end}{where} read back differently.", cause)


def _write_data(job: Job, tally: Tally) -> None:
    span = job.plan.data
    if span is None:
        return
    job.cancel.check()
    job.observer(Event("phase", job.plan.target, "data", message="Preparing ENGINE-DATA"))
    new = make_receipt(job)
    files = {receipt.PATH: new.to_bytes()}
    if job.answers is not None:
        files[data.ANSWERS] = job.answers
    if job.plan.data_is_kept:
        tally.data_is_kept = True
        files = {p: c for p, c in files.items() if data.read_file(job.target, span, p) != c}
        if files:
            _begin(job, tally)
            tally.bytes_written += data.add_files(job.target, span, files)
        return
    _begin(job, tally)
    now = int(time.time())
    tally.bytes_written += data.make(job.target, span, files, serial=now & 0xFFFFFFFF, timestamp=now)


def make_receipt(job: Job) -> Receipt:
    """The receipt of the image, whose first 4 MiB are digested without the tables."""
    digests = job.source.digests()
    gaps = holes(job.plan)
    first = range(min(DIGEST_BYTES // BLOCK_BYTES, job.source.block_count))
    head = b"".join(job.source.block(index) for index in first)
    blocks = (receipt.masked_digest(head, 0, gaps), *digests.blocks[1:])
    return Receipt(job.plan.image, job.plan.image_bytes, replace(digests, blocks=blocks), gaps)


def holes(plan: WritePlan) -> tuple[tuple[int, int], ...]:
    """Where the stick's first MiB may differ from the image's: MBR and GPT, and Windows' disk id."""
    return (_DISK_ID, *((span.offset_bytes, span.size_bytes) for span in plan.holes))


def _write_tail(job: Job, tally: Tally) -> None:
    tail, offset = job.plan.tables.tail, job.plan.tables.tail_offset
    if not tail or job.target.read(offset, len(tail)) == tail:
        return
    _begin(job, tally)
    _put_signpost(job)
    job.target.write(offset, tail)
    job.target.flush()
    tally.bytes_written += len(tail)
    _check_span(job, Span(offset, len(tail)), tail)


def _is_head_right(job: Job) -> bool:
    return job.target.read(0, HEAD_BYTES) == job.plan.tables.head


def _write_head(job: Job, tally: Tally) -> None:
    _begin(job, tally)
    job.cancel.check()
    head = job.plan.tables.head
    job.observer(Event("phase", job.plan.target, "finish", message="Making it bootable"))
    job.target.write(0, head)
    job.target.flush()
    tally.bytes_written += len(head)
    _check_span(job, Span(0, len(head)), head)
    if job.cancel.is_set:
        raise CancelledError
    job.target.reread_partitions()


def _check_span(job: Job, span: Span, wanted: bytes) -> None:
    got = job.target.read(span.offset_bytes, span.size_bytes)
    if got != wanted:
        raise _mismatch_table(job, span, wanted, got)


def _mismatch_table(job: Job, span: Span, wanted: bytes, got: bytes) -> DeviceError:
    differing = [i for i in range(len(wanted)) if wanted[i] != got[i]]
    start, end = span.offset_bytes + differing[0], span.offset_bytes + differing[-1] + 1
    return DeviceError(
        f"{job.target.path}: bytes {start} to {end} (partition tables) read back differently.",
        "The stick is failing: use another one.",
    )
