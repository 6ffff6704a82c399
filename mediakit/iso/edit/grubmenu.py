"""Edits of one GRUB configuration: kernel arguments, default entry, timeout, volume label. Pure.

Everything that is not replaced stays as it is, byte for byte. What is inside a ``menuentry`` or ``submenu``
belongs to that entry: default and timeout are changed outside of them only.
Source: GRUB 2.06 manual §6 (``default``, ``timeout``, ``menuentry``, ``search``), ``normal/menu.c``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mediakit.iso import grub_config
from mediakit.iso.edit import grubscript, kernelargs, labels
from mediakit.iso.edit.grubscript import Command, Word
from mediakit.iso.edit.textedit import Splice, apply, line_end
from mediakit.plain import dataclass

_MULTIBOOT = frozenset({"multiboot", "multiboot2", "xen_hypervisor"})
_MODULE = frozenset({"module", "module2", "xen_module"})
_ENTRIES = frozenset(grub_config.ENTRY_COMMANDS)
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


def entries(text: str) -> list[Entry]:
    """The menu's entries in order, those of submenus behind their submenu."""
    found = []
    for command in grubscript.commands(text):
        if command.name in _ENTRIES and len(command.words) > 1 and "function" not in command.blocks:
            depth = sum(block in _ENTRIES for block in command.blocks)
            title, name = grub_config.entry_title(command.arguments)
            found.append(Entry(title, name, command.name == "submenu", depth))
    return found


def follows(text: str) -> list[Follow]:
    """The other configurations that a configuration reads."""
    found = []
    for command in grubscript.commands(text):
        if command.name in _FOLLOWS and len(command.words) > 1:
            found.append(
                Follow(command.words[-1].text, _in_entry(command), command.name not in ("source", "."))
            )
    return found


def assigns(text: str, name: str) -> bool:
    """Whether the variable ``name`` is set outside the entries."""
    commands = grubscript.commands(text)
    return any(_assignment(command, name) and not _in_entry(command) for command in commands)


def add_kernel_arguments(text: str, arguments: Sequence[str]) -> str:
    """``arguments`` merged into the command line of every Linux that the configuration starts."""
    splices: list[Splice] = []
    in_xen = ""
    for command in grubscript.commands(text):
        scope = "/".join(command.blocks)
        if command.name in _MULTIBOOT:
            in_xen = f"{scope}|"
        elif command.name in grub_config.LINUX_COMMANDS and not _is_no_linux(command):
            splices += _merge(command, arguments)
        elif command.name in _MODULE and in_xen == f"{scope}|":
            # Xen's first module is the kernel of dom0 (Xen, docs/misc/efi and multiboot)
            splices += _merge(command, arguments)
            in_xen = ""
        elif command.name in _ENTRIES:
            in_xen = ""
    return apply(text, splices)


def set_variable(text: str, name: str, value: str, *, insert: bool) -> str:
    """``set NAME=VALUE`` in the place of each assignment outside the entries.

    Without any, and with ``insert``, one is put before the first entry.
    """
    commands = grubscript.commands(text)
    wanted = f"{name}={grubscript.quote(value)}"
    splices = []
    found = False
    for command in commands:
        word = _assignment(command, name)
        if word is None or _in_entry(command):
            continue
        found = True
        if word.text != f"{name}={value}":
            splices.append(Splice(word.start, word.end, wanted))
    if not found and insert:
        first = next((c for c in commands if c.name in _ENTRIES and not _in_entry(c)), None)
        if first is not None:
            at = first.statement_start
            splices.append(Splice(at, at, f"set {wanted}{line_end(text)}"))
    return apply(text, splices)


def replace_label(text: str, old: str, new: str) -> str:
    """The label ``old`` replaced by ``new`` wherever it names a filesystem: search, kernel arguments."""
    splices = []
    for command in grubscript.commands(text):
        is_search = _searches_label(command)
        for word in command.words:
            raw = text[word.start : word.end]
            if is_search and word.text == old:
                changed = grubscript.quote(new)
            elif "label" in word.text.partition("=")[0].lower() and word.text.partition("=")[2] == old:
                changed = grubscript.quote(word.text.partition("=")[0] + "=" + new)
            else:
                changed = labels.replace_in_word(raw, old, new)
            if changed != raw:
                splices.append(Splice(word.start, word.end, changed))
    return apply(text, splices)


def _merge(command: Command, arguments: Sequence[str]) -> list[Splice]:
    """The splices that merge arguments into one command: options, then the path, then the kernel's words."""
    start = 1
    while start < len(command.words) and command.words[start].text.startswith("--"):
        start += 1
    words = command.words[start + 1 :]
    if start >= len(command.words):
        return []
    change = kernelargs.merge([word.text for word in words], arguments)
    splices = []
    for index, new in change.replaced.items():
        word, before = words[index], command.words[start + index]
        if new:
            splices.append(Splice(word.start, word.end, " ".join(map(grubscript.quote, new))))
        else:
            splices.append(Splice(before.end, word.end, ""))
    added = " ".join(map(grubscript.quote, change.added))
    if added and change.position < len(words):
        at = words[change.position].start
        splices.append(Splice(at, at, f"{added} "))
    elif added:
        splices.append(Splice(command.end, command.end, f" {added}"))
    return splices


def _is_no_linux(command: Command) -> bool:
    path = next((word for word in command.arguments if not word.startswith("--")), "")
    return bool(_NO_LINUX.search(path))


def _assignment(command: Command, name: str) -> Word | None:
    """The word ``NAME=…`` of a command that sets the variable."""
    word = command.words[1] if command.name == "set" and len(command.words) == 2 else command.words[0]
    return word if word.text.startswith(f"{name}=") else None


def _in_entry(command: Command) -> bool:
    return any(block in _ENTRIES for block in command.blocks)


def _searches_label(command: Command) -> bool:
    """Whether its words that are no options may be a label: ``search -l LABEL``, ``search.fs_label L``."""
    if command.name != "search":
        return command.name in ("search.fs_label", "search_label")
    return any(word in _LABEL_OPTIONS or _SHORT_L.fullmatch(word) for word in command.arguments)
