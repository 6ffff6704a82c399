"""Compacting an image without moving anything its author placed: as it was before its first edit here, with
all that the edits changed put in as one.

Everything in the original stays where it is, for what names places (signed areas, boot code, Apple maps).
The history goes, and so do the bytes of files that were replaced or removed: what is new lies in their
places, where it fits, or zeros. The plan is for a new file; nothing here writes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mediakit.errors import RefusedError
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.compacting.likeness import data_partitions
from mediakit.iso.edit.changes import Carry, Change, Overwrite, Patch, Put, Remove, SetVolumeId
from mediakit.iso.edit.draft import Phase
from mediakit.iso.edit.medium import SketchMedium
from mediakit.iso.edit.model import EditPlan, Region
from mediakit.iso.edit.overlay import planned_image
from mediakit.iso.edit.plan import make_plan
from mediakit.iso.edit.record import Record, Step
from mediakit.iso.edit.survey import partitions, read_tables
from mediakit.iso.edit.undo import MAX_EDITS, history, newest_record, undo
from mediakit.iso.image import Image
from mediakit.iso.tree import Node
from mediakit.plain import dataclass
from mediakit.units import MIB, SECTOR, align_up

Span = tuple[int, int]
"""Start and end in bytes of the image."""
_WIPE_BYTES = 4 * MIB
_LAST_SECOND = 1 << 33
"""In 2242; a directory record ends before (ECMA-119 §9.1.5)."""
_MARK = ".mediakit-folder"


def plan_rebase(image: Image) -> EditPlan | None:
    """How ``image`` becomes a new file without history; None where it carries no edit.

    For ``apply.write_new``. RefusedError when its edits cannot be taken back, or not be made as one.
    """
    edits = history(image)
    if not edits:
        return None
    under = unedited(image)
    base = Image(image.path, under.read, under.size_bytes)
    changes = _Difference(base, image, edits).changes()
    back = [Region(at, len(data), "as before the edits", 0, data) for at, data in under.runs()]
    plan = _planned(base, changes, edits)
    live = _all_live(base, plan)
    holes = list(_without(merged(_gone(base, changes)), live))
    if holes and any(isinstance(change, Carry) for change in changes):
        plan = _planned(base, changes, edits, holes)
        live = _all_live(base, plan)
    tails = [
        (edit.head, min(edit.tail_end, base.size_bytes)) for edit in edits if edit.head < base.size_bytes
    ]
    wiped = _zeros(_gone(base, changes), live, "bytes of a file that is gone", Phase.WIPE)
    # a medium that is larger than its image keeps its size, and what edits left behind them
    left = _zeros(tails, live, "what earlier edits left", Phase.HEAD)
    record = replace(plan.record, steps=(), wipes=())
    return replace(plan, regions=(*back, *left, *plan.regions, *wiped), record=record)


def unedited(image: Image) -> SketchMedium:
    """The image with all its edits taken back; RefusedError when something else changed what they changed."""
    under = SketchMedium(image.reader, image.size_bytes)
    for _ in range(MAX_EDITS):
        if newest_record(under.read, under.size_bytes) is None:
            break
        undo(under)
    return under


def wiped_bytes(plan: EditPlan) -> int:
    """How much of the original is zeros in the new file, as it was replaced or removed."""
    return sum(region.size_bytes for region in plan.regions if region.phase == Phase.WIPE)


def _all_live(base: Image, plan: EditPlan) -> list[Span]:
    return merged([*_live(planned_image(base, plan)), *_unknown_boot(base)])


def _planned(
    base: Image, changes: Sequence[Change], edits: Sequence[Record], holes: Sequence[Span] = ()
) -> EditPlan:
    if changes:
        now = min(edits[0].time, _LAST_SECOND)
        return make_plan(base, changes, now=now, force=True, is_undoable=False, holes=holes)
    size = base.size_bytes
    record = Record(0, edits[0].time, size, size, size, size, None, (), (), state="done")
    return EditPlan(base.path, size, size, (), record)


@dataclass
class _Difference:
    """What is to be done to ``base`` so that it has the files of ``image``."""

    base: Image
    image: Image
    edits: Sequence[Record]

    def changes(self) -> list[Change]:
        old, new = dict(self.base.tree.walk()), dict(self.image.tree.walk())
        starts = {start for node in old.values() for start, _ in spans(node)}
        found: list[Change] = [*self._patches(starts)]
        label = self.image.descriptors.volumes[0].volume_id
        if label != self.base.descriptors.volumes[0].volume_id:
            found.append(SetVolumeId(label))
        gone = {path for path, node in old.items() if _shape(node) != _shape(new.get(path))}
        found += [Remove(path) for path in sorted(gone) if not _has_parent(path, gone)]
        filled = {path.rpartition("/")[0] for path in new}
        rooms = self._rooms()
        for path, node in new.items():
            there = None if path in gone else old.get(path)
            if node.kind == "file":
                found += self._file(path, node, there, rooms)
            elif there is None and node.kind == "directory":
                if path not in filled:  # an edit knows folders by what is in them
                    mark = f"{path}/{_MARK}"
                    found += [Put(mark, b""), Remove(mark)]
            elif there is None:
                raise RefusedError(f"{path} is no file, and no edit of this program made it.")
        return found

    def _file(self, path: str, node: Node, old: Node | None, rooms: Sequence[Span]) -> Iterator[Change]:
        """What makes the file what it is now."""
        if old is not None and node.extents == old.extents and node.mode == old.mode:
            if any(low < end and start < high for start, end in spans(node) for low, high in rooms):
                data = self.image.read(path)
                if data != self.base.read(path):
                    yield Overwrite(path, data, f"{path}, in its place")
            return
        extents = [extent for extent in node.extents if extent.size_bytes]
        if len(extents) > 1 or node.is_zisofs:
            raise RefusedError(f"{path} lies in pieces, which no edit of this program made.")
        start = extents[0].offset_bytes if extents else 0
        mode = None if node.mode is None else node.mode & 0o7777
        yield Carry(path, self.image.path, start, node.size_bytes, mode, node.records[0].recorded)

    def _rooms(self) -> list[Span]:
        """Where edits changed contents in place."""
        return [
            (step.offset_bytes, step.offset_bytes + step.size_bytes)
            for step in self._steps(Phase.CONTENTS, Phase.TREES)
            if step.offset_bytes < self.base.size_bytes
        ]

    def _patches(self, starts: set[int]) -> list[Patch]:
        """Boot structures that edits changed, without what other parts of those edits changed in them.

        ``starts``: where files of the original begin.
        """
        patched = SketchMedium(self.base.reader, self.base.size_bytes)
        for step in self._steps(Phase.PATCHES, Phase.TABLES):
            end = step.offset_bytes + step.size_bytes
            if step.old is not None and step.new is not None and end <= patched.size_bytes:
                now = patched.read(step.offset_bytes, step.size_bytes)
                masked = bytes(w if w != o else n for w, o, n in zip(step.new, step.old, now, strict=True))
                patched.write(step.offset_bytes, masked)
        self._moved(patched, starts)
        return [Patch(at, data, "boot structure that was edited") for at, data in patched.runs()]

    def _moved(self, patched: SketchMedium, starts: set[int]) -> None:
        """Edits inside a partition that an edit had moved to make room: at the place it had before.

        One that is a file too was replaced with that.
        """
        tables = read_tables(self.image.reader, self.image.size_bytes)
        places = {(part.table, part.index): part for part in partitions(*tables)}
        for old in partitions(*read_tables(self.base.reader, self.base.size_bytes)):
            new = places.get((old.table, old.index))
            size = old.end - old.start
            if new is None or new.start == old.start or new.end - new.start != size or old.start in starts:
                continue
            if old.end > self.base.size_bytes or new.end > self.image.size_bytes:
                continue
            for at in range(0, size, SECTOR * 128):
                length = min(SECTOR * 128, size - at)
                now = self.image.read_at(new.start + at, length)
                if now != patched.read(old.start + at, length):
                    patched.write(old.start + at, now)

    def _steps(self, first: Phase, end: Phase) -> Iterator[Step]:
        """The steps of the phases from ``first`` to before ``end``, the oldest edit first."""
        for record in reversed(self.edits):
            yield from (step for step in record.steps if first <= step.phase < end)


def spans(node: Node) -> list[Span]:
    """Where the contents of a node lie."""
    return [(e.offset_bytes, e.offset_bytes + e.size_bytes) for e in node.extents if e.size_bytes]


def _gone(base: Image, changes: Iterable[Change]) -> list[Span]:
    """Where files of the original lay that were replaced or removed."""
    names = {change.path for change in changes if isinstance(change, Carry | Remove)}
    return [
        (start, align_up(end, BLOCK))
        for path, node in base.tree.walk()
        if node.kind == "file" and (path in names or _has_parent(path, names))
        for start, end in spans(node)
    ]


def _zeros(dead: Iterable[Span], live: Sequence[Span], why: str, phase: Phase) -> list[Region]:
    """Zeros for what of ``dead`` is not ``live``."""
    zeros = bytes(_WIPE_BYTES)
    regions = []
    for start, end in _without(merged(dead), live):
        for at in range(start, end, _WIPE_BYTES):
            size = min(_WIPE_BYTES, end - at)
            regions.append(Region(at, size, why, phase, zeros[:size]))
    return regions


def _live(image: Image) -> Iterator[Span]:
    """What something in the image names: files and folders of all trees, boot images, partitions."""
    for tree in image.trees:
        for node in (tree.root, *(node for _, node in tree.walk())):
            yield from ((start, align_up(end, BLOCK)) for start, end in spans(node))
    facts = image.facts()
    for boot in facts.boot_images:
        start = boot.entry.lba * BLOCK
        yield start, start + max(boot.size_bytes, boot.entry.load_sectors * SECTOR)
    if image.descriptors.boot_catalog_lba is not None:
        start = image.descriptors.boot_catalog_lba * BLOCK
        yield start, start + BLOCK
    for part in data_partitions(image):
        yield part.start, part.end


def _unknown_boot(base: Image) -> Iterator[Span]:
    """The boot images of the original, where boot code that nobody knows may start them by their places."""
    if base.facts().structures.mbr_kind == "other":
        for boot in base.facts().boot_images:
            yield boot.offset_bytes, boot.offset_bytes + align_up(boot.size_bytes, BLOCK)


def merged(found: Iterable[Span]) -> list[Span]:
    """Sorted, those that touch or overlap as one."""
    joined: list[Span] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _without(wanted: Iterable[Span], taken: Sequence[Span]) -> Iterator[Span]:
    """What of ``wanted`` lies in none of ``taken``, which is merged."""
    for first, end in wanted:
        at = bisect_right(taken, first, key=lambda span: span[1])
        free = first
        while free < end and at < len(taken) and taken[at][0] < end:
            if free < taken[at][0]:
                yield free, taken[at][0]
            free, at = max(free, taken[at][1]), at + 1
        if free < end:
            yield free, end


def _shape(node: Node | None) -> tuple[str, str, bool] | None:
    """What no replacing of contents changes."""
    return None if node is None else (node.kind, node.target, node.is_zisofs)


def _has_parent(path: str, paths: set[str]) -> bool:
    at = path.rfind("/")
    while at > 0:
        if path[:at] in paths:
            return True
        at = path.rfind("/", 0, at)
    return False
