"""All trees of an image held for editing, and what a change means in each of them. Lays out no bytes.

The main tree is the one people see. In the others the same file is found by where its contents lie, or by
what its name becomes there; what was hidden from a tree stays hidden.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import field

from mediakit.errors import FormatError, RefusedError, UsageError
from mediakit.formats import iso9660_build as build
from mediakit.formats import rockridge_build
from mediakit.formats.iso9660 import FLAG_DIRECTORY, VolumeDescriptor
from mediakit.formats.reader import Reader
from mediakit.iso.edit import naming
from mediakit.iso.edit.changes import Carry, Put, Remove, split_path
from mediakit.iso.edit.folders import EditTree, Entry, Folder, NewFile
from mediakit.iso.edit.survey import VolumeSet
from mediakit.plain import dataclass

MAX_LINKS = 16
_RELOCATED = (
    "The folder “{}” lies so deep that it is stored elsewhere (Rock Ridge relocation): it cannot be removed."
)
_ANEW = "Write the image anew first: mediakit rewrite --compact, once more if it carries edits."


@dataclass
class Grove:
    """A tree and all descriptors that name it (enhanced descriptors share the primary's)."""

    tree: EditTree
    volumes: list[VolumeDescriptor]


@dataclass
class Forest:
    """The trees of all descriptor sets; ``main`` is one of them."""

    groves: list[Grove]
    main: EditTree
    date: bytes
    notes: list[str] = field(default_factory=list)
    files: list[NewFile] = field(default_factory=list)
    serial: int = 1 << 31

    def resolve(self, path: str) -> list[str]:
        """The names of ``path`` with links on the way to it followed; its last name is taken as it is."""
        words = split_path(path)
        trail: list[str] = []
        links = 0
        while len(words) > 1:
            word = words.pop(0)
            if word == "..":
                trail = trail[:-1]
                continue
            entry = self._look(trail, word)
            if entry is not None and entry.kind == "symlink":
                links += 1
                if links > MAX_LINKS:
                    raise RefusedError(f"The links on the way to {path} in the image lead in circles.")
                target = entry.rock.symlink or ""
                trail = [] if target.startswith("/") else trail
                words = [w for w in target.split("/") if w not in ("", ".")] + words
            else:
                trail.append(word)
        return [*trail, words[0]]

    def entry(self, words: list[str]) -> Entry | None:
        """What the main tree has under these names."""
        return self._look(words[:-1], words[-1])

    def put(self, change: Put | Carry, file: NewFile) -> None:
        """Add or replace a file in every tree that shows the place."""
        words = self.resolve(change.path)
        old = self.entry(words)
        if old is not None and old.kind == "directory":
            raise UsageError(f"{change.path} is a folder in the image.", "Remove it first, or name a file.")
        known = self._known_folders(words)
        place = (old.lba, old.size_bytes) if old is not None and old.put is None else None
        key = old.put if old is not None else None
        for grove in self.groves:
            tree = grove.tree
            folder = self._folder(tree, words[:-1], known)
            if folder is None:
                self.notes.append(
                    f"{change.path} stays hidden from the {_kind(tree)} tree, as its folder is."
                )
                continue
            match = self._match(tree, folder, words[-1], place, key)
            if match is None and old is not None:
                self.notes.append(f"{change.path} stays hidden from the {_kind(tree)} tree, as it was.")
                continue
            self._put(tree, folder, match, words[-1], file)
        self.files.append(file)

    def remove(self, change: Remove) -> Entry:
        """Take a name out of every tree that shows it; SourceError-like UsageError if there is none."""
        words = self.resolve(change.path)
        old = self.entry(words)
        if old is None:
            raise UsageError(
                f"{change.path} is not in the image.", "mediakit inspect --files lists what is there."
            )
        known = self._known_folders(words)
        # folders lie elsewhere in every tree: they go by their names
        is_file = old.kind == "file" and old.put is None
        place = (old.lba, old.size_bytes) if is_file else None
        for grove in self.groves:
            folder = self._folder(grove.tree, words[:-1], known, make=False)
            match = self._match(grove.tree, folder, words[-1], place, old.put) if folder else None
            if folder is None or match is None:
                continue
            self._check_removable(grove.tree, folder, match)
            grove.tree.drop(folder, match)
            folder.new_folders -= match.kind == "directory"
            folder.mark()
        return old

    def _look(self, trail: list[str], word: str) -> Entry | None:
        folder = self.main.root
        for name in trail:
            entry = self.main.find(folder, name)
            if entry is None:
                return None
            if entry.kind != "directory":
                raise UsageError(f"“{name}” in the image is no folder.", "Name a path through folders.")
            folder = self.main.child(folder, entry)
        return self.main.find(folder, word)

    def _known_folders(self, words: list[str]) -> int:
        """How many of the leading folders the main tree had or was given already."""
        for count in range(len(words) - 1):
            if self._look(words[:count], words[count]) is None:
                return count
        return len(words) - 1

    def _folder(self, tree: EditTree, words: list[str], known: int, *, make: bool = True) -> Folder | None:
        """The folder of these names in ``tree``; made where even the main tree lacks it."""
        folder = tree.root
        for depth, word in enumerate(words):
            entry = tree.find(folder, word)
            if entry is None and (depth < known or not make):
                return None
            if entry is None:
                folder = self._make_folder(tree, folder, word)
                continue
            if entry.kind != "directory":
                raise UsageError(f"“{word}” in the image is no folder.", "Name a path through folders.")
            folder = tree.child(folder, entry)
        tree.load(folder)
        return folder

    def _match(
        self, tree: EditTree, folder: Folder, name: str, place: tuple[int, int] | None, key: NewFile | None
    ) -> Entry | None:
        """The entry of ``tree`` that is the main tree's: by its new contents, its place, or its name."""
        tree.load(folder)
        named = tree.find(folder, name)
        if key is not None:
            if named is not None and named.put is key:
                return named
            return next((e for e in folder.entries if e.put is key and not e.is_hidden), None)
        if tree.has_rock or tree is self.main or place is None or not place[1]:
            return named
        wanted = (place[0] + self.main.base - tree.base, place[1])
        same = [
            entry
            for entry in folder.entries
            if entry.put is None and not entry.is_hidden and (entry.lba, entry.size_bytes) == wanted
        ]
        if named in same or not same:
            return named if named in same else None
        return same[0]

    def _put(self, tree: EditTree, folder: Folder, old: Entry | None, name: str, file: NewFile) -> None:
        folder.mark()
        if old is not None and old.rock.uncompressed_bytes is not None:
            raise RefusedError(
                f"{file.path} is compressed in the image (zisofs): it cannot be replaced.",
                "Remove it too (--remove): then it is put as a new file.",
            )
        if old is not None and old.kind == "file" and not old.raws[0][26] and not old.raws[0][27]:
            use = tree.use_start(old.raws[0])
            date = file.date or self.date
            raw = build.patch_record(old.raws[0], date=date)
            if tree.has_rock:
                raw = rockridge_build.touch(raw, use, tree.skip or 0, date)
                if file.mode is not None:
                    bits = build.both32(rockridge_build.FILE_MODE & ~0o7777 | file.mode)
                    raw = rockridge_build.patch_entry(raw, use, tree.skip or 0, b"PX", 4, bits)
            old.raws, old.put = [raw], file
            return
        if old is not None:
            tree.drop(folder, old)
        mode = rockridge_build.FILE_MODE if file.mode is None else 0o100000 | file.mode
        self._insert(tree, folder, name, "file", mode, file)

    def _make_folder(self, tree: EditTree, parent: Folder, name: str) -> Folder:
        parent.mark()
        mode = self._folder_mode(tree, parent)
        entry = self._insert(tree, parent, name, "directory", mode, None)
        folder = Folder(name, -1, 0, parent, entry, is_loaded=True)
        own = []
        for identifier in (b"\0", b"\1"):
            use = b""
            if tree.has_rock:
                entries = rockridge_build.build_entries(tree.flavour, mode, 2, self.date, 0, b"")
                use, _ = rockridge_build.fit(tree.flavour, identifier, entries)
            own.append(build.build_record(identifier, 0, 0, FLAG_DIRECTORY, self.date, use))
        folder.own, folder.up = own
        entry.child = folder
        parent.new_folders += 1
        folder.mark()
        return folder

    def _folder_mode(self, tree: EditTree, parent: Folder) -> int:
        """A new folder gets the permissions of the one it lies in."""
        if not tree.has_rock or not parent.own:
            return rockridge_build.FOLDER_MODE
        use = tree.system_use(parent.own)
        for tag, at, length in rockridge_build.places(use, tree.skip or 0):
            if tag == b"PX" and length >= 12:
                return int.from_bytes(use[at + 4 : at + 8], "little")
        return rockridge_build.FOLDER_MODE

    def _insert(
        self, tree: EditTree, folder: Folder, name: str, kind: str, mode: int, file: NewFile | None
    ) -> Entry:
        """A new entry, where the order of names wants it."""
        is_folder = kind == "directory"
        entries = tree.load(folder)
        style = tree.style(folder)
        if tree.is_joliet:
            identifier = naming.unique_joliet_identifier(name, is_folder, style, folder.taken)
        else:
            identifier = naming.unique_iso_identifier(name, is_folder, style, folder.taken)
        use, area = b"", b""
        date = self.date if file is None else file.date or self.date
        if tree.has_rock:
            self.serial += 1
            raw_name = name.encode("utf-8", "surrogateescape")
            if len(raw_name) > rockridge_build.MAX_NAME_BYTES:
                raise UsageError(f"The name “{name[:40]}…” is longer than 255 bytes.")
            parts = rockridge_build.build_entries(
                tree.flavour, mode, 2 if is_folder else 1, date, self.serial, raw_name
            )
            use, area = rockridge_build.fit(tree.flavour, identifier, parts)
        flags = FLAG_DIRECTORY if is_folder else 0
        raw = build.build_record(identifier, 0, 0, flags, date, use)
        kept = name if tree.has_rock else tree.shown(identifier)
        entry = Entry([raw], kept, "directory" if is_folder else "file")
        entry.put, entry.area = file, area
        tree.add(folder, entry, _place(tree, entries, identifier))
        return entry

    def _check_removable(self, tree: EditTree, folder: Folder, entry: Entry) -> None:
        """RefusedError where a folder holds relocated ones: their real places would stay behind."""
        if entry.kind != "directory":
            return
        if entry.rock.child_lba is not None:
            raise RefusedError(_RELOCATED.format(entry.name), _ANEW)
        below = [tree.child(folder, entry)]
        seen: set[int] = set()
        while below:
            here = below.pop()
            if here.lba in seen and here.lba >= 0:
                raise FormatError(f"The folder “{here.path}” of the disc image is inside itself.")
            seen.add(here.lba)
            for inner in tree.load(here):
                if inner.rock.child_lba is not None:
                    raise RefusedError(_RELOCATED.format(inner.name), _ANEW)
                if inner.kind == "directory":
                    below.append(tree.child(here, inner))
                elif inner.kind == "relocated":
                    raise RefusedError("The folder of relocated folders cannot be removed.", _ANEW)


def plant(reader: Reader, size_bytes: int, sets: tuple[VolumeSet, ...], date: bytes) -> Forest:
    """All trees of the image; RefusedError for one that could not be kept right."""
    groves: list[Grove] = []
    for volume_set in sets:
        for volume in volume_set.descriptors.volumes:
            twin = next(
                (
                    g
                    for g in groves
                    if g.tree.base == volume_set.base and g.tree.volume.root.lba == volume.root.lba
                ),
                None,
            )
            if twin is not None:
                twin.volumes.append(volume)
                continue
            if volume.kind == "supplementary":
                raise RefusedError(
                    "The image has an additional tree of an unknown kind: it would not be kept right.",
                    "Write the image anew with the program that made it.",
                )
            groves.append(Grove(EditTree(reader, size_bytes, volume_set.base, volume), [volume]))
    order = [g.tree for g in groves if g.tree.base == 0]
    main = min(order, key=lambda tree: 0 if tree.has_rock else 1 if tree.is_joliet else 2)
    return Forest(groves, main, date)


def _place(tree: EditTree, entries: list[Entry], identifier: bytes) -> int:
    """Where the order of names (§9.3) wants a new record."""
    key = build.sort_key(identifier, tree.is_joliet)
    return bisect_right(entries, key, key=lambda e: build.sort_key(e.identifier, tree.is_joliet))


def _kind(tree: EditTree) -> str:
    return "Joliet" if tree.is_joliet else "Rock Ridge" if tree.has_rock else "plain ISO 9660"
