"""Whole entries in one GRUB configuration: a copy of one with other arguments, and taking one out. Pure.

A copy stands right behind what it was made from, inside the same ``if`` or ``submenu``, so that it is shown
where that is; it keeps every line, and has its own title, no id and no hotkey. The comment in front of it
says that it was added, from what and with what (``entrymark``).
Source: GRUB 2.06 ``script/parser.y`` (no block or branch is empty), ``normal/menu.c`` (numbers as names).
"""

from __future__ import annotations

import re
from functools import lru_cache

from mediakit.iso.bootmenus import grub_config
from mediakit.iso.bootmenus.grub_config import EntryText
from mediakit.iso.bootmenus.grub_words import quote
from mediakit.iso.menuedit import entrymark, grubmenu
from mediakit.iso.menuedit.entrymark import Mark
from mediakit.iso.menuedit.textedit import Splice, apply, decode, encode, indent, line_end

_PROBE = ("mediakit_probe",)
_REST = re.compile(rb"[ \t]*;?[ \t]*\r?(?:#[^\n]*)?(?:\n|\Z)")


@lru_cache(maxsize=8)
def entries(text: str) -> tuple[EntryText, ...]:
    """Every entry and submenu with its place, wherever it stands. Kept: one edit asks for it many times."""
    return tuple(e for e in grub_config.entries(grubmenu.parse(text)) if e.command.blocks)


def can_be_copied(text: str, entry: EntryText) -> bool:
    """Whether it starts a Linux by its own lines, and is one entry: not what a loop or function makes."""
    if entry.command.name != "menuentry" or entry.place.around.is_repeated:
        return False
    own = _own(text, entry)
    return grubmenu.add_kernel_arguments(own, _PROBE) != own


def mark_of(text: str, entry: EntryText) -> Mark | None:
    """What the comment in front of an entry that was added says; None for the image's own."""
    return entrymark.before(encode(text), entry.command.start)


def add(text: str, source: EntryText, title: str, arguments: tuple[str, ...]) -> str:
    """``text`` with a copy of ``source`` behind it."""
    raw = encode(text)
    end, blanks = line_end(text), indent(raw, source.command.start)
    new = _copy(text, source, title, arguments)
    mark = entrymark.write(Mark(source.title, arguments))
    at = source.command.end
    return apply(text, [Splice(at, at, f"{end}{blanks}{mark}{end}{blanks}{new}")])


def replace(
    text: str, old: EntryText, source: EntryText, title: str, arguments: tuple[str, ...], origin: str
) -> str:
    """``text`` with a copy of ``source`` in the place of ``old``, which was added; ``origin`` is noted."""
    start, end = entrymark.span(encode(text), old.command.start)
    new = _copy(text, source, title, arguments)
    mark = Splice(start, end, entrymark.write(Mark(origin, arguments)))
    return apply(text, [mark, Splice(old.command.start, old.command.end, new)])


def merge(text: str, entry: EntryText, arguments: tuple[str, ...], removed: tuple[str, ...] = ()) -> str:
    """``text`` with arguments merged into that entry only."""
    new = grubmenu.add_kernel_arguments(_own(text, entry), arguments, removed)
    return apply(text, [Splice(entry.command.start, entry.command.end, new)])


def remove(text: str, entry: EntryText) -> str:
    """``text`` without that entry; where nothing else would be left of a block, ``true`` takes its place."""
    raw = encode(text)
    start, end = entry.command.start, entry.command.end
    first = start
    if entrymark.before(raw, start) is not None:
        first = entrymark.span(raw, start)[0]
    line_start = raw.rfind(b"\n", 0, first) + 1
    is_nested = entry.place.around.start != start or bool(entry.place.around.blocks)
    rest = _REST.match(raw, end)
    if is_nested and len(entry.place.script.statements) == 1:
        return apply(text, [Splice(first, end, "true")])
    above = raw[: max(0, line_start - 1)].rstrip(b"\r")
    last = above[above.rfind(b"\n") + 1 :]
    if first != start and last.endswith(b"}") and b"#" not in last:
        return apply(text, [Splice(len(above), end, "")])  # as it was before it was added
    if rest is not None and not raw[line_start:first].strip(b" \t"):
        return apply(text, [Splice(line_start, rest.end(), "")])
    return apply(text, [Splice(first, end, "true")])


def _own(text: str, entry: EntryText) -> str:
    return decode(encode(text)[entry.command.start : entry.command.end])


def _copy(text: str, source: EntryText, title: str, arguments: tuple[str, ...]) -> str:
    """The text of the copy: title, id and hotkey, then the kernel's arguments."""
    start = source.command.start
    words = source.command.arguments
    splices = []
    for role, first, last in grub_config.entry_parts([word.text for word in words]):
        if role == "title":
            # a title that begins with a digit would be taken for a number
            named = f" --id {quote('entry ' + title)}" if title[:1].isdigit() else ""
            splices.append(Splice(words[first].start - start, words[first].end - start, quote(title) + named))
        elif role in ("id", "hotkey"):
            before = words[first - 1].end if first else source.command.words[0].end
            splices.append(Splice(before - start, words[last].end - start, ""))
    return grubmenu.add_kernel_arguments(apply(_own(text, source), splices), arguments)
