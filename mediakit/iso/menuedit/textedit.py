"""Replacing spans of a text and keeping every other byte. Pure; what all transforms of menus rest on.

Spans count bytes, as the parsers of menus do (``grub_config``, ``isolinux_config``, ``bls_config``): they are
given ``encode(text)``, and ``apply`` cuts the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Splice(NamedTuple):
    """Put ``text`` in the place of bytes ``start`` to ``end``; an insertion has them equal."""

    start: int
    end: int
    text: str


def apply(text: str, splices: Iterable[Splice]) -> str:
    """``text`` with all splices done; they must not overlap, insertions at one place keep their order."""
    raw = encode(text)
    parts, position = [], 0
    for splice in sorted(splices, key=lambda s: (s.start, s.end)):
        assert splice.start >= position, "splices overlap"
        parts += [raw[position : splice.start], encode(splice.text)]
        position = splice.end
    return decode(b"".join([*parts, raw[position:]]))


def decode(data: bytes) -> str:
    """Bytes as text that ``encode`` turns back into the same bytes, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def line_end(text: str) -> str:
    """How lines of ``text`` end."""
    return "\r\n" if "\r\n" in text else "\n"


def indent(raw: bytes, at: int) -> str:
    """The blanks between the start of its line and byte ``at``; none where something else stands there."""
    before = raw[raw.rfind(b"\n", 0, at) + 1 : at]
    return "" if before.strip(b" \t") else decode(before)
