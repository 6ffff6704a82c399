"""GRUB's script language: bytes → words and operators, each with its place in the text. Pure.

As GRUB 2.06 splits them (``grub-core/script/yylex.l``; the manual's “Quoting”). Every span counts bytes of
the text, so that who edits a menu can change a word and leave all else as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from mediakit.plain import dataclass

_BLANKS = re.compile(rb"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(rb"#[^\n]*")
_OPERATOR = re.compile(rb"\|\||&&|;;|[|&;<>{}\n]")
_CHARS = re.compile(rb"[^{}|&$;<> \t\r\n'\"\\]+")
_QUOTED = re.compile(rb'[^"\\$]+')
UNCLOSED = "A quotation mark is never closed."
_SINGLE = re.compile(rb"'[^']*'")
_VARIABLE = re.compile(
    rb"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@]))"
)
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+@%^~!()\[\]-]+")


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


def quote(text: str) -> str:
    """``text`` as one word of a script that stands for exactly itself."""
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'([$"\\])', r"\\\1", text) + '"'


class _Builder:
    """Collects a word's parts; neighbouring text of the same quoting is one part."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, bool, list[bytes]]] = []

    def text(self, raw: bytes, is_quoted: bool) -> None:
        if not self._parts or self._parts[-1][:2] != ("text", is_quoted):
            self._parts.append(("text", is_quoted, []))
        self._parts[-1][2].append(raw)

    def variable(self, match: re.Match[bytes], is_quoted: bool) -> None:
        self._parts.append(("variable", is_quoted, [match.group(1) or match.group(2)]))

    def escape(self, text: bytes, at: int) -> None:
        """What a backslash at ``at`` protects; before a newline it joins two lines."""
        following = text[at + 1 : at + 2]
        self.text(b"" if following == b"\n" else following, True)

    def build(self) -> tuple[Part, ...]:
        return tuple(
            Part(
                "text" if kind == "text" else "variable",
                b"".join(raw).decode("utf-8", "surrogateescape"),
                is_quoted,
            )
            for kind, is_quoted, raw in self._parts
        )


def _word(text: bytes, start: int, line: int, problems: list[tuple[int, str]]) -> Word:
    word = _Builder()
    at = start
    while at < len(text):
        byte = text[at : at + 1]
        if chars := _CHARS.match(text, at):
            word.text(chars.group(), False)
            at = chars.end()
        elif variable := _VARIABLE.match(text, at):
            word.variable(variable, False)
            at = variable.end()
        elif byte == b"\\":
            word.escape(text, at)
            at += 2
        elif byte == b"'":
            single = _SINGLE.match(text, at)
            if single is None:
                problems.append((line, UNCLOSED))
            end = single.end() if single else len(text)
            word.text(text[at + 1 : end - 1 if single else end], True)
            at = end
        elif byte == b'"' or text[at : at + 2] == b'$"':
            at = _double(text, at + (byte == b"$") + 1, word, line, problems)
        elif byte == b"$":
            word.text(b"$", False)
            at += 1
        else:
            break
    return Word(word.build(), start, min(at, len(text)), line)


def _double(text: bytes, at: int, word: _Builder, line: int, problems: list[tuple[int, str]]) -> int:
    """Read a string in double quotes from behind its first; returns where it ends."""
    word.text(b"", True)
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b'"':
            return at + 1
        if byte == b"\\" and text[at + 1 : at + 2] in (b"$", b'"', b"\\", b"\n"):
            word.escape(text, at)
            at += 2
        elif variable := _VARIABLE.match(text, at):
            word.variable(variable, True)
            at = variable.end()
        elif chars := _QUOTED.match(text, at):
            word.text(chars.group(), True)
            at = chars.end()
        else:
            word.text(byte, True)
            at += 1
    problems.append((line, UNCLOSED))
    return at
