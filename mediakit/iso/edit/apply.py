"""Carrying out an edit plan: in place, phase by phase with a flush after each, or into a new file.

Decides nothing: the order that keeps every instant bootable is the plan's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from mediakit.errors import DeviceError, MediakitError, RefusedError
from mediakit.iso.edit.medium import FileMedium, Medium
from mediakit.iso.edit.model import EditPlan, Region
from mediakit.iso.edit.overlay import read_source
from mediakit.iso.edit.scratch import FULL, beside, no_room, put
from mediakit.iso.image import Image
from mediakit.progress import Cancel, Event, Observer, ignore
from mediakit.units import MIB

CHUNK_BYTES = 4 * MIB
COMMIT_PHASE = 2
"""Until this phase is written, nothing but the tail has changed."""
_FICLONE = 0x40049409  # linux/fs.h
_AGAIN = "Look at the image again and make the edit anew."


def apply_in_place(
    medium: Medium, plan: EditPlan, observer: Observer = ignore, cancel: Cancel | None = None
) -> None:
    """Write the plan to the image itself.

    RefusedError when the medium is no longer what was planned for, CancelledError or DeviceError before the
    commit leave it as it was (byte for byte); after it, ``undo.complete`` or ``undo.undo`` go on.
    """
    _check_unchanged(medium, plan)
    progress = _Progress(plan, observer)
    committed = False
    try:
        for phase, regions in plan.phases():
            committed = committed or phase >= COMMIT_PHASE
            for region in regions:
                _write_region(medium, region, progress, None if committed else cancel)
            medium.flush()
            if phase == 0:
                medium.resize(plan.new_size_bytes)
    except (MediakitError, KeyboardInterrupt):
        if not committed:
            with contextlib.suppress(MediakitError):
                _take_back(medium, plan)
        raise


def write_new(
    image: Image, plan: EditPlan, out: Path, observer: Observer = ignore, cancel: Cancel | None = None
) -> None:
    """A copy of the image with the edit in it; ``out`` appears only when it is complete.

    Shares the unchanged bytes where the filesystem can (FICLONE), lets the kernel copy otherwise. Like cp and
    xorriso it leaves it to the system when the copy reaches the disk: the image it was made from is whole.
    """
    if out.exists() and (not out.is_file() or out.samefile(image.path)):
        raise RefusedError(f"{out} cannot be written as a new image.", "Name another file.")
    progress = _Progress(plan, observer, plan.old_size_bytes)
    with beside(out) as part:
        try:
            _copy(image, part, plan.old_size_bytes, progress, cancel)
            with FileMedium(part) as medium:
                _check_unchanged(medium, plan)
                medium.resize(plan.new_size_bytes)
                for region in plan.regions:
                    _write_region(medium, region, progress, cancel)
        except OSError as error:
            raise no_room(error, out) from error
        except DeviceError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in FULL:
                raise no_room(error.__cause__, out) from error  # no word of the scratch file's name
            raise
        put(part, out)


class _Progress:
    """Counts bytes and tells the observer, at most once a MiB."""

    def __init__(self, plan: EditPlan, observer: Observer, more_bytes: int = 0) -> None:
        self._target = str(plan.path)
        self._total = plan.bytes_written + more_bytes
        self._observer = observer
        self._done = self._told = 0

    def add(self, size: int, phase: str) -> None:
        self._done += size
        if self._done - self._told >= MIB or self._done >= self._total:
            self._told = self._done
            self._observer(Event("progress", self._target, phase, self._done, self._total))


def _write_region(medium: Medium, region: Region, progress: _Progress, cancel: Cancel | None) -> None:
    at = 0
    while at < region.size_bytes:
        if cancel is not None:
            cancel.check()
        size = min(CHUNK_BYTES, region.size_bytes - at)
        medium.write(region.offset_bytes + at, read_source(region.source, at, size))
        progress.add(size, "write")
        at += size


def _check_unchanged(medium: Medium, plan: EditPlan) -> None:
    """The bytes that will be overwritten are the ones the plan saw."""
    if medium.size_bytes != plan.old_size_bytes:
        raise RefusedError(f"{plan.path} has another size than when it was looked at.", _AGAIN)
    first: dict[int, bytes | None] = {}
    for step in plan.record.steps:
        first.setdefault(step.offset_bytes, step.old)
    for offset, old in first.items():
        if old is not None and medium.read(offset, len(old)) != old:
            raise RefusedError(f"{plan.path} has changed at byte {offset} since it was looked at.", _AGAIN)


def _take_back(medium: Medium, plan: EditPlan) -> None:
    """Nothing was committed: forget the tail."""
    medium.resize(plan.old_size_bytes)
    if medium.size_bytes > plan.record.head:
        medium.write(plan.record.head, bytes(512))
    medium.flush()


def _copy(image: Image, part: Path, size_bytes: int, progress: _Progress, cancel: Cancel | None) -> None:
    with image.path.open("rb") as source, part.open("r+b") as target:
        try:
            if os.fstat(source.fileno()).st_size == size_bytes:
                fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
                progress.add(size_bytes, "copy")
                return
        except OSError:
            pass  # nothing was written; truncating would make ext4 flush the file when it is closed
        _copy_bytes(source.fileno(), target.fileno(), size_bytes, progress, cancel)


def _copy_bytes(source: int, target: int, left: int, progress: _Progress, cancel: Cancel | None) -> None:
    """All bytes by the kernel, or by reading and writing where it would not."""
    in_kernel = True
    while left:
        if cancel is not None:
            cancel.check()
        try:
            done = os.copy_file_range(source, target, min(left, 64 * MIB)) if in_kernel else 0
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            done = 0
        if not done:
            in_kernel = False
            data = os.read(source, min(left, CHUNK_BYTES))
            if not data:
                raise DeviceError("The image became shorter while it was copied.", "Try again.")
            done = len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
        left -= done
        progress.add(done, "copy")
