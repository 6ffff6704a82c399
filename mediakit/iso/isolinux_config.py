"""ISOLINUX's and SYSLINUX's configuration: bytes → directives and labels, each with its place. Pure.

Source: syslinux 6.03, ``doc/syslinux.txt`` (“CONFIGURATION FILE”) and ``doc/menu.txt``, ``com32/elflink/
ldlinux/readconfig.c``: a keyword in any case, then its value to the end of the line; no quoting. Nothing is
looked up here; ``isolinux_menu`` does that. Spans count bytes of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mediakit.plain import dataclass

KERNEL_WORDS = ("kernel", "linux", "boot", "bss", "pxe", "fdimage", "com32", "config", "localboot")
MAX_VALUE_BYTES = 4096
"""What ``parse`` takes of a line's value: more than any loader does."""
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
class Label:
    """One entry: what it starts and with which arguments. ``kernel`` and ``append`` may be missing."""

    name: str
    title: str
    line: int
    kernel: Directive | None = None
    append: Directive | None = None
    initrd: Directive | None = None
    is_default: bool = False
    is_heading: bool = False


@dataclass(frozen=True)
class Config:
    """One file. ``append`` is the global one, which labels without their own inherit."""

    directives: tuple[Directive, ...]
    labels: tuple[Label, ...]
    default: Directive | None
    ui: Directive | None
    append: Directive | None

    def includes(self) -> Iterator[Directive]:
        """The ``include`` lines (``menu include`` too), whose value's first word is a path."""
        return (d for d in self.directives if d.keyword in ("include", "menu include"))


def parse(text: bytes) -> Config:
    """The configuration in ``text``; what is not understood is kept as a directive and means nothing."""
    found = tuple(_shortened(directive, text) for directive in directives(text))
    labels: list[Label] = []
    default = ui = append = None
    for directive in found:
        keyword = directive.keyword
        if keyword == "label":
            labels.append(Label(directive.value, directive.value, directive.line))
        elif keyword == "default":
            default = directive
        elif keyword == "ui":
            ui = directive
        elif keyword in ("append", "initrd") and not labels:
            append = directive if keyword == "append" else append
        elif labels:
            labels[-1] = _extended(labels[-1], directive)
    return Config(found, tuple(labels), default, ui, append)


def _shortened(directive: Directive, text: bytes) -> Directive:
    if directive.end - directive.start <= MAX_VALUE_BYTES:
        return directive
    end = directive.start + MAX_VALUE_BYTES
    return replace(directive, value=_decode(text[directive.start : end]), end=end)


def initrds(words: str) -> list[str]:
    """The paths in ``initrd=a,b`` of an ``append`` line; the last ``initrd=`` counts."""
    found: list[str] = []
    for word in words.split():
        if word.startswith("initrd="):
            found = [path for path in word[7:].split(",") if path]
    return found


def _extended(label: Label, directive: Directive) -> Label:
    keyword, value = directive.keyword, directive.value
    if keyword in KERNEL_WORDS:
        return replace(label, kernel=directive)
    if keyword == "append":
        return replace(label, append=directive)
    if keyword == "initrd":
        return replace(label, initrd=directive)
    if keyword == "menu label":
        return replace(label, title=_HOTKEY.sub(r"\1", value))
    if keyword == "menu default":
        return replace(label, is_default=True)
    if keyword in ("menu disable", "menu separator"):
        return replace(label, is_heading=keyword == "menu disable")
    return label


def directives(text: bytes) -> Iterator[Directive]:
    """Every line that says something, in order; comments, blank lines and help texts say nothing."""
    number = 0
    in_help = False
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
        in_help = keyword == "text help" or (in_help and keyword != "endtext")
        if in_help or keyword == "endtext":
            continue
        start = match.start() + (rest[0].start() if rest else words[-1].end())
        end = match.start() + (rest[-1].end() if rest else words[-1].end())
        yield Directive(keyword, _decode(text[start:end]), number, start, end, match.start(), match.end())


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
