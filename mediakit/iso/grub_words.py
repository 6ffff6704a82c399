"""GRUB's script language: bytes → words and operators, each with its place in the text. Pure.

As GRUB 2.06 splits them (``grub-core/script/yylex.l``; the manual's “Quoting”). Every span counts bytes of
the text, so that who edits a menu can change a word and leave all else as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_BLANKS = re.compile(rb"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(rb"#[^\n]*")
_OPERATOR = re.compile(rb"\|\||&&|;;|[|&;<>{}\n]")
_CHARS = re.compile(rb"[^{}|&$;<> \t\r\n'\"\\]+")
_SINGLE = re.compile(rb"'[^']*'")
_VARIABLE = re.compile(
    rb"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@]))"
)


@dataclass(frozen=True)
class Part:
    """A piece of a word: literal text without its quotes, or the name of a variable."""

    kind: Literal["text", "variable"]
    text: str
    is_quoted: bool = False


@dataclass(frozen=True)
class Word:
    """One word as written; ``start`` and ``end`` are bytes of the text, with its quotes; ``line`` from 1."""

    parts: tuple[Part, ...]
    start: int
    end: int
    line: int

    @property
    def literal(self) -> str | None:
        """The value; None where it depends on variables."""
        return None if any(p.kind == "variable" for p in self.parts) else self.text

    @property
    def text(self) -> str:
        """The value with variables shown as ``${name}``."""
        return "".join(p.text if p.kind == "text" else f"${{{p.text}}}" for p in self.parts)


@dataclass(frozen=True)
class Token:
    """A word, or an operator (``;``, a newline, a brace, …)."""

    operator: bytes
    word: Word | None
    start: int
    end: int
    line: int


def tokens(text: bytes, problems: list[tuple[int, str]] | None = None) -> Iterator[Token]:
    """The lexer: blanks and comments left out."""
    at, line = 0, 1
    while at < len(text):
        if blank := _BLANKS.match(text, at):
            line += text.count(b"\n", at, blank.end())
            at = blank.end()
        elif comment := _COMMENT.match(text, at):
            at = comment.end()
        elif operator := _OPERATOR.match(text, at):
            yield Token(operator.group(), None, at, operator.end(), line)
            line += operator.group() == b"\n"
            at = operator.end()
        else:
            word = _word(text, at, line, problems if problems is not None else [])
            yield Token(b"", word, at, word.end, line)
            line += text.count(b"\n", at, word.end)
            at = word.end


def _word(text: bytes, start: int, line: int, problems: list[tuple[int, str]]) -> Word:
    parts: list[Part] = []
    at = start
    while at < len(text):
        if chars := _CHARS.match(text, at):
            _add(parts, chars.group(), False)
            at = chars.end()
        elif variable := _VARIABLE.match(text, at):
            parts.append(Part("variable", _decode(variable.group(1) or variable.group(2)), False))
            at = variable.end()
        elif text[at : at + 1] == b"\\":
            _add(parts, b"" if text[at + 1 : at + 2] == b"\n" else text[at + 1 : at + 2], True)
            at += 2
        elif text[at : at + 1] == b"'":
            single = _SINGLE.match(text, at)
            if single is None:
                problems.append((line, "A quotation mark is never closed."))
            end = single.end() if single else len(text)
            _add(parts, text[at + 1 : end - 1 if single else end], True)
            at = end
        elif text[at : at + 1] == b'"' or text[at : at + 2] == b'$"':
            at = _double(text, at + (text[at : at + 1] == b"$") + 1, parts, line, problems)
        elif text[at : at + 1] == b"$":
            _add(parts, b"$", False)
            at += 1
        else:
            break
    return Word(tuple(parts), start, min(at, len(text)), line)


def _double(text: bytes, at: int, parts: list[Part], line: int, problems: list[tuple[int, str]]) -> int:
    """Read a string in double quotes from behind its first; returns where it ends."""
    _add(parts, b"", True)
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b'"':
            return at + 1
        if byte == b"\\" and text[at + 1 : at + 2] in (b"$", b'"', b"\\", b"\n"):
            _add(parts, b"" if text[at + 1 : at + 2] == b"\n" else text[at + 1 : at + 2], True)
            at += 2
        elif variable := _VARIABLE.match(text, at):
            parts.append(Part("variable", _decode(variable.group(1) or variable.group(2)), True))
            at = variable.end()
        else:
            end = at + 1
            while end < len(text) and text[end] not in b'"\\$':
                end += 1
            _add(parts, text[at:end], True)
            at = end
    problems.append((line, "A quotation mark is never closed."))
    return at


def _add(parts: list[Part], raw: bytes, is_quoted: bool) -> None:
    """Text joins the text before it, unless only one of them was quoted."""
    if parts and parts[-1].kind == "text" and parts[-1].is_quoted == is_quoted:
        parts[-1] = Part("text", parts[-1].text + _decode(raw), is_quoted)
    else:
        parts.append(Part("text", _decode(raw), is_quoted))


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
