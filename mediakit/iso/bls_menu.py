"""Follows systemd-boot's menu: ``loader/loader.conf`` and one file an entry in ``loader/entries``.

Source: UAPI.1 Boot Loader Specification, “Type #1 Boot Loader Entry Specification Files”; ``loader.conf(5)``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.iso.menu import FatFiles, Menu, MenuEntry, MenuFile, Place, State

LOADER = "/loader/loader.conf"
ENTRIES = "/loader/entries"
MAX_ENTRIES = 64
MAX_LINES = 200
"""Lines of a file that are read."""
_ROLES = {"linux": "kernel", "initrd": "initrd", "efi": "loader", "devicetree": "device tree"}


def follow(files: FatFiles) -> Menu | None:
    """The menu of the volume; None where there is none."""
    try:
        folder = files.fat.find(ENTRIES)
        names = [e.name for e in files.fat.names(folder.first_cluster)] if folder else []
    except FormatError:
        return None
    default = next((value for key, value, _, _ in _lines(files, LOADER) if key == "default"), "")
    wanted = [name for name in sorted(names) if name.lower().endswith(".conf")][:MAX_ENTRIES]
    entries = tuple(_entry(files, name, default) for name in wanted)
    configs = (*([f"{files.name}{LOADER}"] if files.find(LOADER) else []), *(e.place.config for e in entries))
    return Menu("systemd-boot", "uefi", configs, entries) if entries else None


def _entry(files: FatFiles, name: str, default: str) -> MenuEntry:
    path = f"{ENTRIES}/{name}"
    shown = files.name + path
    spot = files.find(path)
    base = spot.offset_bytes if spot else None
    title, arguments = name, list[tuple[str, Place]]()
    found: list[MenuFile] = []
    for number, (key, value, start, end) in enumerate(_lines(files, path), 1):
        place = Place(shown, number, None if base is None else base + start, end - start)
        if key == "title":
            title = value
        elif key == "options":
            arguments.append((value, place))
        elif key in _ROLES:
            target = files.find("/" + value.strip("/"))
            state: State = "there" if target is not None else "missing"
            size = target.size_bytes if target is not None else 0
            found.append(MenuFile(_ROLES[key], files.name + value, state, place, "", size))
    stem = name.rpartition(".")[0]
    is_default = bool(default) and (fnmatch.fnmatchcase(name, default) or fnmatch.fnmatchcase(stem, default))
    return MenuEntry(title, stem, Place(shown, 1, base, 0), tuple(found), tuple(arguments), is_default)


def _lines(files: FatFiles, path: str) -> Iterator[tuple[str, str, int, int]]:
    """Keyword, value and byte span of each line; empty ones and comments have no keyword."""
    try:
        text = files.read(path) if files.find(path) else b""
    except FormatError:
        return
    at = 0
    for raw in text.split(b"\n", MAX_LINES)[:MAX_LINES]:
        line = raw.decode("utf-8", "replace").strip()
        key, _, value = line.partition(" ") if "\t" not in line else line.replace("\t", " ").partition(" ")
        yield ("" if line.startswith("#") else key, value.strip(), at, at + len(raw))
        at += len(raw) + 1
