"""What a terminal is shown: names from images and disks, made harmless. The one place for it."""

from __future__ import annotations

import io
import os
import sys


def settle_streams() -> None:
    """Printing never ends a program: what a stream's encoding lacks becomes ``?``, a closed stream swallows.

    A job of cron or a shell with ``>&-`` has no standard output; Python then has None in its place.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def printable(text: str) -> str:
    """``text`` with control characters and undecodable bytes replaced: they must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def line(text: str) -> str:
    """``printable`` for what must stay on one line."""
    return printable(text).replace("\n", "�")
