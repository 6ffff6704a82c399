"""Where the changed folders, path tables, continuation areas and new contents go, and what switches to them.

Copy on write: all of it lies in the tail; per tree one descriptor sector is switched. Repeatable: laying out
the same forest again gives it new places.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from mediakit.errors import FormatError
from mediakit.formats import iso9660_build as build
from mediakit.formats import rockridge_build
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.iso9660_build import DescriptorPatch
from mediakit.iso.edit import pathtable
from mediakit.iso.edit.draft import Draft, Phase, Tail
from mediakit.iso.edit.folders import EditTree, Entry, Folder, NewFile, all_changed
from mediakit.iso.edit.forest import Forest, Grove
from mediakit.plain import dataclass


@dataclass
class Layout:
    """Lays one forest out; ``patches`` (by descriptor offset) wait for the volume's new size."""

    draft: Draft
    tail: Tail

    def files(
        self,
        forest: Forest,
        contents: Callable[[int, NewFile], bytes | None],
        behind: Collection[NewFile] = (),
    ) -> None:
        """Places for all new contents; ``contents`` gives the bytes where they are not the source's own.

        Those of ``behind`` go into no hole.
        """
        for file in forest.files:
            room = self.tail.reserve if file in behind else self.tail.place
            offset = room(file.size_bytes)
            file.extents = _extents(offset, file.size_bytes)
            changed = contents(offset, file)
            source = file.source if changed is None else changed
            self.tail.put(offset, file.size_bytes, source, f"contents of {file.path}")

    def grove(self, grove: Grove) -> DescriptorPatch:
        """One tree: its folders, its path tables; returns what its descriptors must say."""
        tree = grove.tree
        folders = list(all_changed(tree.root))
        if not folders:
            return DescriptorPatch()
        for folder in folders:
            tree.load(folder)
            folder.new_bytes = len(build.pack_directory(_records(folder)))
            folder.new_lba = self.tail.reserve(folder.new_bytes) // BLOCK - tree.base
        self._continuations(tree, folders)
        for folder in folders:
            self._folder(tree, folder)
        return self._path_tables(grove)

    def _continuations(self, tree: EditTree, folders: list[Folder]) -> None:
        """Continuation areas of new records, none across a block border (SUSP §5.1)."""
        waiting = [e for folder in folders for e in folder.entries if e.area]
        if not waiting:
            return
        blocks = [bytearray()]
        places: list[tuple[Entry, int, int]] = []
        for entry in waiting:
            if len(blocks[-1]) + len(entry.area) > BLOCK:
                blocks.append(bytearray())
            places.append((entry, len(blocks) - 1, len(blocks[-1])))
            blocks[-1] += entry.area
        data = b"".join(bytes(block).ljust(BLOCK, b"\0") for block in blocks)
        start = self.tail.add(len(data), data, "names (continuation areas)") // BLOCK - tree.base
        for entry, block, offset in places:
            raw = rockridge_build.set_continuation(entry.raws[0], start + block, offset, len(entry.area))
            entry.raws = [raw]

    def _folder(self, tree: EditTree, folder: Folder) -> None:
        parent = folder.parent or folder
        own = build.patch_record(folder.own, lba=folder.new_lba, size_bytes=folder.new_bytes)
        up = build.patch_record(folder.up, lba=parent.new_lba, size_bytes=parent.new_bytes)
        own = _relink(tree, own, folder.new_folders)
        up = _relink(tree, up, parent.new_folders)
        if folder.logical is not None:
            up = _point(tree, up, b"PL", folder.logical.new_lba)
        records = [own, up]
        for entry in folder.entries:
            child = entry.child
            if child is not None and child.is_changed:
                raw = build.patch_record(entry.raws[0], lba=child.new_lba, size_bytes=child.new_bytes)
                records.append(_relink(tree, raw, child.new_folders))
            elif entry.link is not None and entry.link.is_changed:
                raw = _point(tree, entry.raws[0], b"CL", entry.link.new_lba)
                records.append(_relink(tree, raw, entry.link.new_folders))
            elif entry.put is not None:
                records += _file_records(entry.raws[0], entry.put, tree.base)
            else:
                records += entry.raws
                if entry.kind in ("directory", "relocated"):
                    self._parent_of(tree, folder, entry)
        data = build.pack_directory(records)
        if len(data) != folder.new_bytes:
            raise FormatError("A folder changed its size while it was laid out.", "Report this.")
        where = (folder.new_lba + tree.base) * BLOCK
        self.tail.put(where, len(data), data, f"folder {folder.path or '/'}")

    def _parent_of(self, tree: EditTree, folder: Folder, entry: Entry) -> None:
        """A folder that stays where it is gets its new parent into “..”, or into PL if it was relocated."""
        moved = entry.rock.child_lba
        lba = entry.lba if moved is None else moved
        block = tree.reader(lba * BLOCK, BLOCK)
        first = block[0]
        length = block[first] if 34 <= first < BLOCK else 0
        if length < 34 or first + length > BLOCK or build.record_name(block[first:]) != b"\1":
            raise FormatError(f"The folder “{folder.path}/{entry.name}” of the disc image is damaged.")
        up = block[first : first + length]
        if moved is not None:
            new = _point(tree, up, b"PL", folder.new_lba)
        else:
            new = build.patch_record(up, lba=folder.new_lba, size_bytes=folder.new_bytes)
            new = _relink(tree, new, folder.new_folders)
        where = (tree.base + lba) * BLOCK + first
        self.draft.write(Phase.PARENTS, where, new, f"“..” of {folder.path}/{entry.name}")

    def _path_tables(self, grove: Grove) -> DescriptorPatch:
        tree = grove.tree
        entries = pathtable.rebuild(tree)
        little, big = build.build_path_table(entries), build.build_path_table(entries, big_endian=True)
        old = pathtable.locations(tree)
        places = [0, 0, 0, 0]
        for number, (data, wanted) in enumerate(
            ((little, True), (little, bool(old[1])), (big, True), (big, bool(old[3])))
        ):
            if wanted:
                places[number] = self.tail.add(len(data), data, "path table") // BLOCK - tree.base
        return DescriptorPatch(
            path_table_bytes=len(little),
            path_tables=(places[0], places[1], places[2], places[3]),
            root_lba=tree.root.new_lba,
            root_bytes=tree.root.new_bytes,
        )


def _point(tree: EditTree, raw: bytes, tag: bytes, lba: int) -> bytes:
    """CL or PL (RRIP §4.1.5.1 and 2) with another place."""
    use = tree.use_start(raw)
    return rockridge_build.patch_entry(raw, use, tree.skip or 0, tag, 4, build.both32(lba))


def _records(folder: Folder) -> list[bytes]:
    """The records with the lengths they will have."""
    records = [folder.own, folder.up]
    for entry in folder.entries:
        pieces = _piece_count(entry.put) if entry.put is not None else 0
        records += entry.raws if not pieces else [entry.raws[0]] * pieces
    return records


def _piece_count(file: NewFile) -> int:
    return max(1, -(-file.size_bytes // build.MAX_EXTENT_BYTES))


def _extents(offset: int, size_bytes: int) -> tuple[tuple[int, int], ...]:
    if not size_bytes:
        return ()
    step = build.MAX_EXTENT_BYTES
    return tuple((offset + at, min(step, size_bytes - at)) for at in range(0, size_bytes, step))


def _file_records(raw: bytes, file: NewFile, base: int) -> list[bytes]:
    """One record an extent (§9.1.6: all but the last say that the file goes on)."""
    if not file.extents:
        return [build.patch_record(raw, lba=0, size_bytes=0, more=False)]
    last = len(file.extents) - 1
    return [
        build.patch_record(raw, lba=offset // BLOCK - base, size_bytes=size, more=number < last)
        for number, (offset, size) in enumerate(file.extents)
    ]


_MOST_LINKS = 1 << 24
"""No folder holds more (a path table numbers folders with 16 bits): damage is left as it is."""


def _relink(tree: EditTree, raw: bytes, more: int) -> bytes:
    """The link count of a folder that won or lost folders, where its author counts them (≥ 2)."""
    if not tree.has_rock or not more:
        return raw
    use = tree.use_start(raw)
    links = rockridge_build.links_of(raw, use, tree.skip or 0)
    if links is None or not 2 <= links <= _MOST_LINKS:
        return raw
    return rockridge_build.patch_entry(
        raw, use, tree.skip or 0, b"PX", 12, build.both32(max(2, links + more))
    )
