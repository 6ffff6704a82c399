"""Files and trees of an image onto this host: a plan, then its execution. Never writes outside the folder.

The image is not trusted: names that no system allows, links that lead out of the folder and special files
are left out and said; setuid, setgid and sticky bits are not taken over; links are made last, so nothing is
written through one. What cannot be read whole is not left behind in part. Blocks of zeros become holes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mediakit.errors import DeviceError, FormatError, RefusedError, SourceError
from mediakit.formats.iso9660 import moment_seconds
from mediakit.iso.extract_plan import Damaged, Entry, ExtractPlan, LeftOut, as_cause, make_plan
from mediakit.iso.image import FileRecord, Image
from mediakit.iso.nodes import Node
from mediakit.iso.outdir import NameRefusedError, OutputFolder
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Meter, Observer, ignore
from mediakit.units import KIB, MIB

READ_BYTES = MIB
AHEAD_BYTES = 256 * KIB
"""Smaller files are read together with what follows them: they lie side by side."""
SHORT = "the image ends before it does"


@dataclass(frozen=True)
class Extraction:
    """What became of it. ``skipped`` was left out on purpose, ``failed`` is what this host did not take."""

    image: str
    folder: str
    extracted: tuple[FileRecord, ...]
    skipped: tuple[LeftOut, ...] = ()
    failed: tuple[LeftOut, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    @property
    def exit_status(self) -> int:
        return DeviceError.exit_status if self.failed else SourceError.exit_status if self.damaged else 0

    def to_json(self) -> dict[str, Any]:
        """``extract --json``."""
        return {
            "schema": 1,
            "path": self.image,
            "folder": self.folder,
            "extracted": [asdict(record) for record in self.extracted],
            "skipped": [asdict(one) for one in self.skipped],
            "failed": [asdict(one) for one in self.failed],
            "damaged": [asdict(one) for one in self.damaged],
        }


def extract(
    image: Image,
    paths: Iterable[str],
    folder: str | os.PathLike[str],
    *,
    force: bool = False,
    observer: Observer = ignore,
    cancel: Cancel | None = None,
) -> Extraction:
    """Extract ``paths`` (``/`` is everything) into ``folder``, which is made if it is not there.

    Existing files are a RefusedError before anything is written; with ``force`` they are replaced one by
    one, folders are never. DeviceError when the host's disk fails or is full; the file in hand is removed.
    """
    plan = make_plan(image, paths)
    with OutputFolder(Path(folder)) as out:
        _settle_existing(out, plan, force)
        return _Run(image, out, observer, cancel or Cancel()).run(plan)


class _Run:
    """Executes a plan. Effects: only through ``out``."""

    def __init__(self, image: Image, out: OutputFolder, observer: Observer, cancel: Cancel) -> None:
        self._image, self._out, self._observer, self._cancel = image, out, observer, cancel
        self._window = _Window(image)
        self._extracted: list[FileRecord] = []
        self._failed: list[LeftOut] = []
        self._damaged: list[Damaged] = []

    def run(self, plan: ExtractPlan) -> Extraction:
        made = [entry for entry in plan.folders if self._folder(entry)]
        meter = Meter(self._observer, str(self._image.path), "extract", plan.total_bytes)
        for entry in plan.files:
            self._cancel.check()
            self._file(entry, meter)
        for entry in plan.links:
            self._link(entry)
        for entry in reversed(made):
            if (seconds := moment_seconds(entry.node.moment)) is not None:
                self._out.set_time(entry.path, seconds)
        return Extraction(
            str(self._image.path),
            str(self._out.path),
            tuple(sorted(self._extracted, key=lambda record: record.path)),
            tuple(plan.skipped),
            tuple(self._failed),
            (*plan.damaged, *self._damaged),
        )

    def _folder(self, entry: Entry) -> bool:
        mode = 0o777 if entry.node.mode is None else entry.node.mode & 0o777 | 0o700
        try:
            made = self._out.make_folder(entry.path, mode)
        except NameRefusedError as error:
            self._failed.append(LeftOut(entry.path, error.why))
            return False
        self._extracted.append(FileRecord(entry.path, 0, "directory"))
        return made

    def _file(self, entry: Entry, meter: Meter) -> None:
        node = entry.node
        mode = 0o666 if node.mode is None else node.mode & 0o777
        seconds = moment_seconds(node.moment)
        try:
            if missing := _missing(node, self._image.size_bytes):
                raise _UnreadableError(*missing, SHORT)
            size = self._out.write_file(entry.path, mode, self._metered(entry, meter), seconds)
            self._extracted.append(FileRecord(entry.path, size, "file"))
        except NameRefusedError as error:
            self._failed.append(LeftOut(entry.path, error.why))
        except _UnreadableError as error:
            self._damaged.append(Damaged(entry.path, error.offset_bytes, error.size_bytes, error.cause))

    def _metered(self, entry: Entry, meter: Meter) -> Iterator[bytes]:
        """A file's blocks, counted; it is damaged if they are not as long as it."""
        left = entry.node.size_bytes
        for block in self._blocks(entry):
            self._cancel.check()
            left -= len(block)
            yield block
            meter.add(len(block))
        if left:
            raise _UnreadableError(*_whole(entry.node), "its length is not what its folder says")

    def _blocks(self, entry: Entry) -> Iterator[bytes]:
        node = entry.node
        if node.is_zisofs:
            try:
                yield from self._image.stream(entry.path)
            except (FormatError, DeviceError) as error:
                raise _UnreadableError(*_whole(node), as_cause(error)) from error
            return
        for offset, size in node.extents:
            for start in range(0, size, READ_BYTES):
                step = min(READ_BYTES, size - start)
                if offset < 0:  # a hole, which only UDF has
                    yield bytes(step)
                    continue
                try:
                    yield self._window.read(offset + start, step)
                except (FormatError, DeviceError) as error:
                    raise _UnreadableError(offset + start, step, as_cause(error)) from error

    def _link(self, entry: Entry) -> None:
        try:
            self._out.make_link(entry.path, entry.node.target)
        except NameRefusedError as error:
            self._failed.append(LeftOut(entry.path, error.why))
            return
        if (seconds := moment_seconds(entry.node.moment)) is not None:
            self._out.set_time(entry.path, seconds)
        self._extracted.append(FileRecord(entry.path, 0, "symlink"))


class _UnreadableError(Exception):
    """Bytes of the image that could not be had."""

    def __init__(self, offset_bytes: int, size_bytes: int, cause: str) -> None:
        super().__init__(cause)
        self.offset_bytes, self.size_bytes, self.cause = offset_bytes, size_bytes, cause


class _Window:
    """Reads of the image in ascending order: small ones are served from what was read ahead."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._start, self._data = 0, b""

    def read(self, offset: int, size: int) -> bytes:
        at = offset - self._start
        if at >= 0 and at + size <= len(self._data):
            return self._data[at : at + size]
        if size >= AHEAD_BYTES:
            return self._image.read_at(offset, size)
        ahead = min(READ_BYTES, self._image.size_bytes - offset)
        try:
            self._start, self._data = offset, self._image.read_at(offset, max(ahead, size))
        except DeviceError:
            return self._image.read_at(offset, size)  # a bad sector that is not ours, perhaps
        return self._data[:size]


def _settle_existing(out: OutputFolder, plan: ExtractPlan, force: bool) -> None:
    """Refuse what would be written over, or note that it may be; nothing is written yet."""
    if out.is_empty():
        return
    entries = [(entry, True) for entry in plan.folders]
    entries += [(entry, False) for entry in (*plan.files, *plan.links)]
    there = [entry.path for entry, is_folder in entries if out.is_in_the_way(entry.path, is_folder=is_folder)]
    if there and not force:
        names = ", ".join(there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
        raise RefusedError(
            f"{out.path} holds files already that would be replaced: {names}.",
            "Extract into another folder, or replace them with --force.",
        )
    for path in there:
        out.allow_replacing(path)


def _whole(node: Node) -> tuple[int, int]:
    """Where a file begins in the image, and how much of it is stored."""
    start = next((offset for offset, size in node.extents if size and offset >= 0), 0)
    return start, sum(size for _, size in node.extents)


def _missing(node: Node, limit: int) -> tuple[int, int] | None:
    """Offset and size of the first bytes of a file that lie behind the image's end."""
    for offset, size in node.extents:
        if offset >= 0 and size and offset + size > limit:
            start = max(offset, limit)
            return start, offset + size - start
    return None
