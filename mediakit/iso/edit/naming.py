"""The names new files get in trees that cannot hold their real ones: ISO 9660 identifiers and Joliet. Pure.

Sources: ECMA-119 §7.4, §7.5 and §7.6 (characters, 8.3, 31 and directory names), §10 (levels); Joliet 1.0
§ “Allowed characters” and 64 (or, as most authors write, 103) characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from mediakit.errors import RefusedError
from mediakit.formats.iso9660 import joliet_name, plain_name
from mediakit.plain import dataclass

_D_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_JOLIET_FORBIDDEN = frozenset("*/:;?\\")
JOLIET_SHORT, JOLIET_LONG = 64, 103


@dataclass(frozen=True)
class Style:
    """How identifiers of a tree look, as far as its neighbours show."""

    stem: int = 8
    extension: int = 3
    has_version: bool = True
    has_dot: bool = True
    is_relaxed: bool = False
    joliet_characters: int = JOLIET_SHORT


@dataclass
class Taken:
    """The names of one folder that are in use, as people see them, and where numbering goes on."""

    names: set[str] = field(default_factory=set)
    next_numbers: dict[tuple[bytes, bytes], int] = field(default_factory=dict)


def style_of(identifiers: Iterable[bytes], folders: Iterable[bytes], is_joliet: bool) -> Style:
    """The style of some file and folder identifiers of one tree."""
    files = list(identifiers)
    if is_joliet:
        longest = max((len(joliet_name(name)) for name in (*files, *folders)), default=0)
        has_version = bool(files) and all(name.endswith(b"\0;\0001") for name in files)
        return Style(
            has_version=has_version,
            joliet_characters=JOLIET_LONG if longest > JOLIET_SHORT else JOLIET_SHORT,
        )
    bare = [name.split(b";")[0] for name in files]
    is_long = any(len(name) > 12 or (len(name.rpartition(b".")[2]) > 3 and b"." in name) for name in bare)
    relaxed = any(name != name.upper() for name in bare)
    return Style(
        stem=_relaxed_room(bare, folders) if relaxed else 27 if is_long else 8,
        has_version=not files or any(b";" in name for name in files),
        has_dot=not bare or any(name.endswith(b".") for name in bare) or all(b"." in name for name in bare),
        is_relaxed=relaxed,
    )


def iso_identifier(name: str, is_folder: bool, style: Style) -> bytes:
    """The identifier that ``name`` gets if nobody else has it."""
    if style.is_relaxed:
        version = b";1" if style.has_version and not is_folder else b""
        return (_characters(name, style)[: style.stem] or b"_") + version
    stem, dot, extension = name.rpartition(".") if not is_folder else (name, "", "")
    if not dot or not stem:
        stem, extension = name, ""
    room = style.stem + (1 + style.extension if is_folder and style.stem > 8 else 0)
    first = _characters(stem, style)[:room] or b"_"
    last = _characters(extension, style)[: style.extension]
    return _assemble(first, last, is_folder, style)


def unique_iso_identifier(name: str, is_folder: bool, style: Style, taken: Taken) -> bytes:
    """``iso_identifier``, numbered where somebody has it already; RefusedError after 46,655 of them."""
    wanted = iso_identifier(name, is_folder, style)
    if plain_name(wanted) not in taken.names:
        return wanted
    bare = wanted.split(b";")[0]
    stem, dot, extension = bare.partition(b".") if not style.is_relaxed else bare.rpartition(b".")
    stem, extension = (stem, extension) if dot else (bare, b"")
    series = (stem[: style.stem - 3], extension)
    for number in range(taken.next_numbers.get(series, 0), 36**3):
        digits = _base36(number).rjust(3, b"0")
        found = _assemble(series[0] + digits, extension, is_folder, style)
        if plain_name(found) not in taken.names:
            taken.next_numbers[series] = number + 1
            return found
    raise RefusedError(f"The folder has too many files whose names begin like “{name}”.", "Use another name.")


def joliet_identifier(name: str, style: Style) -> bytes:
    """The Joliet name of ``name``, cut to what the tree allows; what UCS-2 lacks becomes “_”."""
    text = "".join(_joliet_character(c) for c in name)
    if len(text) > style.joliet_characters:
        stem, dot, extension = text.rpartition(".")
        if dot and stem and len(extension) < 16:
            text = stem[: style.joliet_characters - 1 - len(extension)] + dot + extension
        else:
            text = text[: style.joliet_characters]
    return text.encode("utf-16-be")


def unique_joliet_identifier(name: str, is_folder: bool, style: Style, taken: Taken) -> bytes:
    """``joliet_identifier``, numbered where somebody has it (capitals count)."""
    wanted = joliet_name(joliet_identifier(name, style))
    stem, dot, extension = wanted.rpartition(".")
    base, end = (stem, dot + extension) if dot and stem else (wanted, "")
    series = (base.encode("utf-16-be"), end.encode("utf-16-be"))
    number = taken.next_numbers.get(series, 0)
    while wanted in taken.names:
        digits = f"{number:03}"
        wanted = base[: style.joliet_characters - len(end) - len(digits)] + digits + end
        number += 1
        taken.next_numbers[series] = number
    return wanted.encode("utf-16-be") + (b"\0;\0001" if style.has_version and not is_folder else b"")


def other_names(name: str, style: Style, *, is_joliet: bool) -> tuple[str, ...]:
    """What ``name`` may be called in a tree that cannot hold it."""
    if is_joliet:
        styles = (style, Style(joliet_characters=JOLIET_LONG))
        return tuple(joliet_name(joliet_identifier(name, one)) for one in styles)
    return tuple(plain_name(iso_identifier(name, is_folder, style)) for is_folder in (False, True))


def _characters(text: str, style: Style) -> bytes:
    raw = text.encode("ascii", "replace").replace(b"?", b"_")
    if style.is_relaxed:
        return bytes(c if 32 <= c < 127 and c not in b";/" else ord("_") for c in raw)
    return bytes(c if c in _D_CHARACTERS else ord("_") for c in raw.upper())


def _assemble(stem: bytes, extension: bytes, is_folder: bool, style: Style) -> bytes:
    if is_folder:
        return stem
    dot = b"." if extension or style.has_dot else b""
    return stem + dot + extension + (b";1" if style.has_version else b"")


def _relaxed_room(files: list[bytes], folders: Iterable[bytes]) -> int:
    """31 characters, or what ISO 9660:1999 allows where its names are in use."""
    return 190 if any(len(name) > 37 for name in (*files, *folders)) else 30


def _base36(number: int) -> bytes:
    digits = b""
    while number:
        number, rest = divmod(number, 36)
        digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest : rest + 1] + digits
    return digits


def _joliet_character(character: str) -> str:
    code = ord(character)
    if code < 32 or code > 0xFFFF or 0xD800 <= code < 0xE000 or character in _JOLIET_FORBIDDEN:
        return "_"
    return character
