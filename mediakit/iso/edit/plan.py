"""From an image and a list of changes to a plan of regions. Reads the image, writes nothing.

New contents, folders and path tables go behind everything the image has; what is overwritten is the sectors
that switch to them. The plan is checked on the planned bytes before it is given out.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path

from mediakit.errors import RefusedError, SourceError, UsageError
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.iso9660_build import VOLUME_ID_BYTES, DescriptorPatch, record_date
from mediakit.formats.reader import Reader
from mediakit.iso.edit import check, forest, record
from mediakit.iso.edit.bootfiles import BootFiles
from mediakit.iso.edit.changes import Carry, Change, Overwrite, Patch, Put, Remove
from mediakit.iso.edit.draft import Draft, Phase, Tail
from mediakit.iso.edit.folders import NewFile, all_changed
from mediakit.iso.edit.forest import Forest
from mediakit.iso.edit.layout import Layout
from mediakit.iso.edit.model import EditPlan, Region
from mediakit.iso.edit.overlay import overlay_reader
from mediakit.iso.edit.record import Record
from mediakit.iso.edit.survey import Survey, survey
from mediakit.iso.edit.tables import Growth, Tables
from mediakit.iso.edit.undo import newest_record
from mediakit.iso.image import Image
from mediakit.iso.implanting import MARK
from mediakit.plain import dataclass
from mediakit.units import SECTOR, align_up, format_size

_USUAL_BODY_BYTES = 8 * BLOCK
"""Room for the record of most edits; with a larger record the plan is laid out once more."""
MAX_OVERWRITE_BYTES = 64 << 20
IMPLANT_REMOVED = (
    "The checksum implanted in the image (isomd5sum) was removed, as it would be wrong: "
    "implantisomd5 makes a new one."
)
_APPLICATION_USE, _APPLICATION_USE_BYTES = 883, 512


def make_plan(
    image: Image,
    changes: Sequence[Change],
    *,
    now: int,
    force: bool = False,
    end_limit_bytes: int | None = None,
    is_undoable: bool = True,
    holes: Sequence[tuple[int, int]] = (),
) -> EditPlan:
    """Plan ``changes``, applied one after the other; ``now`` (seconds) dates what is new.

    ``end_limit_bytes``: what an edit of a stick must not reach. Without ``is_undoable`` no record is left
    behind, and contents may go into ``holes`` (start, end; whole blocks): for a new file, never in place.
    RefusedError says why an edit cannot be made without breaking something; ``force`` lets boot routes break
    (and says which), never trees.
    """
    if not changes:
        raise UsageError("There is nothing to change.")
    check.check_image(image, changes)
    previous = newest_record(image.reader, image.size_bytes)
    if previous is not None and previous.state != "done":
        raise RefusedError(
            "An earlier edit of this image was cut off.", "Complete it or take it back (--undo) first."
        )
    work = _Work(image, _patched(image, changes), now, previous, is_undoable, holes)
    work.space = survey(image, work.view, end_limit_bytes)
    work.trees = forest.plant(image.reader, image.size_bytes, work.space.sets, record_date(now))
    for change in changes:
        _take(work, change, force=force)
    _check_overwrites(work)
    plan = work.lay_out()
    broken = check.check_plan(image, plan, work.trees, force=force)
    return replace(plan, notes=(*plan.notes, *broken)) if broken else plan


@dataclass
class _Work:
    """The state of one planning."""

    image: Image
    view: Reader
    now: int
    previous: Record | None
    is_undoable: bool
    holes: Sequence[tuple[int, int]]
    space: Survey = field(init=False)
    trees: Forest = field(init=False)
    overwrites: list[tuple[Overwrite, int, bytes]] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    label: str | None = None
    what: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    boot: BootFiles = field(init=False)

    def __post_init__(self) -> None:
        self.boot = BootFiles(self.image)

    def lay_out(self) -> EditPlan:
        """Lay out until the record fits the room that was left for it."""
        body_bytes = _USUAL_BODY_BYTES
        while True:
            attempt = _Attempt(self, body_bytes)
            entry = attempt.run()
            body = entry.body()
            if len(body) <= body_bytes or not self.is_undoable:
                return attempt.finish(entry, body)
            body_bytes = align_up(len(body) + 256, BLOCK)


class _Attempt:
    """One layout with a given room for the record's body."""

    def __init__(self, work: _Work, body_bytes: int) -> None:
        self.work = work
        self.draft = Draft(work.image.reader)
        self.tail = Tail(work.space.tail_start, list(work.holes))
        self.head = self.body = self.tail.start
        if work.is_undoable:
            self.head = self.tail.reserve(BLOCK)
            self.body = self.tail.reserve(body_bytes)
        self.wipes: list[tuple[int, int]] = []
        self.growth = Growth(0, 0)

    def run(self) -> Record:
        """Everything but the record itself."""
        work = self.work
        for patch in work.patches:
            phase = min(Phase.PATCHES + patch.order, Phase.TABLES - 1)
            self.draft.write(phase, patch.offset_bytes, patch.data, patch.why)
        self._overwrites()
        self._forget_implant()
        live = {
            entry.put
            for grove in work.trees.groves
            for folder in all_changed(grove.tree.root)
            for entry in folder.entries
            if entry.put is not None
        }
        work.trees.files = [file for file in work.trees.files if file in live]
        layout = Layout(self.draft, self.tail)
        layout.files(work.trees, work.boot.contents, [file for _, file in work.boot.replaced])
        patches = [layout.grove(grove) for grove in work.trees.groves]
        work.boot.plan(self.draft)
        tables = Tables(work.space, work.view, work.boot.moves())
        has_new = bool(live) or any(grove.tree.root.is_changed for grove in work.trees.groves)
        blockers = tables.blockers() if has_new else ()
        for part in blockers:
            tables.move(part, part.start)
        if self.tail.at == self.tail.start and not work.patches:
            # in place and without a record: no table changes
            self._descriptors(patches, 0)
            self.growth = Growth(work.image.size_bytes, work.image.size_bytes)
            return self._record(0)
        temporary = self.tail.reserve(tables.array_bytes()) if tables.needs_array else 0
        if work.is_undoable:
            self.tail.add(BLOCK, record.build_trailer(self.head), "record of the edit: trailer")
        tail_end = self.tail.at
        self._descriptors(patches, tail_end)
        for start, end in dict.fromkeys((part.start, part.end) for part in blockers):
            data = work.view(start, end - start)
            place = self.tail.add(len(data), data, "partition that makes room (appended image)")
            for part in blockers:
                if part.start == start:
                    tables.move(part, place)
            work.boot.follow(self.draft, start, place)
        self.growth = tables.plan(self.draft, self.tail, tail_end, temporary)
        return self._record(tail_end)

    def _record(self, tail_end: int) -> Record:
        work = self.work
        previous = work.previous
        return Record(
            sequence=previous.sequence + 1 if previous else 1,
            time=work.now,
            head=self.head,
            tail_end=tail_end,
            old_size_bytes=work.image.size_bytes,
            new_size_bytes=self.growth.new_size,
            previous=previous.head if previous else None,
            what=tuple(work.what),
            steps=self.draft.steps(),
            wipes=tuple(self.wipes),
        )

    def finish(self, entry: Record, body: bytes) -> EditPlan:
        """The regions in their order."""
        if not self.work.is_undoable:
            return self._finish_bare(entry)
        regions = [_state(entry, self.body, body, Phase.HEAD)]
        self.tail.put(self.body, len(body), body, "record of the edit")
        regions += sorted(self.tail.pieces, key=lambda region: region.offset_bytes)
        regions.append(_state(entry.with_state("committed"), self.body, body, Phase.COMMIT))
        payloads = dict(self.wipes)
        for step in entry.steps:
            new = step.new if step.new is not None else self._payload(step.payload, payloads[step.payload])
            regions.append(Region(step.offset_bytes, step.size_bytes, step.why, step.phase, new))
        for offset, size in self.wipes:
            regions.append(Region(offset, size, "wiping the copy of a secret", Phase.WIPE, bytes(size)))
        regions.append(_state(entry.with_state("done"), self.body, body, Phase.DONE))
        notes = (*self.work.notes, *dict.fromkeys(self.work.trees.notes))
        return EditPlan(
            self.work.image.path,
            entry.old_size_bytes,
            entry.new_size_bytes,
            tuple(regions),
            replace(entry, state="done"),
            notes,
        )

    def _finish_bare(self, entry: Record) -> EditPlan:
        """The same without the record: nothing can be taken back."""
        regions = sorted(self.tail.pieces, key=lambda region: region.offset_bytes)
        for step in entry.steps:
            assert step.new is not None
            regions.append(Region(step.offset_bytes, step.size_bytes, step.why, step.phase, step.new))
        notes = (*self.work.notes, *dict.fromkeys(self.work.trees.notes))
        sizes = entry.old_size_bytes, entry.new_size_bytes
        return EditPlan(self.work.image.path, *sizes, tuple(regions), replace(entry, state="done"), notes)

    def _payload(self, offset: int, size: int) -> bytes:
        piece = next(piece for piece in self.tail.pieces if piece.offset_bytes == offset)
        assert isinstance(piece.source, bytes)
        return piece.source[:size]

    def _overwrites(self) -> None:
        for change, offset, data in self.work.overwrites:
            if not (change.secret and self.work.is_undoable):
                self.draft.write(Phase.CONTENTS, offset, data, change.why)
                continue
            whole = align_up(len(data), SECTOR)
            full = data + self.work.image.read_at(offset + len(data), whole - len(data))
            payload = self.tail.add(whole, full, f"{change.why} (until the edit is done)")
            self.draft.write_secret(
                offset, full, change.why, change.path, payload, keeps_old=change.keeps_old
            )
            self.wipes.append((payload, whole))

    def _forget_implant(self) -> None:
        """isomd5sum's sum over the whole image is wrong now; making it anew would read all of it."""
        for volume_set in self.work.space.sets:
            for volume in volume_set.descriptors.volumes:
                where = (volume_set.base + volume.lba) * BLOCK + _APPLICATION_USE
                if MARK in self.work.view(where, _APPLICATION_USE_BYTES):
                    blank = b" " * _APPLICATION_USE_BYTES
                    self.draft.write(Phase.PATCHES, where, blank, record.IMPLANT_WHY)
                    note = IMPLANT_REMOVED
                    self.work.notes = [*[n for n in self.work.notes if n != note], note]

    def _descriptors(self, patches: list[DescriptorPatch], tail_end: int) -> None:
        for grove, patch in zip(self.work.trees.groves, patches, strict=True):
            base = grove.tree.base
            for volume in grove.volumes:
                label = None if self.work.label is None else _label(self.work, volume.kind == "joliet")
                blocks = max(volume.space_blocks, tail_end // BLOCK - base)
                full = patch.merged(DescriptorPatch(space_blocks=blocks, volume_id=label))
                where = (base + volume.lba) * BLOCK
                kind = "Joliet" if volume.kind == "joliet" else "primary"
                sector = full.apply(self.work.view(where, SECTOR))
                self.draft.write(Phase.TREES, where, sector, f"volume descriptor ({kind})")


def _state(entry: Record, body_offset: int, body: bytes, phase: int) -> Region:
    sector = record.build_head(entry, body_offset, body)
    return Region(entry.head, len(sector), f"record of the edit: {entry.state}", phase, sector)


def _patched(image: Image, changes: Sequence[Change]) -> Reader:
    """The image with the patches over it."""
    regions = []
    for change in changes:
        if isinstance(change, Patch):
            end = change.offset_bytes + len(change.data)
            if change.offset_bytes < 0 or end > image.size_bytes or not change.data:
                raise UsageError(f"Bytes {change.offset_bytes} to {end} are not in the image.")
            regions.append(Region(change.offset_bytes, len(change.data), change.why, 0, change.data))
    return overlay_reader(image.reader, image.size_bytes, regions, image.size_bytes)


def _take(work: _Work, change: Change, *, force: bool) -> None:
    if isinstance(change, Put):
        source = change.source if isinstance(change.source, bytes) else (change.source, 0)
        _put(work, change, NewFile(change.path, source, _source_size(change.source), change.mode))
    elif isinstance(change, Carry):
        place = change.source, change.offset_bytes
        _put(work, change, NewFile(change.path, place, change.size_bytes, change.mode, change.date))
    elif isinstance(change, Remove):
        entry = work.trees.entry(work.trees.resolve(change.path))
        removed = work.trees.remove(change)
        if entry is not None and not force:
            work.boot.check_removed(work.trees.main, removed, change.path)
        work.what.append(f"remove {change.path}")
    elif isinstance(change, Overwrite):
        _overwrite(work, change)
        work.what.append(f"overwrite {change.path}")
    elif isinstance(change, Patch):
        work.patches.append(change)
        work.what.append(change.why)
    else:
        work.label = change.label
        _label(work, is_joliet=False)
        work.what.append(f"label {change.label}")


def _put(work: _Work, change: Put | Carry, file: NewFile) -> None:
    work.boot.put(work.trees.main, work.trees.entry(work.trees.resolve(change.path)), file)
    work.trees.put(change, file)
    work.what.append(f"put {change.path}")


def _overwrite(work: _Work, change: Overwrite) -> None:
    node = work.image.file(change.path)
    if node.kind != "file" or node.is_zisofs:
        raise RefusedError(f"{change.path} is no plain file: it cannot be overwritten in place.")
    if len(change.data) > node.size_bytes or node.size_bytes > MAX_OVERWRITE_BYTES:
        raise RefusedError(
            f"{change.path} has room for {format_size(node.size_bytes)}; "
            f"{format_size(len(change.data))} cannot be put there in place.",
            "Make it shorter, or add it as a new file.",
        )
    at = 0
    data = change.data.ljust(node.size_bytes, b"\0")
    for offset, size in node.extents:
        if offset + size > work.image.size_bytes:
            raise SourceError(f"{change.path} lies outside the image.", "It is truncated.")
        if size:
            work.overwrites.append((change, offset, data[at : at + size]))
        at += size


def _check_overwrites(work: _Work) -> None:
    """UsageError where one edit both overwrites a file in place and replaces or removes it."""
    if not any(grove.tree.root.is_changed for grove in work.trees.groves):
        return
    for change, _, _ in work.overwrites:
        entry = work.trees.entry(work.trees.resolve(change.path))
        if entry is None or entry.put is not None:
            raise UsageError(
                f"{change.path} is overwritten and replaced at once.", "Make two edits, or one change of it."
            )


def _label(work: _Work, is_joliet: bool) -> bytes:
    """The 32 bytes of the volume id; UsageError for a label that no descriptor can hold."""
    label = work.label or ""
    if not label or len(label) > VOLUME_ID_BYTES or not label.isascii() or not label.isprintable():
        raise UsageError(
            f"“{label}” cannot be a label of a disc image.", "Use 1 to 32 letters, digits, “_” and “-”."
        )
    if not is_joliet:
        return label.encode().ljust(VOLUME_ID_BYTES, b" ")
    half = VOLUME_ID_BYTES // 2
    if len(label) > half:
        note = f"The Joliet tree (Windows) shows the first {half} characters of the label only."
        work.notes = [*[n for n in work.notes if n != note], note]
    return label[:half].ljust(half).encode("utf-16-be")


def _source_size(source: Path | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        found = source.stat()
    except OSError as error:
        raise SourceError(f"{source} cannot be read: {error.strerror}.", "Check the name.") from error
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{source} is not a file.", "Name a file.")
    return found.st_size
