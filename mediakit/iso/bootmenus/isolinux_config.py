"""ISOLINUX's and SYSLINUX's configuration: bytes → directives and sections, each with its place. Pure.

Source: syslinux 6.03, ``doc/syslinux.txt`` (“CONFIGURATION FILE”) and ``doc/menu.txt``, ``com32/elflink/
ldlinux/readconfig.c``: a keyword in any case, then its value to the end of the line; no quoting. Nothing is
looked up here: ``isolinux_menu`` follows what is here, ``edit.syslinuxmenu`` changes it. Spans count bytes of
the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mediakit.plain import dataclass

KERNEL_WORDS = ("kernel", "linux", "boot", "bss", "pxe", "fdimage", "com32", "config", "localboot")
MAX_VALUE_BYTES = 4096
"""What ``parse`` takes of a line's value: more than any loader does."""
GLOBAL_WORDS = ("default", "timeout", "ontimeout", "include", "ui", "prompt")
"""What belongs to the whole file, wherever it stands."""
_LINE = re.compile(rb"[^\n]*\n?")
_WORD = re.compile(rb"\S+")
_HOTKEY = re.compile(r"\^(.)")


@dataclass(frozen=True)
class Directive:
    """One line. ``keyword`` is lower case (``menu label`` is one keyword); the span is its value's."""

    keyword: str
    value: str
    line: int
    start: int
    end: int
    line_start: int
    line_end: int

    def words(self) -> tuple[tuple[str, int, int], ...]:
        """The value's words with their spans."""
        raw = self.value.encode("utf-8", "surrogateescape")
        return tuple(
            (_decode(m.group()), self.start + m.start(), self.start + m.end()) for m in _WORD.finditer(raw)
        )


@dataclass(frozen=True)
class Section:
    """The lines of one label, with ``name``; or, without one, what stands before or between labels.

    ``depth`` counts the ``menu begin`` around it. Where a keyword stands twice, the last one counts.
    """

    name: str
    directives: tuple[Directive, ...]
    depth: int = 0

    def find(self, *keywords: str) -> Directive | None:
        """The last line with one of the keywords: it is the one that counts."""
        return next((d for d in reversed(self.directives) if d.keyword in keywords), None)

    @property
    def title(self) -> str:
        """What a menu shows, without the mark of its hotkey."""
        shown = self.find("menu label")
        return _HOTKEY.sub(r"\1", shown.value) if shown is not None else self.name

    @property
    def line(self) -> int:
        return self.directives[0].line

    @property
    def kernel(self) -> Directive | None:
        return self.find(*KERNEL_WORDS)

    @property
    def append(self) -> Directive | None:
        return self.find("append")

    @property
    def initrd(self) -> Directive | None:
        return self.find("initrd")

    @property
    def is_default(self) -> bool:
        return self.find("menu default") is not None

    @property
    def is_heading(self) -> bool:
        """Whether it cannot be chosen."""
        last = self.find("menu disable", "menu separator")
        return last is not None and last.keyword == "menu disable"


@dataclass(frozen=True)
class Config:
    """One file: its lines in order, and the same by section; the first section is the whole file's."""

    directives: tuple[Directive, ...]
    sections: tuple[Section, ...]

    @property
    def labels(self) -> tuple[Section, ...]:
        return tuple(section for section in self.sections if section.name)

    @property
    def default(self) -> Directive | None:
        return self.sections[0].find("default")

    @property
    def ui(self) -> Directive | None:
        return self.sections[0].find("ui")

    @property
    def append(self) -> Directive | None:
        """The global one, which labels without their own inherit."""
        return self.sections[0].find("append")

    def includes(self) -> Iterator[Directive]:
        """The ``include`` lines (``menu include`` too), whose value's first word is a path."""
        return (d for d in self.directives if d.keyword in ("include", "menu include"))


def parse(text: bytes, most_value_bytes: int = MAX_VALUE_BYTES) -> Config:
    """The configuration in ``text``; what is not understood is kept as a directive and means nothing.

    Of a value the first ``most_value_bytes`` are taken.
    """
    found = tuple(_shortened(directive, text, most_value_bytes) for directive in directives(text))
    parts: list[tuple[str, int, list[Directive]]] = [("", 0, [])]
    depth = 0
    for directive in found:
        keyword = directive.keyword
        if keyword in GLOBAL_WORDS:
            parts[0][2].append(directive)
            continue
        if keyword == "menu begin":
            depth += 1
        elif keyword == "menu end":
            depth = max(0, depth - 1)
        if keyword in ("menu begin", "menu end", "label"):
            parts.append((directive.value if keyword == "label" else "", depth, []))
        parts[-1][2].append(directive)
    return Config(found, tuple(Section(name, tuple(own), deep) for name, deep, own in parts))


def _shortened(directive: Directive, text: bytes, most_bytes: int) -> Directive:
    if directive.end - directive.start <= most_bytes:
        return directive
    end = directive.start + most_bytes
    return replace(directive, value=_decode(text[directive.start : end]), end=end)


def initrds(words: str) -> list[str]:
    """The paths in ``initrd=a,b`` of an ``append`` line; the last ``initrd=`` counts."""
    found: list[str] = []
    for word in words.split():
        if word.startswith("initrd="):
            found = [path for path in word[7:].split(",") if path]
    return found


def directives(text: bytes) -> Iterator[Directive]:
    """Every line that says something, in order; comments and blank lines say nothing.

    A help text is one, ``text help``, from there to its end.
    """
    number = 0
    help_text: Directive | None = None
    for match in _LINE.finditer(text):
        if not match.group():
            continue
        number += 1
        words = list(_WORD.finditer(match.group()))
        if not words or words[0].group().startswith(b"#"):
            continue
        keyword = _decode(words[0].group()).lower()
        rest = words[1:]
        if keyword in ("menu", "text") and rest:
            keyword += " " + _decode(rest[0].group()).lower()
            rest = rest[1:]
        if help_text is not None:
            help_text = replace(help_text, line_end=match.end())
            if keyword == "endtext":
                yield help_text
                help_text = None
            continue
        if keyword == "endtext":
            continue
        start = match.start() + (rest[0].start() if rest else words[-1].end())
        end = match.start() + (rest[-1].end() if rest else words[-1].end())
        found = Directive(keyword, _decode(text[start:end]), number, start, end, match.start(), match.end())
        if keyword == "text help":
            help_text = found
        else:
            yield found
    if help_text is not None:
        yield replace(help_text, line_end=len(text))


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
