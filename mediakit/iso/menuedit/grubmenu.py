"""Edits of one GRUB configuration: kernel arguments, default entry, timeout, volume label. Pure.

Everything that is not replaced stays as it is, byte for byte. What is inside a ``menuentry`` or ``submenu``
belongs to that entry: default and timeout are changed outside of them only.
Source: GRUB 2.06 manual §6 (``default``, ``timeout``, ``menuentry``, ``search``), ``normal/menu.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from mediakit.iso.bootmenus import grub_config
from mediakit.iso.bootmenus.grub_config import Command, Placed, Script
from mediakit.iso.bootmenus.grub_words import UNCLOSED, Word, quote
from mediakit.iso.menuedit import entrymark, kernelargs, labels
from mediakit.iso.menuedit.textedit import Splice, apply, decode, encode, line_end
from mediakit.plain import dataclass

_MULTIBOOT = frozenset({"multiboot", "multiboot2", "xen_hypervisor"})
_MODULE = frozenset({"module", "module2", "xen_module"})
_FOLLOWS = frozenset({"source", ".", "configfile", "normal", "syslinux_configfile"})
_NO_LINUX = re.compile(r"memtest|mt86|ipxe|\.lkrn$", re.IGNORECASE)
_LABEL_OPTIONS = ("--label", "--fs-label")
_SHORT_L = re.compile(r"-[a-z]*l[a-z]*")


@dataclass(frozen=True)
class Entry:
    """A menu entry that can be the default: title, ``--id`` (else the title), how many submenus deep."""

    title: str
    id: str
    is_submenu: bool
    depth: int


@dataclass(frozen=True)
class Follow:
    """Another configuration that this one reads: as written, and whether only some entry reads it."""

    path: str
    in_entry: bool
    new_context: bool


def parse(text: str) -> Script:
    """All of a configuration: an edit must not stop where following a menu may."""
    raw = encode(text)
    return grub_config.parse(raw, len(raw) + 1)


def entries(text: str) -> list[Entry]:
    """The menu's entries in order, those of submenus behind their submenu."""
    return [
        Entry(entry.title, entry.entry_id, entry.command.name == "submenu", entry.depth)
        for entry in grub_config.entries(parse(text))
        if entry.command.arguments and "function" not in entry.place.around.blocks
    ]


def nested(text: str) -> list[tuple[str, str]]:
    """Titles of the entries inside submenus, and how ``default`` names each: ``SUBMENU>ENTRY``."""
    found, path = [], list[str]()
    for entry in entries(text):
        name = entry.title.replace(">", ">>") if entry.id == entry.title else entry.id
        path = [*path[: entry.depth], name]
        if entry.depth and len(path) == entry.depth + 1:
            found.append((entry.title, ">".join(path)))
    return found


def follows(text: str) -> list[Follow]:
    """The other configurations that a configuration reads."""
    return [
        Follow(
            placed.command.words[-1].text,
            placed.around.is_entry,
            placed.command.name not in ("source", "."),
        )
        for placed in _commands(text)
        if placed.command.name in _FOLLOWS and placed.command.arguments
    ]


def assigns(text: str, name: str) -> bool:
    """Whether the variable ``name`` is set outside the entries."""
    return any(_assignment(placed.command, name) and not placed.around.is_entry for placed in _commands(text))


def add_kernel_arguments(text: str, arguments: Sequence[str], removed: Sequence[str] = ()) -> str:
    """``arguments`` merged into the command line of every Linux that the configuration starts, ``removed``
    (as ``kernelargs.is_removed`` understands them) taken out.
    """
    splices: list[Splice] = []
    in_xen: tuple[str, ...] | None = None
    for placed in _commands(text):
        command, scope = placed.command, placed.around.blocks
        if command.name in _MULTIBOOT:
            in_xen = scope
        elif command.name in grub_config.LINUX_COMMANDS and not _is_no_linux(command):
            splices += _merge(command, arguments, removed)
        elif command.name in _MODULE and in_xen == scope:
            # Xen's first module is the kernel of dom0 (Xen, docs/misc/efi and multiboot)
            splices += _merge(command, arguments, removed)
            in_xen = None
        elif command.name in grub_config.ENTRY_COMMANDS:
            in_xen = None
    return apply(text, splices)


def set_variable(text: str, name: str, value: str, *, insert: bool) -> str:
    """``set NAME=VALUE`` in the place of each assignment outside the entries.

    Without any, and with ``insert``, one is put before the first entry.
    """
    wanted = f"{name}={quote(value)}"
    outside = [placed for placed in _commands(text) if not placed.around.is_entry]
    words = [word for placed in outside if (word := _assignment(placed.command, name)) is not None]
    splices = [Splice(word.start, word.end, wanted) for word in words if word.text != f"{name}={value}"]
    if not words and insert:
        first = next((p for p in outside if p.command.name in grub_config.ENTRY_COMMANDS), None)
        if first is not None:
            raw, at = encode(text), first.around.start
            at = at if entrymark.before(raw, at) is None else entrymark.span(raw, at)[0]
            splices.append(Splice(at, at, f"set {wanted}{line_end(text)}"))
    return apply(text, splices)


def replace_label(text: str, old: str, new: str) -> str:
    """The label ``old`` replaced by ``new`` wherever it names a filesystem: search, kernel arguments."""
    raw = encode(text)
    splices = []
    for placed in _commands(text):
        is_search = _searches_label(placed.command)
        for word in placed.command.words:
            written = decode(raw[word.start : word.end])
            if is_search and word.text == old:
                changed = quote(new)
            elif "label" in word.text.partition("=")[0].lower() and word.text.partition("=")[2] == old:
                changed = quote(word.text.partition("=")[0] + "=" + new)
            else:
                changed = labels.replace_in_word(written, old, new)
            if changed != written:
                splices.append(Splice(word.start, word.end, changed))
    return apply(text, splices)


def _commands(text: str) -> Iterator[Placed]:
    """Every command with what is around it; one with a quotation mark that is never closed is none."""
    raw = encode(text)
    script = parse(text)
    is_open = any(what == UNCLOSED for _, what in script.problems)
    return (p for p in script.placed() if not (is_open and p.command.end >= len(raw)))


def _merge(command: Command, arguments: Sequence[str], removed: Sequence[str]) -> list[Splice]:
    """The splices that merge arguments into one command: options, then the path, then the kernel's words."""
    words = list(command.arguments)
    while words and words[0].text.startswith("--"):
        words = words[1:]
    if not words:
        return []
    places = [kernelargs.Place(word.start, word.end, word.text, gap.end) for gap, word in pairwise(words)]
    return kernelargs.splices(places, arguments, removed, end=words[-1].end, write=quote)


def _is_no_linux(command: Command) -> bool:
    path = next((word.text for word in command.arguments if not word.text.startswith("--")), "")
    return bool(_NO_LINUX.search(path))


def _assignment(command: Command, name: str) -> Word | None:
    """The word ``NAME=…`` of a command that sets the variable."""
    word = command.words[1] if command.name == "set" and len(command.words) == 2 else command.words[0]
    return word if word.text.startswith(f"{name}=") else None


def _searches_label(command: Command) -> bool:
    """Whether its words that are no options may be a label: ``search -l LABEL``, ``search.fs_label L``."""
    if command.name != "search":
        return command.name in ("search.fs_label", "search_label")
    words = [word.text for word in command.arguments]
    return any(word in _LABEL_OPTIONS or _SHORT_L.fullmatch(word) for word in words)
