"""Carrying out ``rewrite``: on an image file, on a stick, or into a new file. The one place where a request
meets a medium: it opens, plans, writes, and says what was done. Asking people is the caller's.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediakit import iso
from mediakit.block.devices import Device
from mediakit.block.target import Target, open_target
from mediakit.engine import manifest, rewriting
from mediakit.engine.rewriting import Request
from mediakit.errors import RefusedError, SourceError, UsageError
from mediakit.formats.reader import cached_reader
from mediakit.iso.edit.apply import apply_in_place, write_new
from mediakit.iso.edit.model import EditPlan
from mediakit.iso.edit.overlay import planned_image
from mediakit.iso.edit.plan import IMPLANT_REMOVED, make_plan
from mediakit.iso.edit.scratch import beside, no_room, put
from mediakit.iso.edit.undo import complete, history, history_of, undo
from mediakit.iso.image import Image
from mediakit.iso.implanting import RENEWED, WRONG
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Observer, ignore
from mediakit.stick import implants
from mediakit.stick.medium import TargetMedium, end_limit

if TYPE_CHECKING:
    from mediakit.formats.reader import Reader
    from mediakit.iso.compacting.compact import Compacted

DONE, ALREADY, PLANNED, UNDONE, COMPACTED = "done", "already", "planned", "undone", "compacted"


@dataclass(frozen=True)
class Outcome:
    """``rewrite --json``. ``undo``: how many edits can be taken back now; after ``--undo`` also what was
    taken back, and what of it is lost."""

    path: str
    result: str = DONE
    output: str | None = None
    bytes_written: int = 0
    regions: tuple[dict[str, Any], ...] = ()
    undo: dict[str, Any] = field(default_factory=lambda: {"edits": 0, "what": [], "lost": []})
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "path": self.path,
            "output": self.output,
            "result": self.result,
            "bytes_written": self.bytes_written,
            "regions": list(self.regions),
            "undo": self.undo,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Job:
    """How the work is watched and stopped."""

    observer: Observer = ignore
    cancel: Cancel = field(default_factory=Cancel)


def dry_run(path: Path, request: Request, *, compact: bool = False) -> Outcome:
    """What ``request`` would write, without writing."""
    with iso.open_image(path) as image:
        plan, notes = _plan(image, request)
        if plan is not None:
            plan = implants.announced(image, plan)
            notes = _merged(notes, plan)
        notes += ["Then the whole image would be compacted into a new file."] if compact else []
        return replace(_outcome(path, plan, notes), result=PLANNED if plan else ALREADY)


def into(
    path: Path, request: Request, out: Path, *, compact: bool = False, job: Job | None = None
) -> Outcome:
    """The edited image as the new file ``out``, which appears (or is replaced) only when it is whole."""
    work = job or Job()
    check_output(path, out)
    with iso.open_image(path) as image:
        plan, notes = (None, []) if request.is_empty else _plan(image, request)
        if compact:
            done = _compact(image, plan, out, request, work)
        elif plan is not None:
            plan = implants.renewed(image, plan, work.observer, work.cancel)
            write_new(image, plan, out, work.observer, work.cancel)
            notes = _merged(notes, plan)
        else:
            _copy(image, out)
    if compact:
        return replace(_compacted(path, out, done, notes), output=str(out))
    outcome = replace(_outcome(path, plan, notes), output=str(out))
    return _with_history(outcome, out)


def in_place(
    path: Path, request: Request, *, expected: Device | None = None, job: Job | None = None
) -> Outcome:
    """Change the image file or the stick itself; an earlier edit that was cut off is completed first."""
    work = job or Job()
    with _opened(path, expected) as target:
        medium = TargetMedium(target)
        finished = _complete(medium)
        image = _image(target, path)
        plan, notes = _plan(image, request, in_place=True)
        if plan is not None:
            plan = implants.renewed(image, plan, work.observer, work.cancel)
            notes = _merged(notes, plan)
            apply_in_place(medium, plan, work.observer, work.cancel)
            _reread(target, work.observer)
        elif (lost := implants.missing(image, work.observer, work.cancel)) is not None:
            target.write(*lost)
            target.flush()
            notes.append(RENEWED)
        edits = len(history_of(medium.read, plan.record) if plan is not None else history(image))
    outcome = _outcome(path, plan, [*finished, *notes])
    return replace(outcome, undo=outcome.undo | {"edits": edits})


def compact_in_place(path: Path, request: Request, job: Job | None = None) -> Outcome:
    """Write an image file anew and put it in the place of the old one when it is whole; never on a device."""
    work = job or Job()
    if stat.S_ISBLK(path.stat().st_mode):
        raise RefusedError("A stick cannot be written anew from itself.", "Compact the image, then write it.")
    with open_target(path) as target:  # nobody else writes it meanwhile
        finished = _complete(TargetMedium(target))
        with iso.open_image(path) as image:
            plan, notes = (None, []) if request.is_empty else _plan(image, request)
            done = _compact(image, plan, path, request, work)
    return _compacted(path, path, done, [*finished, *notes])


def undo_in_place(path: Path, *, expected: Device | None = None, job: Job | None = None) -> Outcome:
    """Take back the last edit of an image file or a stick."""
    work = job or Job()
    with _opened(path, expected) as target:
        taken = undo(TargetMedium(target))
        _reread(target, work.observer)
    notes = tuple(
        f"The contents of {name} before the edit were a secret and cannot be brought back."
        for name in taken.lost
    )
    outcome = Outcome(str(path), UNDONE, bytes_written=taken.bytes_written, notes=notes)
    done = {"edits": 0, "what": list(taken.what), "lost": list(taken.lost)}
    return _with_history(replace(outcome, undo=done), path)


def undo_into(path: Path, out: Path, *, job: Job | None = None) -> Outcome:
    """The image before its last edit, as the new file ``out``."""
    check_output(path, out)
    with beside(out) as scratch:
        with iso.open_image(path) as image:
            _copy(image, scratch)
        outcome = undo_in_place(scratch, job=job)
        put(scratch, out)
    return replace(outcome, path=str(path), output=str(out))


def check_output(path: Path, out: Path) -> None:
    """RefusedError for an output that is the image itself or no ordinary file; its folder must be there."""
    if stat.S_ISBLK(path.stat().st_mode):
        raise UsageError(f"{path} is a device.", "Change it with --in-place, or copy it to a file first.")
    if not out.resolve().parent.is_dir():
        raise SourceError(f"The folder {out.parent} does not exist.", "Make it first.")
    if out.exists() and not out.is_file():
        raise RefusedError(f"{out} is not an ordinary file.", "Write to a file, then use mediakit write.")
    if out.exists() and out.samefile(path):
        raise RefusedError(
            f"{out} is the image itself.", "Use --in-place to change it, or name another file."
        )


def _plan(image: Image, request: Request, *, in_place: bool = False) -> tuple[EditPlan | None, list[str]]:
    """The plan (None where nothing is to be done), and remarks for people.

    RefusedError for an edit in place that no order of writes makes safe against a power cut.
    """
    now = int(time.time())
    gathered = rewriting.gather(image, request, now=now)
    notes = list(gathered.notes)
    if not gathered.changes:
        return None, notes
    if in_place and gathered.risks and not request.force:
        raise RefusedError(
            f"{gathered.risks[0]}.",
            "Write a new file with -o, or use --force and let nothing interrupt it (run it again if so).",
        )
    plan = make_plan(image, gathered.changes, now=now, force=request.force, end_limit_bytes=end_limit(image))
    if gathered.is_engine:
        planned = planned_image(image, plan).reader
        notes += _check_manifest(image.path, plan, planned, force=request.force)
    return plan, [*notes, *plan.notes]


def _check_manifest(
    path: Path, plan: EditPlan, planned: Reader, *, force: bool, has_files: bool = True
) -> list[str]:
    """Remarks on what the plan breaks of an Engine medium's manifest; RefusedError without ``force``."""
    from mediakit.engine.image import open_engine

    regions = [(region.offset_bytes, region.size_bytes) for region in plan.regions]
    with open_engine(path) as engine:
        return rewriting.check_manifest(engine, regions, planned, force=force, has_files=has_files)


def _merged(notes: list[str], plan: EditPlan) -> list[str]:
    """The remarks, those of the implanted sum as the plan has them now."""
    return [*(note for note in notes if note != IMPLANT_REMOVED), *plan.notes]


def _outcome(path: Path, plan: EditPlan | None, notes: list[str]) -> Outcome:
    if plan is None:
        return Outcome(str(path), ALREADY, notes=tuple(dict.fromkeys(notes)))
    document = plan.to_json()
    return Outcome(
        path=str(path),
        bytes_written=document["bytes_written"],
        regions=tuple(document["regions"]),
        notes=tuple(dict.fromkeys(notes)),
    )


def _with_history(outcome: Outcome, path: Path) -> Outcome:
    with iso.open_image(path) as image:
        edits = len(history(image))
    return replace(outcome, undo=outcome.undo | {"edits": edits})


@contextmanager
def _opened(path: Path, expected: Device | None) -> Iterator[Target]:
    """The medium for writing; RefusedError for a device nobody confirmed, as ``path`` may have become one."""
    with open_target(path, expected=expected) as target:
        if expected is None and not target.is_file:
            raise RefusedError(f"{path} is a device that was not confirmed.", "Start again.")
        yield target


def _image(target: Target, path: Path) -> Image:
    """The image as it lies on the opened target, not as its name may lead elsewhere; until it is written."""
    return Image(path, cached_reader(target.reader, target.size_bytes), target.size_bytes)


def _complete(medium: TargetMedium) -> list[str]:
    found = complete(medium)
    if found is None:
        return []
    if found.state == "begun":
        return ["An earlier edit had been cut off before it began to count; it was taken back."]
    if found.state == "undoing":
        return ["An earlier --undo had been cut off; it was completed."]
    return ["An earlier edit had been cut off; it was completed."]


def _reread(target: Target, observer: Observer) -> None:
    if not target.is_file and not target.reread_partitions():
        what = "The kernel did not read its partitions again: pull the stick out and plug it in."
        observer(Event("warning", target.path, message=what))


def _compact(image: Image, plan: EditPlan | None, out: Path, request: Request, job: Job) -> Compacted:
    """Compact the image as ``plan`` makes it; what has its name stays whole until the new one is."""
    from mediakit.iso.compacting.compact import Compacted
    from mediakit.iso.compacting.compact import compact as write_compact

    is_engine = image.exists(manifest.PATH)
    with beside(out) as edited, beside(out) as made:
        source = image.path
        if plan is not None:
            write_new(image, plan, edited, job.observer, job.cancel)
            source = edited
        made.unlink()

        def approve(compacted: EditPlan, planned: Reader) -> list[str]:
            return _check_manifest(source, compacted, planned, force=request.force, has_files=False)

        done = write_compact(
            source,
            made,
            keeps_places=is_engine,
            approve=approve if is_engine else None,
            observer=job.observer,
            cancel=job.cancel,
            force=request.force,
        )
        if done.way == "nothing":
            note = "It carries no edits: there is nothing to drop."
            if not (out.exists() and out.samefile(image.path)):
                _copy(image, out)
            return Compacted("nothing", (note,))
        put(made, out)
    return done


def _compacted(path: Path, out: Path, done: Compacted, notes: list[str]) -> Outcome:
    if done.way == "nothing":
        return Outcome(str(path), ALREADY, notes=(*notes, *done.notes))
    if RENEWED in done.notes or WRONG in done.notes:
        notes = [note for note in notes if note != IMPLANT_REMOVED]
    size = out.stat().st_size
    return Outcome(
        str(path), COMPACTED, bytes_written=size, notes=tuple(dict.fromkeys([*notes, *done.notes]))
    )


def _copy(image: Image, out: Path) -> None:
    import shutil

    with beside(out) as scratch:
        try:
            shutil.copyfile(image.path, scratch)
            _flush(scratch)
        except OSError as error:
            raise no_room(error, out) from error
        put(scratch, out)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
