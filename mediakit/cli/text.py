"""What a terminal is shown: names from images and disks, made harmless. The one place for it."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with control characters and undecodable bytes replaced: they must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def line(text: str) -> str:
    """``printable`` for what must stay on one line."""
    return printable(text).replace("\n", "�")
