"""Owns the fonts that screens of virtual machines are read with: bitmap of a cell → character.

- VGA 8×16, code page 437: the ROM font of SeaBIOS's VGA BIOS, which text mode shows; Linux's built-in
  framebuffer console font differs in the glyphs listed here.
- PSF fonts (version 1 and 2, with their Unicode tables) that ``setfont`` loads, where they are installed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mediakit.errors import FormatError, MissingToolError

_ROM = Path("/usr/share/seabios/vgabios-stdvga.bin")
_SMILEY = bytes.fromhex("00007e81a58181bd9981817e00000000")  # glyph 1, after the blank glyph 0
_LOW = " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
CP437 = _LOW + bytes(range(32, 127)).decode() + "⌂" + bytes(range(128, 256)).decode("cp437")
# Where Linux 6.1's built-in font (lib/fonts/font_8x16.c) differs from the ROM's, by code.
_LINUX = {
    29: "0000000000286cfe6c28000000000000",
    48: "0000386cc6c6d6d6c6c66c3800000000",
    77: "0000c6eefefed6c6c6c6c6c600000000",
    84: "00007e7e5a1818181818183c00000000",
    86: "0000c6c6c6c6c6c6c66c381000000000",
    87: "0000c6c6c6c6d6d6d6feee6c00000000",
    88: "0000c6c66c7c38387c6cc6c600000000",
    89: "0000666666663c181818183c00000000",
    90: "0000fec6860c183060c2c6fe00000000",
    96: "0030180c000000000000000000000000",
    102: "00001c36323078303030307800000000",
    109: "0000000000ecfed6d6d6d6c600000000",
    118: "0000000000c6c6c6c6c66c3800000000",
    119: "0000000000c6c6d6d6d6fe6c00000000",
    120: "0000000000c66c3838386cc600000000",
    124: "00001818181818181818181800000000",
    126: "0076dc00000000000000000000000000",
    128: "00003c66c2c0c0c0c0c2663c18700000",
    135: "00000000007cc6c0c0c0c67c18700000",
    143: "386c3810386cc6fec6c6c6c600000000",
    144: "0c1800fe66626878686266fe00000000",
    145: "0000000000ec36367ed8d86e00000000",
    155: "0018187cc6c0c0c0c67c181800000000",
    157: "000066663c187e187e18181800000000",
    158: "00f8ccccf8c4ccdeccccccc600000000",
    159: "000e1b1818187e181818d87000000000",
    166: "00003c6c6c3e007e0000000000000000",
    167: "0000386c6c38007c0000000000000000",
    171: "0060e062666c183060dc860c183e0000",
    172: "0060e062666c183066ce9a3f06060000",
    227: "0000000000fe6c6c6c6c6c6c00000000",
    228: "0000fec6603018183060c6fe00000000",
    230: "00000000006666666666667c6060c000",
    232: "00007e183c666666663c187e00000000",
    233: "0000386cc6c6fec6c6c66c3800000000",
    241: "0000000018187e181800007e00000000",
    245: "181818181818181818d8d8d870000000",
    246: "000000000018007e0018000000000000",
    250: "00000000000000180000000000000000",
    252: "006c3636363636000000000000000000",
    253: "003c660c18327e000000000000000000",
    254: "000000007e7e7e7e7e7e7e0000000000",
}
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
    known = {code: bytes.fromhex(rows) for code, rows in _LINUX.items()}
    return from_rows("Linux 8x16", 16, ((known.get(code, glyphs[code]), CP437[code]) for code in _order()))


def for_screens() -> list[Font]:
    """The fonts a screen of a virtual machine is tried with."""
    return [linux(), vga()]


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
