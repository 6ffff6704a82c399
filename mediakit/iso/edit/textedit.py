"""Replacing spans of a text and keeping every other byte. Pure; what all transforms of menus rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Splice(NamedTuple):
    """Put ``text`` in the place of characters ``start`` to ``end``; an insertion has them equal."""

    start: int
    end: int
    text: str


def apply(text: str, splices: Iterable[Splice]) -> str:
    """``text`` with all splices done; they must not overlap, insertions at one place keep their order."""
    parts, position = [], 0
    for splice in sorted(splices, key=lambda s: (s.start, s.end)):
        assert splice.start >= position, "splices overlap"
        parts += [text[position : splice.start], splice.text]
        position = splice.end
    return "".join([*parts, text[position:]])


def decode(data: bytes) -> str:
    """Bytes as text that ``encode`` turns back into the same bytes, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def line_end(text: str) -> str:
    """How lines of ``text`` end."""
    return "\r\n" if "\r\n" in text else "\n"


def characters(text: str, raw: bytes) -> Sequence[int]:
    """Where each byte's character is in the text."""
    if len(raw) == len(text):
        return range(len(text) + 1)
    places: list[int] = []
    for at, char in enumerate(text):
        places += [at] * len(encode(char))
    return [*places, len(text)]
