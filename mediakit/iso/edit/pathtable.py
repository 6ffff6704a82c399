"""The path tables of an edited tree, made from the old ones: the cost does not depend on the number of files.

Where the old table does not fit the tree (some authors write none), it is made anew from the folders.
Source: ECMA-119 §6.9 (order), §9.4.
"""

from __future__ import annotations

import struct
from dataclasses import field

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import iso9660_build as build
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.iso9660_build import PathEntry
from mediakit.iso.edit.folders import EditTree, Folder, all_changed
from mediakit.plain import dataclass

MAX_TABLE_BYTES = 8 << 20


@dataclass(eq=False)
class _Item:
    name: bytes
    lba: int
    extended: int = 0
    children: list[_Item] = field(default_factory=list)


def locations(tree: EditTree) -> tuple[int, int, int, int]:
    """Blocks of the little-endian table, its optional copy, the big-endian one, its copy (§8.4.15 to 18)."""
    block = tree.reader(tree.volume.lba * BLOCK, BLOCK)
    little = struct.unpack_from("<II", block, build.PATH_TABLES)
    big = struct.unpack_from(">II", block, build.PATH_TABLES + 8)
    return (*little, *big)


def rebuild(tree: EditTree) -> list[PathEntry]:
    """All folders of the edited tree, in the table's order."""
    root = _from_table(tree) or _from_folders(tree)
    by_lba = _index(root)
    for folder in all_changed(tree.root):
        item = by_lba.get(folder.lba)
        if item is None:
            raise FormatError(f"The folder “{folder.path}” is missing in the path table.")
        _update(folder, item, by_lba)
    return _flatten(root, tree.is_joliet)


def _update(folder: Folder, item: _Item, by_lba: dict[int, _Item]) -> None:
    """Bring one folder's item up to date: its place, and the folders in it that are gone or new."""
    item.lba, item.extended = folder.new_lba, 0
    known: dict[int, Folder | None] = {
        entry.lba: entry.child for entry in folder.entries if entry.kind in ("directory", "relocated")
    }
    item.children = [child for child in item.children if child.lba in known]
    for entry in folder.entries:
        child = entry.child
        if child is not None and child.lba < 0:
            made = _Item(entry.identifier, child.new_lba)
            # new folders get a key of their own, so that what is in them is found
            child.lba = -2 - len(by_lba)
            by_lba[child.lba] = made
            item.children.append(made)


def _from_table(tree: EditTree) -> _Item | None:
    size, place = tree.volume.path_table_bytes, tree.volume.path_table_lba
    if not 0 < size <= MAX_TABLE_BYTES or place * BLOCK + size > tree.size_bytes:
        return None
    try:
        entries = build.parse_path_table(tree.reader(place * BLOCK, size))
    except FormatError:
        return None
    items = [_Item(entry.name, entry.lba + entry.extended, 0) for entry in entries]
    for entry, item in list(zip(entries, items, strict=True))[1:]:
        items[entry.parent - 1].children.append(item)
    known = _index(items[0])
    old = [f for f in all_changed(tree.root) if f.lba >= 0]
    if any(folder.lba not in known for folder in old) or len(known) != len(items):
        return None
    return items[0]


def _from_folders(tree: EditTree) -> _Item:
    """By reading every folder as it was before the edit."""
    root = _Item(b"\0", tree.root.lba)
    seen = {root.lba}
    queue = [(root, tree.root.size_bytes)]
    left = tree.size_bytes
    while queue:
        item, size = queue.pop()
        left -= size
        if left < 0:
            raise FormatError("Folders of the disc image overlap each other.")
        for raw in build.split_directory(tree.reader(item.lba * BLOCK, size))[2:]:
            lba = int.from_bytes(raw[2:6], "little") + raw[1]
            if not raw[25] & 2:
                continue
            if lba in seen or len(seen) >= build.MAX_FOLDERS:
                raise RefusedError("The folders of the disc image lead in circles, or are too many.")
            seen.add(lba)
            child = _Item(build.record_name(raw), lba)
            item.children.append(child)
            queue.append((child, int.from_bytes(raw[10:14], "little")))
    return root


def _index(root: _Item) -> dict[int, _Item]:
    found: dict[int, _Item] = {}
    queue = [root]
    while queue:
        item = queue.pop()
        if item.lba not in found:
            found[item.lba] = item
            queue += item.children
    return found


def _flatten(root: _Item, is_joliet: bool) -> list[PathEntry]:
    """Level by level, within one by parent, then by name."""
    found = [PathEntry(root.name, root.lba, 1, root.extended)]
    level = [(root, 1)]
    while level:
        following: list[tuple[_Item, int]] = []
        for item, number in level:
            for child in sorted(item.children, key=lambda c: build.sort_key(c.name, is_joliet)):
                found.append(PathEntry(child.name, child.lba, number, child.extended))
                following.append((child, len(found)))
        level = following
    return found
