"""GRUB's scripts as an edit of menus sees them: one list of commands, with characters for places. Pure.

``iso.grub_words`` splits the text; here its words become simple commands that know their blocks and where the
statement around them begins. Nothing is run or expanded: a variable stays ``${name}`` in its word's ``text``.
Text that is no valid script yields what it begins with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mediakit.iso import grub_words
from mediakit.iso.edit.textedit import characters, encode
from mediakit.plain import dataclass

KEYWORDS = frozenset({"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "time"})
_OPENERS = frozenset({"if", "while", "until", "for"})
_CLOSERS = frozenset({"fi", "done"})
_LEADERS = KEYWORDS | _OPENERS - {"for"}
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+@%^~!()\[\]-]+")
_OPEN_QUOTE = "open quote"
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
        first = 0
        while first < len(words) and words[first].text in _LEADERS:
            keyword = words[first]
            first += 1
            if keyword.text in _OPENERS:
                compounds.append(keyword.start)
            elif keyword.text in _CLOSERS and compounds:
                compounds.pop()
        del words[:first]
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
    """Words and operators; a quote that is never closed ends them."""
    raw = encode(text)
    places = characters(text, raw)
    problems: list[tuple[int, str]] = []
    for token in grub_words.tokens(raw, problems):
        if problems:
            yield _OPEN_QUOTE
            return
        if token.word is None:
            yield token.operator.decode()
        else:
            yield Word(places[token.start], places[token.end], token.word.text)
