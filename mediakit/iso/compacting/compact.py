"""Compacting an image: no dead space, no undo history, the same files and ways to boot.

Two ways: the original with the edits made as one (``rebase``), which keeps all that its author placed; or all
of it written anew (``anew``), which also gives back the room of what was removed from the original. Whether
the result is as good as the image is judged before it counts (``likeness``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mediakit import run
from mediakit.errors import FormatError, MediakitError, MissingToolError, RefusedError, UsageError
from mediakit.formats.reader import Reader
from mediakit.iso import implanting
from mediakit.iso.compacting import anew, rebase
from mediakit.iso.compacting.likeness import differences, remarks
from mediakit.iso.compacting.restamp import restamp
from mediakit.iso.edit import implant
from mediakit.iso.edit.apply import write_new
from mediakit.iso.edit.medium import FileMedium
from mediakit.iso.edit.model import EditPlan
from mediakit.iso.edit.overlay import planned_image
from mediakit.iso.edit.plan import IMPLANT_REMOVED
from mediakit.iso.edit.survey import survey
from mediakit.iso.edit.undo import newest_record
from mediakit.iso.image import Image, open_image
from mediakit.iso.implanting import Implant
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Meter, Observer, ignore
from mediakit.units import MIB, format_size

_KEEP = "Edit the image without --compact: that keeps everything."
_UNEDITED = "It carries no edits that could be dropped: use it as it is, or make it with what made it."
_WORTH_BYTES = MIB
"""With no more than this to give back, nothing of the original is moved."""
Approve = Callable[[EditPlan, Reader], Iterable[str]]
"""Looks at a plan and at the image as it will be; gives remarks, or raises RefusedError."""


@dataclass(frozen=True)
class Compacted:
    """What became of it: ``nothing`` was to be done and written, ``anew``, or ``rebased``."""

    way: Literal["nothing", "anew", "rebased"]
    notes: tuple[str, ...] = ()


def compact(
    source: Path,
    out: Path,
    *,
    keeps_places: bool = False,
    approve: Approve | None = None,
    observer: Observer = ignore,
    cancel: Cancel | None = None,
    force: bool = False,
) -> Compacted:
    """Write ``source`` compacted to ``out``, which must not exist; it is not there when that fails.

    ``keeps_places``: something signed says where things lie, so all of the original stays where it is.
    RefusedError with the reason where nothing would be as good as the image, DeviceError when writing fails.
    """
    job = _Job(out, approve, observer, cancel or Cancel())
    with open_image(source) as image:
        newest = None
        with suppress(FormatError):  # a damaged record is no reason not to write the image anew
            newest = newest_record(image.reader, image.size_bytes)
        if newest is not None and newest.state != "done":
            raise RefusedError(
                "An earlier edit of this image was cut off.", "Complete it or take it back (--undo) first."
            )
        found = implant.known(image)
        try:
            if keeps_places:
                plan = rebase.plan_rebase(image)
                done = Compacted("rebased", job.rebase(image, plan)) if plan else Compacted("nothing")
            else:
                done = job.best(image, force=force)
            if found is not None and done.way != "nothing":
                notes = (note for note in done.notes if note != IMPLANT_REMOVED)
                done = replace(done, notes=(*notes, job.implant(*found)))
            return done
        except BaseException:
            out.unlink(missing_ok=True)
            raise


@dataclass(frozen=True)
class _Job:
    out: Path
    approve: Approve | None
    observer: Observer
    cancel: Cancel

    def implant(self, old: Implant, before: Reader) -> str:
        """Make the sum of the new image where ``old`` is that of ``before``; a remark on what was done."""
        with FileMedium(self.out) as medium:
            volume = implanting.volume_bytes(medium.read)
            meter = Meter(self.observer, str(self.out), "check", old.end + old.for_volume(volume).end)
            field = implanting.renew(old, before, medium.read, volume, meter.add, self.cancel)
            medium.write(implanting.FIELD_OFFSET, field or b" " * implanting.FIELD_BYTES)
            medium.flush()
        return implanting.RENEWED if field else implanting.WRONG

    def best(self, image: Image, *, force: bool) -> Compacted:
        """Rebased where that is as small; else anew, where nothing is lost by it; else rebased as well."""
        plan, hint = None, ""
        try:
            plan = rebase.plan_rebase(image)
            if plan is not None and rebase.wiped_bytes(plan) <= _WORTH_BYTES:
                return Compacted("rebased", self.rebase(image, plan))
        except (RefusedError, UsageError, FormatError) as error:
            # what cannot be taken back and made as one can still be written anew
            plan, hint = None, f"Nor can its edits be made as one: {error.message}"
        lost = next(anew.losses(image), "")
        notes: list[str] = []
        why: MediakitError | None = RefusedError(lost, _KEEP) if lost else self._anew(image, notes)
        if why is None:
            return Compacted("anew", tuple(notes))
        if plan is not None:
            size = format_size(rebase.wiped_bytes(plan))
            kept = f"Everything of the original stays where it is: {size} of what was removed are zeros now."
            return Compacted("rebased", (why.message, kept, *self.rebase(image, plan)))
        if force and self.out.exists():
            return Compacted("anew", (why.message,))
        raise RefusedError(why.message, hint or _UNEDITED) if isinstance(why, RefusedError) else why

    def rebase(self, image: Image, plan: EditPlan) -> tuple[str, ...]:
        """Write the image without its history; remarks on it."""
        planned = planned_image(image, plan)
        notes = [*plan.notes]
        if self.approve is not None:
            notes += self.approve(plan, planned.reader)
        changed = rebase.merged((r.offset_bytes, r.offset_bytes + r.size_bytes) for r in plan.regions)
        problem = next(differences(image, planned, self.observer, self.cancel, changed), None)
        if problem is not None:
            raise RefusedError(f"Without its history the image would not be the same: {problem}", _KEEP)
        self.out.unlink(missing_ok=True)
        write_new(image, plan, self.out, self.observer, self.cancel)
        _flush(self.out)
        return tuple(notes)

    def _anew(self, image: Image, notes: list[str]) -> MediakitError | None:
        """Write it with xorriso; why that is not as good, or None when it is, with remarks in ``notes``."""
        if not run.has_tool("xorriso"):
            return MissingToolError("xorriso is not installed.", "Install it: apt install xorriso")
        self.observer(
            Event("phase", str(self.out), "write", total_bytes=image.size_bytes, message="writing anew")
        )
        try:
            anew.write(image, self.out)
        except run.ToolError as error:
            self.out.unlink(missing_ok=True)
            return error
        self.cancel.check()
        restamp(image, self.out)
        with open_image(self.out) as new:
            problem = next(differences(image, new, self.observer, self.cancel), None)
            notes += remarks(image, new)
        try:
            survey(image, image.reader, None)
        except RefusedError as error:  # bytes behind it that may be somebody's
            notes.append(f"{error.message} They were left out.")
        if problem is None:
            _flush(self.out)
            return None
        return RefusedError(f"Written anew the image would not be the same: {problem}", _KEEP)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
