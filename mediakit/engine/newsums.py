"""Lists of sums that an image carries, kept true by an edit: the lines of changed files get new sums.

Without that an edited Ubuntu or Debian calls itself damaged when it boots and checks its medium. Planning
only: each list becomes a file to put. A list whose maker signed it is left as it is, and said; so is the
line of a boot image that was damaged before some of it is changed: that does not make the rest right.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from mediakit import iso
from mediakit.engine import sums
from mediakit.engine.sources import IsoSource
from mediakit.errors import SourceError
from mediakit.iso.edit.changes import Change, Patch, Put, Remove
from mediakit.units import MIB

_SIGNATURES = (".asc", ".gpg", ".sig", ".sign", ".p7s", ".minisig")
_MAX_NAMES = 40
_ARMOUR = "-----BEGIN PGP SIGNED MESSAGE-----"


def plan(image: iso.Image, changes: Iterable[Change]) -> tuple[list[Put], list[str]]:
    """The lists to put besides ``changes``, and remarks for people."""
    made = list(changes)
    puts = {change.path: change for change in made if isinstance(change, Put)}
    removed = [change.path for change in made if isinstance(change, Remove)]
    patches = [change for change in made if isinstance(change, Patch)]
    patched = _patched_images(image, patches)
    if not (puts or removed or patched):
        return [], []
    source = IsoSource.of(image)
    found: list[Put] = []
    notes: list[str] = []
    for path in sums.lists_about(source, _names_in(image), (*puts, *removed, *patched)):
        if path in puts or any(_is_below(path, folder) for folder in removed):
            continue
        text = sums.read_list(source, path)
        listing = _Listing(image, source, puts, removed, patches, patched)
        renewed, count = listing.renew(text, path)
        notes += [
            f"{name} is not what {path} says: it was damaged before, and its line stays as it is."
            for name in listing.damaged
        ]
        if not count:
            continue
        if _ARMOUR in text or any(source.exists(path + end) for end in _SIGNATURES):
            notes.append(f"{path} names changed files, and its maker signed it: it is left as it is.")
            continue
        found.append(Put(path, renewed.encode("utf-8", "surrogateescape")))
        notes.append(f"{path} lists {'one changed file' if count == 1 else f'{count} changed files'} anew.")
    return found, notes


class _Listing:
    """One list and what the changes make of the files in it."""

    def __init__(
        self,
        image: iso.Image,
        source: IsoSource,
        puts: dict[str, Put],
        removed: list[str],
        patches: list[Patch],
        patched: set[str],
    ) -> None:
        self._image, self._source = image, source
        self._puts, self._removed, self._patches, self._patched = puts, removed, patches, patched
        names = {path.rpartition("/")[2] for path in (*puts, *removed, *patched)}
        self._names = names if len(names) <= _MAX_NAMES else None
        self.damaged: list[str] = []

    def renew(self, text: str, path: str) -> tuple[str, int]:
        """The list with the lines of changed files made anew, and how many these are."""
        rows, count = [], 0
        for row in text.splitlines(keepends=True):
            entry = None
            if self._names is None or any(name in row for name in self._names):
                entry = next(iter(sums.lines_of(self._source, row, path)), None)
            if entry is None or not self._is_changed(entry.path):
                rows.append(row)
                continue
            if entry.path not in self._puts and any(_is_below(entry.path, gone) for gone in self._removed):
                count += 1
                continue
            if self._was_damaged(entry):
                self.damaged.append(entry.path)
                rows.append(row)
                continue
            digest = self._digest(entry, self._patches)
            is_new = digest != entry.digest
            count += is_new
            rows.append(re.sub(re.escape(entry.digest), digest, row, count=1, flags=re.I) if is_new else row)
        return "".join(rows), count

    def _is_changed(self, path: str) -> bool:
        is_touched = path in self._puts or path in self._patched
        return is_touched or any(_is_below(path, gone) for gone in self._removed)

    def _was_damaged(self, entry: sums.Listed) -> bool:
        """Whether a file of which only some bytes are changed had another sum than the list says."""
        return entry.path not in self._puts and self._digest(entry, ()) != entry.digest

    def _digest(self, entry: sums.Listed, patches: Sequence[Patch]) -> str:
        running = hashlib.new(entry.algorithm, usedforsecurity=False)
        for block in self._blocks(entry.path, patches):
            running.update(block)
        return running.hexdigest()

    def _blocks(self, path: str, patches: Sequence[Patch]) -> Iterator[bytes]:
        put = self._puts.get(path)
        if put is None:
            yield from self._patched_blocks(path, patches)
        elif isinstance(put.source, bytes):
            yield put.source
        else:
            yield from _file_blocks(put.source)

    def _patched_blocks(self, path: str, patches: Sequence[Patch]) -> Iterator[bytes]:
        for offset, size in self._source.spans(path):
            for at in range(offset, offset + size, MIB):
                block = bytearray(self._image.read_at(at, min(MIB, offset + size - at)))
                for patch in patches:
                    start = max(patch.offset_bytes, at)
                    end = min(patch.offset_bytes + len(patch.data), at + len(block))
                    if start < end:
                        block[start - at : end - at] = patch.data[
                            start - patch.offset_bytes : end - patch.offset_bytes
                        ]
                yield bytes(block)


def _patched_images(image: iso.Image, patches: list[Patch]) -> set[str]:
    """The boot images that patches lie in: menus in EFI images are changed so."""
    found = set()
    for boot in image.facts().boot_images if patches else ():
        start, end = boot.offset_bytes, boot.offset_bytes + boot.size_bytes
        if boot.path and any(start < p.offset_bytes + len(p.data) and p.offset_bytes < end for p in patches):
            found.add(boot.path)
    return found


def _names_in(image: iso.Image) -> Callable[[str], Iterable[str]]:
    def names(folder: str) -> Iterable[str]:
        node = image.tree.find(folder)
        return image.tree.children(node) if node is not None and node.kind == "directory" else ()

    return names


def _file_blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(MIB):
                yield block
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Check the file.") from error


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
