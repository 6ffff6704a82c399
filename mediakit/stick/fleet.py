"""Many sticks at once: each surveyed and planned first, then written by its own thread, as fast as it goes.

If one is refused none is written, unless that was asked for. One that fails does not stop the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import field, replace
from typing import Any

from mediakit.block import devices
from mediakit.block.devices import Device
from mediakit.block.target import Target, open_target
from mediakit.errors import CancelledError, DeviceError, MediakitError, RefusedError, UsageError
from mediakit.formats import gpt
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Observer
from mediakit.stick import data, tables
from mediakit.stick.plan import ImageShape, StickShape, WritePlan, make_plan
from mediakit.stick.source import Source
from mediakit.stick.write import Job, Tally, write_stick
from mediakit.units import SECTOR

Opener = Callable[[Device], AbstractContextManager[Target]]


@dataclass(frozen=True)
class Options:
    """What was asked for; ``wipe`` are identities of disks that are not removable."""

    delta: bool = True
    probe: bool = True
    with_data: bool = True
    answers: bytes | None = None
    wipe: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """A stick that may be written, and how."""

    device: Device
    plan: WritePlan


@dataclass(frozen=True)
class Outcome:
    """How it ended for one stick. ``result``: done, already, refused, failed or cancelled."""

    path: str
    serial: str = ""
    result: str = "done"
    bytes_total: int = 0
    bytes_written: int = 0
    bytes_compared: int = 0
    seconds: float = 0.0
    audit: dict[str, Any] | None = None
    data_partition: dict[str, Any] | None = None
    error: MediakitError | None = None

    def to_json(self) -> dict[str, Any]:
        """One entry of ``write --json`` (FORMATS)."""
        return {
            "path": self.path,
            "serial": self.serial,
            "result": self.result,
            "bytes_total": self.bytes_total,
            "bytes_written": self.bytes_written,
            "bytes_compared": self.bytes_compared,
            "seconds": round(self.seconds, 2),
            "audit": self.audit,
            "data_partition": self.data_partition,
            "reason": str(self.error) if self.error else "",
        }


@dataclass(frozen=True)
class Fleet:
    """What all sticks of one run share."""

    source: Source
    options: Options
    observer: Observer
    cancel: Cancel
    locate: Callable[[int], str] = lambda offset: ""
    approve: Callable[[], None] = lambda: None
    audit: Callable[[str], dict[str, Any] | None] = lambda path: None
    opener: Opener = field(default=lambda device: open_target(device.path, expected=device))


def image_shape(source: Source) -> ImageShape:
    """What plans need to know of ``source``."""
    head = source.block(0).ljust(tables.HEAD_BYTES, b"\0")
    return ImageShape(
        source.name, source.size_bytes, head, gpt.read(source.reader, source.size_bytes, SECTOR).gpt
    )


def prepare(source: Source, device: Device, options: Options) -> Prepared:
    """Judge and plan one stick without changing it; RefusedError says why it is not written."""
    _refuse(source, device, options)
    with open_target(device.path, expected=device, writable=False) as target:
        located = data.locate(target)
        is_usable = located is not None and data.is_usable(target, located.span)
        stick = StickShape(
            device.path,
            device.size_bytes,
            device.sector_bytes,
            located if is_usable else None,
            located is not None and not is_usable,
            tuple(content.what or content.kind for content in device.contents),
        )
        plan = make_plan(image_shape(source), stick, with_data=options.with_data)
    return Prepared(device, plan)


def write_all(fleet: Fleet, sticks: Sequence[Prepared]) -> list[Outcome]:
    """Write every stick at the same time; outcomes in the same order, errors inside them."""
    if len({(stick.device.is_file, stick.device.number) for stick in sticks}) != len(sticks):
        raise UsageError("The same target is named twice.", "Name each stick once.")
    outcomes: list[Outcome | None] = [None] * len(sticks)

    def work(number: int) -> None:
        outcomes[number] = _write_one(fleet, sticks[number])

    threads = [
        threading.Thread(target=work, args=(number,), name=f"stick-{number}", daemon=True)
        for number in range(len(sticks))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join(0.2)
            except KeyboardInterrupt:
                fleet.cancel.set()
    return [outcome or _unfinished(stick) for outcome, stick in zip(outcomes, sticks, strict=True)]


def _unfinished(stick: Prepared) -> Outcome:
    """For a thread that ended by a fault of ours: no stick goes without a word."""
    error = DeviceError(f"{stick.device.path}: the writing ended unexpectedly.", "Write it again.")
    return Outcome(stick.device.path, stick.device.serial, "failed", stick.plan.total_bytes, error=error)


def same_disk(source: Source, device: Device) -> bool:
    """Whether the image, or the packed file it comes from, lies on what is to be written, or is that."""
    return any(devices.has_file(device, path) for path in (source.path, source.origin))


def _refuse(source: Source, device: Device, options: Options) -> None:
    if "/" not in device.mounts and same_disk(source, device):
        raise RefusedError(f"The image lies on {device.path} itself.", "Copy the image elsewhere first.")
    if not device.allowed:
        raise RefusedError(device.reason, device.hint)
    if not device.removable and device.identity not in options.wipe:
        raise RefusedError(
            f"{device.path} ({device.title}) is not removable: it may be this machine's own disk.",
            f"If it is the right one, say so: --wipe {device.identity}",
        )


def _write_one(fleet: Fleet, stick: Prepared) -> Outcome:
    start = time.monotonic()
    tally = Tally()
    bare = Outcome(stick.device.path, stick.device.serial, bytes_total=stick.plan.total_bytes)
    try:
        with fleet.opener(stick.device) as target:
            job = Job(
                target,
                fleet.source,
                stick.plan,
                fleet.observer,
                fleet.cancel,
                delta=fleet.options.delta,
                probe=fleet.options.probe and not stick.device.is_file,
                answers=fleet.options.answers,
                locate=fleet.locate,
                approve=fleet.approve,
            )
            bare = replace(bare, result=write_stick(job, tally))
        bare = replace(bare, audit=fleet.audit(stick.device.path), data_partition=_data_json(stick, tally))
    except CancelledError as error:
        bare = replace(bare, result="cancelled", error=error)
    except MediakitError as error:
        bare = replace(bare, result="refused" if isinstance(error, RefusedError) else "failed", error=error)
    except OSError as error:
        wrapped = DeviceError(
            f"{stick.device.path}: {error.strerror or error}.", "Try another stick or port."
        )
        bare = replace(bare, result="failed", error=wrapped)
    if bare.error is not None:
        fleet.observer(Event("warning", stick.device.path, message=str(bare.error)))
    return replace(
        bare,
        bytes_written=tally.bytes_written,
        bytes_compared=tally.bytes_compared,
        seconds=time.monotonic() - start,
    )


def _data_json(stick: Prepared, tally: Tally) -> dict[str, Any] | None:
    span = stick.plan.data
    if span is None:
        return None
    return {"offset_bytes": span.offset_bytes, "size_bytes": span.size_bytes, "kept": tally.data_is_kept}
