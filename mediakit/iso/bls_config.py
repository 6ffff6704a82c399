"""systemd-boot's configuration, ``loader.conf`` and the files of its entries: bytes → lines. Pure.

Source: UAPI.1 Boot Loader Specification, “Type #1 Boot Loader Entry Specification Files”; ``loader.conf(5)``.
Spans count bytes of the text. ``bls_menu`` follows what is here, ``edit.sdbootmenu`` changes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mediakit.plain import dataclass

LOADER = "/loader/loader.conf"
ENTRIES = "/loader/entries"
SUFFIX = ".conf"
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
