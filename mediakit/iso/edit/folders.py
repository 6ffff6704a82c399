"""One directory tree held for editing: folders are loaded when looked into, records kept as they are.

Knows records and names; where things will lie is ``layout``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Literal

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import iso9660, rockridge, rockridge_build
from mediakit.formats import iso9660_build as build
from mediakit.formats.iso9660 import (
    BLOCK,
    FLAG_ASSOCIATED,
    FLAG_DIRECTORY,
    FLAG_MULTI_EXTENT,
    VolumeDescriptor,
)
from mediakit.formats.reader import Reader, sub_reader
from mediakit.formats.rockridge import RockRidge
from mediakit.formats.rockridge_build import Flavour
from mediakit.iso.edit import naming
from mediakit.iso.edit.model import Source
from mediakit.iso.edit.naming import Style, Taken
from mediakit.iso.nodes import MAX_DIRECTORY_BYTES
from mediakit.plain import dataclass

Kind = Literal["file", "directory", "symlink", "other", "relocated"]


@dataclass(eq=False)
class NewFile:
    """Contents that an edit brings, one for all trees. ``extents`` are set by the layout: (offset, size);
    ``date`` (seven bytes) is that of the edit where it is empty."""

    path: str
    source: Source
    size_bytes: int
    mode: int | None
    date: bytes = b""
    extents: tuple[tuple[int, int], ...] = ()


@dataclass(eq=False)
class Entry:
    """One name. ``raws`` are its records, several for a multi-extent file; ``area`` a new continuation;
    ``link`` the folder that was relocated from here (RRIP §4.1.5), once it was looked into."""

    raws: list[bytes]
    name: str
    kind: Kind
    rock: RockRidge = field(default_factory=RockRidge)
    put: NewFile | None = None
    child: Folder | None = None
    link: Folder | None = None
    area: bytes = b""

    @property
    def identifier(self) -> bytes:
        return build.record_name(self.raws[0])

    @property
    def lba(self) -> int:
        """Where the contents lie, relative to the tree's own block 0."""
        record = iso9660.parse_record(self.raws[0], 0)
        assert record is not None
        return record.lba

    @property
    def size_bytes(self) -> int:
        return sum(int.from_bytes(raw[10:14], "little") for raw in self.raws)

    @property
    def is_hidden(self) -> bool:
        """Whether it is no name of its own: an associated file, or the real place of a relocated folder."""
        return self.kind == "relocated" or bool(self.raws[0][25] & FLAG_ASSOCIATED)


@dataclass(eq=False)
class Folder:
    """A directory; ``lba`` and ``size_bytes`` say where it is now (−1: it is new). The ``parent`` of a
    relocated one is the folder that holds such folders, ``logical`` where people see it."""

    name: str
    lba: int
    size_bytes: int
    parent: Folder | None
    entry: Entry | None
    logical: Folder | None = None
    own: bytes = b""
    up: bytes = b""
    entries: list[Entry] = field(default_factory=list)
    by_name: dict[str, Entry] = field(default_factory=dict)
    by_fold: dict[str, Entry] = field(default_factory=dict)
    taken: Taken = field(default_factory=Taken)
    style: Style | None = None
    is_loaded: bool = False
    is_changed: bool = False
    new_folders: int = 0
    new_lba: int = 0
    new_bytes: int = 0

    @property
    def path(self) -> str:
        """Absolute; empty for the root."""
        return f"{self.parent.path}/{self.name}" if self.parent else ""

    def mark(self) -> None:
        """It will be written anew, and so will all folders above it, which name its place."""
        here: Folder | None = self
        while here is not None and not here.is_changed:
            here.is_changed = True
            if here.logical is not None:
                here.logical.mark()
            here = here.parent


class EditTree:
    """The tree of one descriptor. ``base`` is the block of the image that is its block 0."""

    def __init__(self, reader: Reader, size_bytes: int, base: int, volume: VolumeDescriptor) -> None:
        self.base = base
        self.volume = volume
        self.size_bytes = size_bytes - base * BLOCK
        self.reader = sub_reader(reader, base * BLOCK, self.size_bytes)
        self._left = self._continuation_left = self.size_bytes
        self.root = Folder("", volume.root.lba, volume.root.size_bytes, None, None)
        self.skip: int | None = None
        if volume.kind == "primary":
            first = iso9660.parse_record(self.reader(volume.root.lba * BLOCK, BLOCK), 0)
            self.skip = rockridge.find_skip(first.system_use) if first else None
        self.is_joliet = volume.kind == "joliet"
        self.has_rock = self.skip is not None
        self.flavour = Flavour(skip=self.skip or 0)

    def load(self, folder: Folder) -> list[Entry]:
        """The entries of a folder, read once."""
        if folder.is_loaded:
            return folder.entries
        end = folder.lba * BLOCK + folder.size_bytes
        if folder.size_bytes > MAX_DIRECTORY_BYTES or end > self.size_bytes:
            raise FormatError(
                f"The folder “{folder.path}” lies outside the image.", "Copy or download the image again."
            )
        self._left -= folder.size_bytes
        if self._left < 0:
            raise FormatError("Folders of the disc image overlap each other.")
        raws = build.split_directory(self.reader(folder.lba * BLOCK, folder.size_bytes))
        if len(raws) < 2 or build.record_name(raws[0]) != b"\0" or build.record_name(raws[1]) != b"\1":
            raise FormatError(f"The folder “{folder.path}” of the disc image is damaged.")
        folder.own, folder.up = raws[:2]
        found = rockridge_build.flavour_of(self.system_use(folder.own), self.skip or 0)
        if self.has_rock and found is not None:
            self.flavour = found
        parts: list[bytes] = []
        for raw in raws[2:]:
            parts.append(raw)
            if not raw[25] & FLAG_MULTI_EXTENT:
                self.add(folder, self._entry(parts, folder))
                parts = []
        if parts:
            raise FormatError(f"A file in the folder “{folder.path}” of the disc image has no end.")
        folder.is_loaded = True
        return folder.entries

    def child(self, folder: Folder, entry: Entry) -> Folder:
        """The folder behind an entry; one that was relocated is found where it really lies."""
        if entry.rock.child_lba is not None:
            if entry.link is None:
                entry.link = self._relocated(folder, entry, entry.rock.child_lba)
            return entry.link
        if entry.child is None:
            entry.child = Folder(entry.name, entry.lba, entry.size_bytes, folder, entry)
        return entry.child

    def _relocated(self, logical: Folder, entry: Entry, lba: int) -> Folder:
        """The folder that ``entry``'s CL names, below the one in the root that holds relocated folders."""
        if (lba + 1) * BLOCK > self.size_bytes:
            raise FormatError(f"The relocated folder “{entry.name}” lies outside the image.")
        block = self.reader(lba * BLOCK, BLOCK)
        own = iso9660.parse_record(block, 0)
        up = iso9660.parse_record(block, block[0])
        holder = next(
            (e for e in self.load(self.root) if up and e.kind == "directory" and e.lba == up.lba), None
        )
        if own is None or up is None or holder is None or not self._can_point(entry, block, lba):
            raise RefusedError(
                f"The folder “{logical.path}/{entry.name}” was relocated in a way that is not known: "
                "nothing in it can be changed in place.",
                "Write the image anew first: mediakit rewrite --compact, once more if it carries edits.",
            )
        place = self.child(self.root, holder)
        real = next((e for e in self.load(place) if e.kind == "relocated" and e.lba == lba), None)
        if real is None:
            raise FormatError(f"The relocated folder “{entry.name}” of the disc image is damaged.")
        real.child = Folder(entry.name, lba, own.size_bytes, place, real, logical)
        return real.child

    def _can_point(self, entry: Entry, block: bytes, lba: int) -> bool:
        """Whether CL and PL lie in the records themselves, where they can be patched."""
        up = bytes(block[block[0] : block[0] + block[block[0]]])
        skip = self.skip or 0
        here = {tag for tag, _, _ in rockridge_build.places(self.system_use(entry.raws[0]), skip)}
        there = {tag for tag, _, _ in rockridge_build.places(self.system_use(up), skip)}
        return b"CL" in here and b"PL" in there and lba > 0

    def find(self, folder: Folder, name: str) -> Entry | None:
        """The entry that people call ``name`` in this tree."""
        self.load(folder)
        exact = folder.by_name.get(name)
        if exact is not None or self.has_rock:
            return exact
        others = naming.other_names(name, self.style(folder), is_joliet=self.is_joliet)
        for other in (name, *others):
            found = folder.by_fold.get(other.casefold())
            if found is not None:
                return found
        return None

    def add(self, folder: Folder, entry: Entry, at: int | None = None) -> None:
        """Put an entry into a loaded folder, at the end by default."""
        folder.entries.insert(len(folder.entries) if at is None else at, entry)
        folder.taken.names.add(self.shown(entry.identifier))
        if not entry.is_hidden:
            folder.by_name.setdefault(entry.name, entry)
            folder.by_fold.setdefault(entry.name.casefold(), entry)

    def drop(self, folder: Folder, entry: Entry) -> None:
        """Take an entry out of a loaded folder."""
        folder.entries.remove(entry)
        folder.taken.names.discard(self.shown(entry.identifier))
        for index in (folder.by_name, folder.by_fold):
            for key in (entry.name, entry.name.casefold()):
                if index.get(key) is entry:
                    del index[key]

    def shown(self, identifier: bytes) -> str:
        """An identifier as people see it where there is no Rock Ridge."""
        return iso9660.joliet_name(identifier) if self.is_joliet else iso9660.plain_name(identifier)

    def style(self, folder: Folder) -> Style:
        """How names look in a folder and in the root."""
        if folder.style is not None:
            return folder.style
        near = [*folder.entries, *self.load(self.root)]
        files = [e.identifier for e in near if e.kind != "directory"]
        folders = [e.identifier for e in near if e.kind == "directory"]
        style = naming.style_of(files, folders, self.is_joliet)
        if self.has_rock:
            style = Style(has_version=style.has_version, has_dot=style.has_dot)
        folder.style = style
        return style

    def system_use(self, raw: bytes) -> bytes:
        """The system use area of a record."""
        return raw[self.use_start(raw) :]

    def use_start(self, raw: bytes) -> int:
        return 33 + raw[32] + (0 if raw[32] & 1 else 1)

    def _entry(self, parts: list[bytes], folder: Folder) -> Entry:
        first = iso9660.parse_record(parts[0], 0)
        if first is None or any(build.record_name(raw) != first.name for raw in parts):
            raise FormatError(f"A file in the folder “{folder.path}” of the disc image is damaged.")
        rock = RockRidge()
        if self.skip is not None:
            rock = rockridge.parse(first.system_use, self.skip, self._read_continuation)
        kind: Kind = "directory" if first.flags & FLAG_DIRECTORY else "file"
        if rock.is_relocated:
            kind = "relocated"
        elif rock.child_lba is not None:
            kind = "directory"
        elif rock.is_symlink:
            kind = "symlink"
        elif rock.is_special:
            kind = "other"
        return Entry(list(parts), rock.name or self.shown(first.name), kind, rock)

    def _read_continuation(self, offset: int, size: int) -> bytes:
        """Continuation areas share no bytes, so all of them together are no longer than the image."""
        self._continuation_left -= size
        if self._continuation_left < 0:
            raise FormatError("The Rock Ridge continuations of the disc image overlap: it is damaged.")
        return self.reader(offset, size)


def all_changed(folder: Folder) -> Iterator[Folder]:
    """The folders that will be written anew, parents first."""
    if folder.is_changed:
        yield folder
        for entry in folder.entries:
            if entry.child is not None:
                yield from all_changed(entry.child)
