"""GRUB's script language as far as menus need it: commands, their words, and where each lies. Pure.

Source: GRUB 2.06 ``grub-core/script/yylex.l`` and ``parser.y``. Nothing is run or expanded: a variable stays
``$name`` in a word's ``text``. Spans are offsets in the text that was given, so that an edit can replace one
word and leave every other byte as it is. Text that is no valid script yields what it begins with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

KEYWORDS = frozenset({"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "time"})
_OPENERS = frozenset({"if", "while", "until", "for"})
_CLOSERS = frozenset({"fi", "done"})
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+@%^~!()\[\]-]+")
_CHUNK = re.compile(r"""[^'"\\\s{};&|<>$]+""")
_CONTINUATION = re.compile(r"\\\r?\n")
_VARIABLE = re.compile(r"\$\{[A-Za-z0-9_?#*@]{1,100}\}")
_SEPARATORS = "\n;&|<>"
_OPEN_QUOTE = "open quote"
_LEADERS = KEYWORDS | _OPENERS - {"for"}
MAX_DEPTH = 100
"""No menu nests deeper; what does is not read on."""


@dataclass(frozen=True)
class Word:
    """One word: its span with quotes, and its ``text`` without them."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Command:
    """One simple command. ``blocks`` names the commands whose ``{`` it is inside, outermost first.

    ``statement_start`` is where the outermost if, while or for around it begins (its own start without one).
    """

    words: tuple[Word, ...]
    blocks: tuple[str, ...]
    statement_start: int

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words[1:])


def commands(text: str) -> list[Command]:
    """Every simple command of a script, in the order of the text; those of blocks follow their opener."""
    found: list[Command] = []
    words: list[Word] = []
    blocks: list[str] = []
    compounds: list[int] = []

    def finish() -> str:
        """The words so far as a command, without keywords; returns its name."""
        while words and words[0].text in _LEADERS:
            keyword = words.pop(0)
            if keyword.text in _OPENERS:
                compounds.append(keyword.start)
            elif keyword.text in _CLOSERS and compounds:
                compounds.pop()
        if not words:
            return ""
        if words[0].text == "for":
            compounds.append(words[0].start)
        top = compounds[0] if compounds else words[0].start
        found.append(Command(tuple(words), tuple(blocks), top))
        words.clear()
        return found[-1].name

    for token in _tokens(text):
        if isinstance(token, Word):
            words.append(token)
        elif token == _OPEN_QUOTE:
            words.clear()
        elif token == "{":
            blocks.append(finish())
            if len(blocks) > MAX_DEPTH:
                break
        else:
            finish()
            if token == "}" and blocks:
                blocks.pop()
    finish()
    return found


def quote(text: str) -> str:
    """``text`` as one word of a script that stands for exactly itself."""
    if _PLAIN.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'([$"\\])', r"\\\1", text) + '"'


def _tokens(text: str) -> Iterator[Word | str]:
    at = 0
    while at < len(text):
        char = text[at]
        continuation = _CONTINUATION.match(text, at)
        if continuation:
            at = continuation.end()
        elif char in " \t\r":
            at += 1
        elif char == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif char in _SEPARATORS or char in "{}":
            yield char
            at += 1
        else:
            word = _word(text, at)
            if word is None:
                yield _OPEN_QUOTE
                return
            yield word
            at = word.end


def _word(text: str, start: int) -> Word | None:
    """The word that begins at ``start``; None if a quote in it is never closed."""
    at, parts = start, []
    while at < len(text):
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                return None
            parts.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            at, part = _double_quoted(text, at + 1)
            if not at:
                return None
            parts.append(part)
        elif char == "\\":
            continuation = _CONTINUATION.match(text, at)
            if not continuation:
                parts.append(text[at + 1 : at + 2])
            at = continuation.end() if continuation else min(at + 2, len(text))
        elif chunk := _CHUNK.match(text, at):
            parts.append(chunk[0])
            at = chunk.end()
        elif variable := _VARIABLE.match(text, at):
            parts.append(variable[0])
            at = variable.end()
        elif char in " \t\r{}" or char in _SEPARATORS:
            break
        else:
            parts.append(char)
            at += 1
    return Word(start, at, "".join(parts))


def _double_quoted(text: str, at: int) -> tuple[int, str]:
    """What stands between double quotes from ``at`` on, and where it ends; 0 if it never does."""
    parts = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            continuation = _CONTINUATION.match(text, at)
            if continuation:
                at = continuation.end()
                continue
            if text[at + 1] not in '$"\\':
                parts.append("\\")
            parts.append(text[at + 1])
            at += 2
        else:
            parts.append(text[at])
            at += 1
    return (at + 1 if at < len(text) else 0), "".join(parts)
