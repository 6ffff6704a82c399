"""The catalogues: English sentences to the user's language. Owns the reading of ``locale/*/engine.po``.

gettext's format without its tools: a small reader of .po files (GNU gettext manual, The Format of PO Files);
neither msgfmt nor compiled catalogues are needed. Sentences that ``mediakit`` has formatted already are
recognised by their pattern: an entry ``{path} is too small.`` also translates ``/dev/sda is too small.``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from mediakit.plain import dataclass

LOCALE = Path(__file__).with_name("locale")
LANGUAGES = {"en": "English", "es": "Español"}
"""Language code to its own name; a catalogue in ``locale/`` adds one (its header says ``Language-Team``)."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """One entry of a catalogue; ``texts`` holds the singular and, with ``plural``, the plural form."""

    msgid: str
    texts: tuple[str, ...]
    plural: str = ""
    fuzzy: bool = False


def parse_po(text: str) -> Iterator[Entry]:
    """The entries of a .po file in their order, the header (empty msgid) first, no obsolete ones."""
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        current = ""
        fuzzy = False
        for row in block.splitlines():
            line = row
            if line.startswith("#"):
                fuzzy = fuzzy or (line.startswith("#,") and "fuzzy" in line)
                continue
            match = re.match(r"(msgid_plural|msgid|msgstr(?:\[\d\])?)\s+(.*)", line)
            if match:
                current, line = match[1], match[2]
                fields[current] = ""
            if current and line.startswith('"'):
                fields[current] += str(ast.literal_eval(line))
        if "msgid" in fields:
            texts = tuple(value for name, value in sorted(fields.items()) if name.startswith("msgstr"))
            yield Entry(fields["msgid"], texts, fields.get("msgid_plural", ""), fuzzy)


@dataclass
class Catalogue:
    """One language. ``tr`` translates and fills in, ``sentence`` translates what is filled in already."""

    language: str = "en"
    entries: dict[str, Entry] = field(default_factory=dict)
    _patterns: list[tuple[str, re.Pattern[str], str]] | None = None

    def tr(self, msgid: str, /, **params: object) -> str:
        """``msgid`` in this language with its ``{placeholders}`` filled in."""
        entry = self.entries.get(msgid)
        text = entry.texts[0] if entry and entry.texts[0] else msgid
        return text.format(**params) if params else text

    def trn(self, one: str, many: str, number: int, /, **params: object) -> str:
        """The singular or the plural, by ``number``, which is also the placeholder ``{n}``."""
        entry = self.entries.get(one)
        forms = entry.texts if entry and len(entry.texts) == 2 and all(entry.texts) else (one, many)
        return forms[number != 1].format(n=number, **params)

    def sentence(self, text: str) -> str:
        """A sentence of ``mediakit`` (or several in a row) in this language; unknown ones stay English."""
        if not self.entries or not text:
            return text
        whole = self._match(text)
        if whole is not None:
            return whole
        parts = re.split(r"(?<=[.!?]) (?=[A-Z0-9“\"/])", text)
        out = []
        while parts:
            end, translated = self._longest(parts)
            out.append(translated)
            parts = parts[end:]
        return " ".join(out)

    def _longest(self, parts: list[str]) -> tuple[int, str]:
        """How many of the first ``parts`` are one entry, and its translation; one and itself if none is."""
        for end in range(len(parts), 0, -1):
            translated = self._match(" ".join(parts[:end]))
            if translated is not None:
                return end, translated
        return 1, parts[0]

    def _match(self, text: str) -> str | None:
        entry = self.entries.get(text)
        if entry and entry.texts[0]:
            return entry.texts[0]
        for literal, pattern, translation in self._compiled():
            if literal not in text:
                continue
            match = pattern.fullmatch(text)
            if match:
                values = {name: self._match(value) or value for name, value in match.groupdict().items()}
                return translation.format(**values)
        return None

    def _compiled(self) -> list[tuple[str, re.Pattern[str], str]]:
        if self._patterns is None:
            found = [
                (max(_PLACEHOLDER.split(e.msgid)[::2], key=len), _pattern(e.msgid), e.texts[0])
                for e in self.entries.values()
                if e.texts and e.texts[0] and not e.plural and _PLACEHOLDER.search(e.msgid)
            ]
            self._patterns = sorted((f for f in found if len(f[0].strip()) > 2), key=lambda f: -len(f[0]))
        return self._patterns


def _pattern(msgid: str) -> re.Pattern[str]:
    """A pattern that matches what ``msgid.format(...)`` gives; a placeholder seen twice must be equal."""
    seen: set[str] = set()
    out = ""
    for index, word in enumerate(_PLACEHOLDER.split(msgid)):
        if index % 2 == 0:
            out += re.escape(word)
        elif word in seen:
            out += f"(?P={word})"
        else:
            seen.add(word)
            out += f"(?P<{word}>(?:(?!\\. [A-Z“]).)+?)"
    return re.compile(out, re.DOTALL)


def load(language: str) -> Catalogue:
    """The catalogue of ``language``; English, which needs none, where there is no such catalogue."""
    path = LOCALE / language / "engine.po"
    if language == "en" or not path.is_file():
        return Catalogue()
    entries = {e.msgid: e for e in parse_po(path.read_text(encoding="utf-8")) if e.msgid and not e.fuzzy}
    return Catalogue(language, entries)
