"""The comment that stands before a menu entry that was added: from which one, and with which arguments. Pure.

It is what makes the same edit again no edit, and another one with the same title take its place. All three
loaders have comments that begin with ``#`` and end with the line.
"""

from __future__ import annotations

import json
import re

from mediakit.iso.menuedit.textedit import decode
from mediakit.plain import dataclass

_MAX_NAME = 40
_HEAD = "# added by mediakit: "
_LINE = re.compile(rb"[ \t]*(# added by mediakit: (\{[^\n]*\}))[ \t]*\r?\n")


@dataclass(frozen=True)
class Mark:
    """``origin`` is the title of the entry that was copied."""

    origin: str
    arguments: tuple[str, ...]


def write(mark: Mark) -> str:
    """The comment, without the end of its line."""
    return _HEAD + json.dumps({"from": mark.origin, "arguments": list(mark.arguments)})


def name_for(title: str, taken: set[str]) -> str:
    """A label or file name made of a title, which no other entry has; ``taken`` are in lower case."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_MAX_NAME].rstrip("-") or "added"
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}-{number}"
    return found


def before(raw: bytes, at: int) -> Mark | None:
    """What the comment in the line before the one of byte ``at`` says; None where there is none."""
    found = _line(raw, at)
    if found is None:
        return None
    try:
        document = json.loads(decode(found[2]))
    except (ValueError, RecursionError):
        return None
    origin, arguments = document.get("from"), document.get("arguments")
    if not isinstance(origin, str) or not isinstance(arguments, list):
        return None
    return Mark(origin, tuple(word for word in arguments if isinstance(word, str)))


def span(raw: bytes, at: int) -> tuple[int, int]:
    """Where that comment stands, without blanks and the end of its line."""
    found = _line(raw, at)
    assert found is not None
    return found.start(1), found.end(1)


def _line(raw: bytes, at: int) -> re.Match[bytes] | None:
    end = raw.rfind(b"\n", 0, at) + 1
    start = raw.rfind(b"\n", 0, max(0, end - 1)) + 1
    return _LINE.fullmatch(raw, start, end)
