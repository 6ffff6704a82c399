"""Kernel arguments: what people type, and how a list of them is merged into a command line. Pure.

An argument is kept without quotes (``dyndbg=file x +p``); each boot loader's module quotes it in its own way.
Source: Linux ``lib/cmdline.c`` (``next_arg``: double quotes, ``key=value``), ``kernel/params.c`` (``-`` and
``_`` are one and the same in a key; what follows ``--`` is init's).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mediakit.errors import UsageError
from mediakit.iso.menuedit.textedit import Splice, decode, encode
from mediakit.plain import dataclass

_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_OPEN_WORD = re.compile(rb'(?:[^\s"]|"[^"]*"?)+')
_LOADERS_OWN = ("initrd", "BOOT_IMAGE")
INIT_MARK = "--"
INSTALLED_MARK = "---"
"""Debian's and Ubuntu's installers hand on what follows it to the installed system."""


class Place(NamedTuple):
    """A word of a command line, without quotes, and where it stands in the bytes of its text.

    ``gap`` is where the blanks in front of it begin, which go when it goes.
    """

    start: int
    end: int
    text: str
    gap: int


@dataclass(frozen=True)
class Merge:
    """How to change a list of words: ``replaced`` by index (empty: the word goes), ``added`` at ``position``.

    ``position`` is the index of the word before which additions go; the number of words for the end.
    """

    replaced: dict[int, tuple[str, ...]]
    added: tuple[str, ...]
    position: int


def parse(texts: Iterable[str]) -> tuple[str, ...]:
    """Arguments as typed, several to a text where blanks separate them; UsageError for what cannot be one."""
    found: list[str] = []
    for text in texts:
        words = _WORD.findall(text)
        if not words or _WORD.sub("", text).strip():
            raise UsageError(
                f"“{text}” is no kernel argument.",
                'Write a word such as quiet, or KEY=VALUE, or KEY="two words".',
            )
        found += [_checked(word) for word in words]
    return tuple(found)


def unquote(word: str) -> str:
    return word.replace('"', "")


def quote(argument: str) -> str:
    """An argument as the kernel reads it: double quotes around a value with blanks."""
    key, separator, value = argument.partition("=")
    if not re.search(r"\s", argument):
        return argument
    return f'{key}="{value}"' if separator and not re.search(r"\s", key) else f'"{argument}"'


def merge(words: Sequence[str], arguments: Sequence[str]) -> Merge:
    """How ``words`` come to hold ``arguments``: KEY=VALUE takes the place of the same KEY, all of its values
    together; what is there already stays where it is, so merging twice changes nothing.
    """
    limit = next((i for i, word in enumerate(words) if word == INIT_MARK), len(words))
    position = next((i for i, word in enumerate(words) if word in (INIT_MARK, INSTALLED_MARK)), len(words))
    present = words[:limit]
    replaced: dict[int, tuple[str, ...]] = {}
    added: list[str] = []
    for key, group in _groups(arguments).items():
        if "=" not in group[0]:
            if not any(_same(word) == key for word in present):
                added.append(group[0])
            continue
        indices = [
            i for i, word in enumerate(present) if "=" in word and _same(word.partition("=")[0]) + "=" == key
        ]
        if tuple(present[i] for i in indices) == group:
            continue
        if not indices:
            added += group
            continue
        replaced |= dict.fromkeys(indices, ())
        replaced[indices[0]] = group
    return Merge(replaced, tuple(added), position)


def apply(words: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """``words`` with ``arguments`` merged into them."""
    change = merge(words, arguments)
    merged: list[str] = []
    for index, word in enumerate(words):
        if index == change.position:
            merged += change.added
        merged += change.replaced.get(index, (word,))
    if change.position >= len(words):
        merged += change.added
    return merged


def parse_removals(texts: Iterable[str]) -> tuple[str, ...]:
    """What is to be taken out, as typed: a whole argument, or ``KEY=`` for every value of that key.

    UsageError for what no kernel reads: loaders take ``initrd=`` and ``BOOT_IMAGE=`` from the same line.
    """
    found = parse(texts)
    for word in found:
        if word.partition("=")[0] in _LOADERS_OWN:
            raise UsageError(
                f"“{word}” is the boot loader's, not the kernel's: without it nothing starts.",
                "Leave it, or remove the whole entry with --menu-remove.",
            )
    return found


def is_removed(word: str, removed: Sequence[str]) -> bool:
    """Whether one of ``removed`` means ``word``: all of it, or ``KEY=`` its key (``-`` and ``_`` are one)."""
    normal = _normal(word)
    return any(
        normal.startswith(_normal(one)) if one.find("=") == len(one) - 1 else normal == _normal(one)
        for one in removed
    )


def places(value: str, start: int) -> list[Place]:
    """The words of a command line that starts at byte ``start``; an open quote runs to its end."""
    raw = encode(value)
    found: list[Place] = []
    for match in _OPEN_WORD.finditer(raw):
        gap = found[-1].end if found else start + match.start()
        found.append(Place(start + match.start(), start + match.end(), unquote(decode(match[0])), gap))
    return found


def splices(
    words: Sequence[Place],
    arguments: Sequence[str],
    removed: Sequence[str] = (),
    *,
    end: int,
    write: Callable[[str], str] = quote,
) -> list[Splice]:
    """What takes ``removed`` out of the command line that ``words`` make and that ends at byte ``end``, and
    merges ``arguments`` into it.

    ``write`` quotes as the boot loader reads it.
    """
    change = merge([word.text for word in words], arguments)
    found = []
    for index, word in enumerate(words):
        if word.text == INIT_MARK:
            break
        if index not in change.replaced and is_removed(word.text, removed) and word.text not in arguments:
            found.append(Splice(word.gap, word.end, ""))
    for index, new in change.replaced.items():
        word = words[index]
        found.append(Splice(word.start if new else word.gap, word.end, " ".join(map(write, new))))
    added = " ".join(map(write, change.added))
    if added and change.position < len(words):
        at = words[change.position].start
        found.append(Splice(at, at, f"{added} "))
    elif added:
        found.append(Splice(end, end, f" {added}"))
    return found


def _groups(arguments: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Arguments by key, in order; a key with a value ends in ``=``, so it is not the flag of that name."""
    groups: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        name, separator, _ = argument.partition("=")
        key = _same(name) + separator
        if not separator:
            groups[key] = (argument,)
        elif argument not in groups.get(key, ()):
            groups[key] = (*groups.get(key, ()), argument)
    return groups


def _same(name: str) -> str:
    return name.replace("-", "_")


def _normal(word: str) -> str:
    key, separator, value = word.partition("=")
    return _same(key) + separator + value


def _checked(word: str) -> str:
    if not word.isascii() or any(ord(char) < 32 or ord(char) == 127 for char in word):
        raise UsageError(f"“{word}” cannot be a kernel argument.", "Kernel arguments are printable ASCII.")
    argument = unquote(word)
    if argument in (INIT_MARK, INSTALLED_MARK, "") or argument.startswith("="):
        raise UsageError(f"“{word}” is no kernel argument.", "Write a word such as quiet, or KEY=VALUE.")
    return argument
