"""systemd-boot's configuration, ``loader.conf`` and the files of its entries: bytes → lines. Pure.

Source: UAPI.1 Boot Loader Specification, “Type #1 Boot Loader Entry Specification Files”; ``loader.conf(5)``.
Spans count bytes of the text. ``bls_menu`` follows what is here, ``edit.sdbootmenu`` changes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cmp_to_key

from mediakit.plain import dataclass

LOADER = "/loader/loader.conf"
ENTRIES = "/loader/entries"
SUFFIX = ".conf"
MAX_VERSION = 255
_VALID = re.compile(r"[^A-Za-z0-9~^.-]")
_DIGITS = re.compile(r"[0-9]*")
_LETTERS = re.compile(r"[A-Za-z]*")
_LINE = re.compile(rb"[^\n]*\n?")
_HEAD = re.compile(rb"[ \t]*([^ \t\r\n#][^ \t\r\n]*)[ \t]*")


@dataclass(frozen=True)
class Line:
    """One line that says something; ``start`` to ``end`` is its value, ``line`` counts from 1."""

    keyword: str
    value: str
    line: int
    start: int
    end: int
    line_start: int
    line_end: int


def parse(text: bytes) -> tuple[Line, ...]:
    """The lines with a keyword, in order; comments and blank lines say nothing."""
    return tuple(_lines(text))


def find(lines: tuple[Line, ...], keyword: str) -> Line | None:
    """The first line with that keyword."""
    return next((line for line in lines if line.keyword == keyword), None)


def is_entry(name: str) -> bool:
    """Whether a file of this name in ``ENTRIES`` is read."""
    return name.lower().endswith(SUFFIX)


def order(entries: Iterable[tuple[str, tuple[Line, ...]]]) -> list[str]:
    """File names of entries as systemd-boot sorts them: the first one starts where ``default`` names none.

    With ``sort-key`` before those without, by it, ``machine-id`` and falling version; then falling name
    (systemd 255 ``src/boot/efi/boot.c``, ``boot_entry_compare``).
    """
    return [name for name, _ in sorted(entries, key=cmp_to_key(_compare_entries))]


def compare_versions(one: str, other: str) -> int:
    """Below, at or above 0 as ``one`` is older, as old or newer (UAPI.10 Version Format Specification).

    Looks at the first ``MAX_VERSION`` characters.
    """
    a, b = _VALID.sub("", one[:MAX_VERSION]), _VALID.sub("", other[:MAX_VERSION])
    while True:
        if a[:1] == "~" or b[:1] == "~":
            if a[:1] != b[:1]:
                return -1 if a[:1] == "~" else 1
            a, b = a[1:], b[1:]
        if not a or not b:
            return bool(a) - bool(b)
        for mark in "-^.":
            if a[:1] == mark or b[:1] == mark:
                if a[:1] != b[:1]:
                    return -1 if a[:1] == mark else 1
                a, b = a[1:], b[1:]
        is_number = a[:1].isdigit() or b[:1].isdigit()
        first, second = (_head(text, is_number) for text in (a, b))
        if is_number and bool(first) != bool(second):
            return bool(first) - bool(second)
        keys = [int(text or 0) if is_number else text for text in (first, second)]
        if keys[0] != keys[1]:
            return -1 if keys[0] < keys[1] else 1  # type: ignore[operator]
        a, b = a[len(first) :], b[len(second) :]


def _head(text: str, is_number: bool) -> str:
    match = (_DIGITS if is_number else _LETTERS).match(text)
    assert match is not None
    return match[0]


def _compare_entries(one: tuple[str, tuple[Line, ...]], other: tuple[str, tuple[Line, ...]]) -> int:
    keys = [_value(lines, "sort-key") for _, lines in (one, other)]
    if bool(keys[0]) != bool(keys[1]):
        return -1 if keys[0] else 1
    if keys[0]:
        for word in ("sort-key", "machine-id"):
            values = [_value(lines, word) for _, lines in (one, other)]
            if values[0] != values[1]:
                return -1 if values[0] < values[1] else 1
        versions = [_value(lines, "version") for _, lines in (one, other)]
        if result := compare_versions(*versions):
            return -result
    return -compare_versions(one[0].lower(), other[0].lower())


def _value(lines: tuple[Line, ...], keyword: str) -> str:
    found = find(lines, keyword)
    return found.value if found is not None else ""


def _lines(text: bytes) -> Iterator[Line]:
    for number, match in enumerate(_LINE.finditer(text), 1):
        if head := _HEAD.match(match[0]):
            value = match[0][head.end() :].rstrip()
            start = match.start() + head.end()
            yield Line(
                _decode(head[1]),
                _decode(value),
                number,
                start,
                start + len(value),
                match.start(),
                match.end(),
            )


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
