"""Is every byte of an image what its maker signed or summed? Reads only, each byte once.

An Engine medium is held against its manifest and signature (``checked_by`` engine), any other image against
a sum that lies beside it, isomd5sum's implanted MD5 (md5), and the lists of sums in it (sums). Sums of the
whole decide; then lists in the image only say which file it is. Without any of them it is unchecked, which
is not the same as good.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from mediakit.engine import bootsums, custom, keys, manifest, signature, sums
from mediakit.engine.image import EngineImage
from mediakit.engine.implanted import WHOLE, implanted_md5
from mediakit.engine.manifest import Area, ManifestFile
from mediakit.engine.signature import PublicKey
from mediakit.engine.sources import Source, open_source
from mediakit.engine.sweep import CONTENT_DIFFERS, Damage, Item, Piece, is_ascending, sweep, total_bytes
from mediakit.errors import DeviceError, FormatError, SourceError
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Meter, Observer, ignore

OK, DAMAGED, UNTRUSTED, UNCHECKED = "ok", "damaged", "untrusted", "unchecked"


@dataclass(frozen=True)
class Verification:
    """``verify --json`` (FORMATS), with ``notes`` for people: sentences that say what else there is."""

    path: str
    checked_by: str
    result: str
    signature: str | None = None
    damaged: tuple[Damage, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        return {OK: 0, UNTRUSTED: 6}.get(self.result, 1)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": 1,
            "path": self.path,
            "checked_by": self.checked_by,
            "result": self.result,
            "signature": self.signature,
            "damaged": [asdict(damage) for damage in self.damaged],
        }


Judge = Callable[[Path, Observer, Cancel], Verification | None]
"""Another judge (a stick's receipt), asked before sums are looked for; None if it cannot tell."""


def verify(
    path: Path,
    trusted: Iterable[PublicKey] | None = None,
    *,
    observer: Observer = ignore,
    cancel: Cancel | None = None,
    judge: Judge | None = None,
    jobs: int = 0,
) -> Verification:
    """Check the image, device or mounted folder at ``path``; SourceError if it is unreadable.

    ``jobs`` threads hash, 0 for as many as are good here; the image is read once and in order all the same.
    """
    stop = cancel or Cancel()
    _forget_cached(path)
    source = open_source(path)
    try:
        if source.exists(manifest.PATH):
            return _Pass(source, observer, stop, jobs).engine(
                keys.built_in() if trusted is None else tuple(trusted)
            )
        judged = judge(path, observer, stop) if judge else None
        return judged or _Pass(source, observer, stop, jobs).other()
    finally:
        source.close()


class _Pass:
    """One pass over one source."""

    def __init__(self, source: Source, observer: Observer, cancel: Cancel, jobs: int) -> None:
        self._source, self._observer, self._cancel, self._jobs = source, observer, cancel, jobs
        self._damaged: list[Damage] = []
        self._items: list[Item] = []
        self._streams: list[tuple[str, int, str, str]] = []

    def engine(self, trusted: tuple[PublicKey, ...]) -> Verification:
        image = EngineImage(self._source)
        checked = image.check_signature(trusted)
        path = str(self._source.path)
        try:
            document = image.manifest
        except FormatError as error:
            if checked.is_good:
                raise
            return Verification(path, "engine", UNTRUSTED, checked.state, (), (checked.reason, error.message))
        if checked.state == signature.BAD:
            return Verification(path, "engine", UNTRUSTED, checked.state, (), (checked.reason,))
        for entry in document.files:
            self._add_file(entry, "sha256")
        notes = self._add_areas(document.areas)
        customised = custom.load(image, trusted)
        for entry in customised.files:
            self._add_file(entry, "sha256")
        damaged = self._run()
        if not checked.is_good:
            notes.append(checked.reason)
            result = UNTRUSTED
        elif customised.signature == "bad":
            notes.append("The list of what was customised has a bad signature.")
            result = UNTRUSTED
        else:
            result = DAMAGED if damaged else OK
            if checked.key_name:
                notes.append(f"Signed with: {checked.key_name}.")
        unlisted = custom.unlisted(image, customised)
        if unlisted:
            notes.append(f"Under /custom and not in the list of what was customised: {', '.join(unlisted)}.")
        return Verification(path, "engine", result, checked.state, damaged, (*notes, *customised.notes))

    def other(self) -> Verification:
        """An image that is not an Engine's: whatever there is to check it against."""
        path = str(self._source.path)
        try:
            implanted = implanted_md5(self._source)
        except FormatError as error:
            return Verification(path, "none", UNCHECKED, None, (), (error.message,))
        beside = sums.beside(self._source.path) if self._source.is_iso else []
        listed = sums.listed(self._source)
        for entry in beside:
            everything = (Piece(0, self._source.size_bytes),)
            self._add_item(Item(WHOLE, everything, entry.digest, entry.algorithm))
        if implanted:
            self._add_item(implanted)
        for entry in listed:
            self._add_sum(entry)
        if not (beside or implanted or listed):
            return Verification(path, "none", UNCHECKED, None, (), (sums.NOTHING,))
        damaged = self._without_patched(self._run(), listed)
        lists = ", ".join(dict.fromkeys(entry.source for entry in (*beside, *listed)))
        notes = [f"Checked against {lists}."] if lists else []
        checked_by = "md5" if implanted and not beside else "sums"
        if beside or implanted:
            damaged = self._judge_whole(damaged, notes, len(beside) + (implanted is not None))
        else:
            notes += self._unlisted(listed)
        return Verification(path, checked_by, DAMAGED if damaged else OK, None, damaged, tuple(notes))

    def _without_patched(self, damaged: tuple[Damage, ...], listed: list[sums.Listed]) -> tuple[Damage, ...]:
        """Without boot images that differ by what the image's maker wrote into them afterwards."""
        by_path = {entry.path: entry for entry in listed}
        return tuple(
            one
            for one in damaged
            if one.cause != CONTENT_DIFFERS or not self._is_patched(one.path, by_path.get(one.path))
        )

    def _is_patched(self, path: str, entry: sums.Listed | None) -> bool:
        if entry is None or not self._source.is_image or not self._source.exists(path):
            return False
        spans, size = self._source.spans(path), self._source.size(path)
        if len(spans) != 1 or not bootsums.may_be_one(size) or sum(spans[0]) > self._source.size_bytes:
            return False
        data = b"".join(self._source.stream(path, 0, size))
        return bootsums.was_summed_before(data, spans[0][0], entry.digest, entry.algorithm)

    def _judge_whole(
        self, damaged: tuple[Damage, ...], notes: list[str], sums_of_all: int
    ) -> tuple[Damage, ...]:
        """What is wrong where sums of the whole decide: the narrowest range that one of them gives."""
        whole = sorted((one for one in damaged if one.path == WHOLE), key=lambda one: one.size_bytes)
        parts = [one for one in damaged if one.path != WHOLE]
        if len(whole) < sums_of_all and (whole or parts):
            names = ", ".join(dict.fromkeys(one.path for one in damaged))
            notes.append(f"Other sums that it carries do not match, so they are not of this image: {names}.")
            return ()
        if whole and not parts:
            names = ", ".join(islice(self._names_in(whole[0]), 5))
            notes += [f"In these bytes lie: {names}."] if names else []
        return (*whole[:1], *parts)

    def _names_in(self, damage: Damage) -> Iterator[str]:
        """The files that have bytes in a range of the image, as far as its tree can be read."""
        start, end = damage.offset_bytes, damage.offset_bytes + damage.size_bytes
        with suppress(SourceError, DeviceError):
            for path in self._source.walk():
                if any(at < end and at + size > start for at, size in self._source.spans(path) if size):
                    yield path

    def _unlisted(self, listed: list[sums.Listed]) -> list[str]:
        """How much of it no list names; sentences."""
        known = {entry.path for entry in listed} | {entry.source for entry in listed}
        count = 0
        with suppress(SourceError, DeviceError):
            count = sum(path not in known for path in self._source.walk())
        return [f"No list names {count} of its files: they were not checked."] if count else []

    def _add_sum(self, entry: sums.Listed) -> None:
        if not self._source.exists(entry.path):
            self._damaged.append(Damage(entry.path, 0, 0, "it is missing"))
            return
        size = self._source.size(entry.path)
        self._add_file(ManifestFile(entry.path, size, entry.digest), entry.algorithm)

    def _add_file(self, entry: ManifestFile, algorithm: str) -> None:
        if not self._source.exists(entry.path):
            self._damaged.append(Damage(entry.path, 0, entry.size_bytes, "it is missing"))
            return
        spans = self._source.spans(entry.path) if self._source.is_image else ()
        size = self._source.size(entry.path)
        start = spans[0][0] if spans else 0
        if size != entry.size_bytes:
            cause = f"it has {size} bytes instead of {entry.size_bytes}"
            self._damaged.append(Damage(entry.path, start, size, cause))
        elif spans and is_ascending(spans) and sum(length for _, length in spans) == size:
            pieces = tuple(Piece(offset, length) for offset, length in spans if length)
            self._add_item(Item(entry.path, pieces, entry.sha256, algorithm))
        else:
            self._streams.append((entry.path, size, entry.sha256, algorithm))

    def _add_areas(self, areas: tuple[Area, ...]) -> list[str]:
        if not self._source.is_iso:
            return (
                ["Boot areas outside the files were not checked: these are the files alone."] if areas else []
            )
        for area in areas:
            self._add_item(Item(area.name, _area_pieces(area), area.sha256))
        return []

    def _add_item(self, item: Item) -> None:
        """Take ``item`` into the pass, unless the image is too short to have it."""
        end = max((p.offset_bytes + p.size_bytes for p in item.pieces), default=0)
        limit = self._source.size_bytes
        if end > limit:
            start = max(item.pieces[0].offset_bytes, limit)
            self._damaged.append(Damage(item.path, start, end - start, "the image ends before it does"))
        else:
            self._items.append(item)

    def _run(self) -> tuple[Damage, ...]:
        whole = total_bytes(self._items) + sum(size for _, size, _, _ in self._streams)
        meter = Meter(self._observer, str(self._source.path), "check", whole)
        damaged = self._damaged + sweep(
            self._items, self._source.read_at, meter.add, self._cancel, self._jobs
        )
        for path, size, digest, algorithm in self._streams:
            damaged += self._stream(path, size, digest, algorithm, meter)
        return tuple(damaged)

    def _stream(self, path: str, size: int, digest: str, algorithm: str, meter: Meter) -> list[Damage]:
        """A file that is no run of the image's bytes: compressed, with holes, or in a folder."""
        running = hashlib.new(algorithm, usedforsecurity=False)
        cause = CONTENT_DIFFERS
        try:
            for block in self._source.stream(path, 0, size):
                self._cancel.check()
                running.update(block)
                meter.add(len(block))
        except (DeviceError, SourceError):
            cause = "it cannot be read"
        else:
            if running.hexdigest() == digest:
                return []
        spans = self._source.spans(path) if self._source.is_image else ()
        start, end = (min(spans)[0], max(map(sum, spans))) if spans else (0, size)
        return [Damage(path, start, end - start, cause)]


def _area_pieces(area: Area) -> tuple[Piece, ...]:
    pieces, position = [], 0
    for hole in area.holes:
        pieces.append(Piece(area.offset_bytes + position, hole.offset_bytes - position))
        pieces.append(Piece(area.offset_bytes + hole.offset_bytes, hole.size_bytes, b"\0"))
        position = hole.offset_bytes + hole.size_bytes
    pieces.append(Piece(area.offset_bytes + position, area.size_bytes - position))
    return tuple(piece for piece in pieces if piece.size_bytes)


def _forget_cached(path: Path) -> None:
    """A device is read anew, not from the page cache: what counts is what the stick holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return  # opening it properly says what is wrong
    try:
        if stat.S_ISBLK(os.fstat(descriptor).st_mode):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
