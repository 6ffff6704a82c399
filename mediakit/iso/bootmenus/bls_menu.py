"""Follows systemd-boot's menu: ``loader/loader.conf`` and one file an entry in ``loader/entries``.

The text is ``bls_config``'s. Source: UAPI.1 Boot Loader Specification; ``loader.conf(5)``.
"""

from __future__ import annotations

import fnmatch
import glob

from mediakit.errors import FormatError
from mediakit.iso.bootmenus import bls_config
from mediakit.iso.bootmenus.bls_config import ENTRIES, LOADER, Line
from mediakit.iso.bootmenus.menu import Files, Menu, MenuEntry, MenuFile, Place, State

MAX_ENTRIES = 64
MAX_LINES = 200
"""Lines of a file that are read."""
_ROLES = {"linux": "kernel", "initrd": "initrd", "efi": "loader", "devicetree": "device tree"}


def follow(files: Files) -> Menu | None:
    """The menu of the volume; None where there is none."""
    named = bls_config.find(_lines(files, LOADER), "default")
    default = named.value if named is not None else ""
    wanted = [name for name in sorted(files.names(ENTRIES)) if bls_config.is_entry(name)][:MAX_ENTRIES]
    if named is None and wanted:
        default = bls_config.order((name, _lines(files, f"{ENTRIES}/{name}")) for name in wanted)[0]
        default = glob.escape(default)
    entries = tuple(_entry(files, name, default) for name in wanted)
    configs = (*([f"{files.name}{LOADER}"] if files.find(LOADER) else []), *(e.place.config for e in entries))
    return Menu("systemd-boot", "uefi", configs, entries) if entries else None


def _entry(files: Files, name: str, default: str) -> MenuEntry:
    path = f"{ENTRIES}/{name}"
    shown = files.name + path
    spot = files.find(path)
    base = spot.offset_bytes if spot else None
    title, arguments = name, list[tuple[str, Place]]()
    found: list[MenuFile] = []
    for line in _lines(files, path):
        at = None if base is None else base + line.line_start
        place = Place(shown, line.line, at, line.end - line.line_start)
        if line.keyword == "title":
            title = line.value
        elif line.keyword == "options":
            arguments.append((line.value, place))
        elif line.keyword in _ROLES:
            target = files.find("/" + line.value.strip("/"))
            state: State = "there" if target is not None else "missing"
            size = target.size_bytes if target is not None else 0
            found.append(MenuFile(_ROLES[line.keyword], files.name + line.value, state, place, "", size))
    stem = name.rpartition(".")[0]
    is_default = bool(default) and (fnmatch.fnmatchcase(name, default) or fnmatch.fnmatchcase(stem, default))
    return MenuEntry(title, stem, Place(shown, 1, base, 0), tuple(found), tuple(arguments), is_default)


def _lines(files: Files, path: str) -> tuple[Line, ...]:
    try:
        return bls_config.parse(files.read(path))[:MAX_LINES] if files.find(path) else ()
    except FormatError:
        return ()
