"""Owns the fonts that screens of virtual machines are read with: bitmap of a cell → character.

- VGA 8×16, code page 437: the ROM font of SeaBIOS's VGA BIOS, which text mode shows; Linux's built-in
  framebuffer console font differs in some (``fontdata``), as do the fonts that consoles load.
- PSF fonts (version 1 and 2, with their Unicode tables) that ``setfont`` loads, where they are installed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from mediakit.errors import FormatError, MissingToolError
from mediakit.plain import dataclass
from mediakit.vm import fontdata

_ROM = Path("/usr/share/seabios/vgabios-stdvga.bin")
_SMILEY = bytes.fromhex("00007e81a58181bd9981817e00000000")  # glyph 1, after the blank glyph 0
_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CP437 = _LOW + bytes(range(32, 127)).decode() + "⌂" + bytes(range(128, 256)).decode("cp437")
_PSF1, _PSF2 = b"\x36\x04", b"\x72\xb5\x4a\x86"


@dataclass(frozen=True)
class Font:
    """Glyphs of ``width`` × ``height``: rows as integers, the leftmost dot highest, packed into one key."""

    name: str
    width: int
    height: int
    glyphs: dict[bytes, str]


def from_rows(name: str, height: int, glyphs: Iterable[tuple[bytes, str]]) -> Font:
    """A font 8 dots wide; of glyphs that look alike the first wins."""
    table: dict[bytes, str] = {}
    for rows, character in glyphs:
        table.setdefault(rows, character)
    return Font(name, 8, height, table)


@cache
def vga() -> Font:
    """The VGA font, which text mode shows."""
    glyphs = _rom_glyphs()
    return from_rows("VGA 8x16", 16, ((glyphs[code], CP437[code]) for code in _order()))


@cache
def linux() -> Font:
    """The font built into Linux, which framebuffer consoles show until ``setfont`` loads another."""
    glyphs = _rom_glyphs()
    known = {code: bytes.fromhex(rows) for code, rows in fontdata.LINUX.items()}
    return from_rows("Linux 8x16", 16, ((known.get(code, glyphs[code]), CP437[code]) for code in _order()))


@cache
def for_screens() -> tuple[Font, ...]:
    """The fonts a screen of a virtual machine is tried with: VGA's drawings, Debian's default."""
    table = {bytes.fromhex(rows): character for character, rows in fontdata.LAT15.items()}
    fixed = {bytes.fromhex(word[2:]): word[0] for word in fontdata.FIXED.split()}
    return (Font("VGA 8x16", 8, 16, vga().glyphs | table | linux().glyphs), Font("Fixed 8x16", 8, 16, fixed))


@cache
def _rom_glyphs() -> list[bytes]:
    try:
        rom = _ROM.read_bytes()
    except OSError as error:
        raise MissingToolError(
            f"{_ROM} is missing; screens of virtual machines are read with its font.",
            "Install Debian's package qemu-system-x86: apt install qemu-system-x86",
        ) from error
    start = rom.find(bytes(16) + _SMILEY)
    if start < 0:
        raise FormatError(f"{_ROM} holds no VGA font.", "Use Debian's package seabios.")
    return [rom[start + 16 * code : start + 16 * (code + 1)] for code in range(256)]


def _order() -> list[int]:
    """Code points, ASCII first: where two glyphs look alike, text is likelier than a symbol."""
    return [*range(32, 127), *range(32), *range(127, 256)]


def psf(path: Path) -> Font:
    """A console font file, plain or gzip (Linux Documentation, PSF1 and PSF2 headers)."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] == _PSF2:
        _, header, flags, count, size, height, width = (
            int.from_bytes(data[4 + 4 * n : 8 + 4 * n], "little") for n in range(7)
        )
        if width != 8:
            raise FormatError(f"{path} is {width} dots wide; only fonts of 8 are read.", "Use another font.")
        characters = _table2(data[header + count * size :]) if flags & 1 else list(CP437)
    elif data[:2] == _PSF1:
        header, height = 4, data[3]
        size, count = height, 512 if data[2] & 1 else 256
        characters = _table1(data[header + count * size :]) if data[2] & 6 else list(CP437)
    else:
        raise FormatError(f"{path} is not a PSF console font.", "Give a file of /usr/share/consolefonts.")
    glyphs = [
        (data[header + n * size : header + (n + 1) * size], characters[n])
        for n in range(min(count, len(characters)))
        if characters[n]
    ]
    return from_rows(path.name, height, sorted(glyphs, key=lambda glyph: not glyph[1].isascii()))


def _table1(data: bytes) -> list[str]:
    """PSF1: UCS-2 values a glyph, ended by 0xFFFF; 0xFFFE begins sequences."""
    found, current = [], ""
    for position in range(0, len(data) - 1, 2):
        value = int.from_bytes(data[position : position + 2], "little")
        if value == 0xFFFF:
            found.append(current[:1])
            current = ""
        elif value != 0xFFFE:
            current += chr(value)
    return found


def _table2(data: bytes) -> list[str]:
    """PSF2: UTF-8 a glyph, ended by 0xFF; 0xFE begins sequences."""
    return [part.split(b"\xfe")[0].decode(errors="replace")[:1] for part in data.split(b"\xff")[:-1]]
