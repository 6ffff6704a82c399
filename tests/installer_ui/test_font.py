"""The safe glyphs are in the console fonts, read from the fonts' own tables."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

from installer_ui.glyphs import SAFE

FONT = Path("/usr/share/consolefonts/Lat15-VGA16.psf.gz")
LISTED = Path(__file__).parent / "lat15-vga16.txt"
"""The characters of that font, for machines without it (Debian's console-setup-linux)."""
CP437 = {bytes([n]).decode("cp437") for n in range(0x20, 0xFF) if n != 0x7F} | {"•"}
"""The kernel's built-in font (drivers/tty/vt/cp437.uni); the bullet is its glyph 7."""


def psf_characters(data: bytes) -> set[str]:
    """The characters of a PSF 1 font's Unicode table (kbd, psf format)."""
    assert data[:2] == b"\x36\x04"
    glyphs = 512 if data[2] & 1 else 256
    table = data[4 + glyphs * data[3] :]
    found: set[str] = set()
    in_sequence = False
    for (value,) in struct.iter_unpack("<H", table[: len(table) // 2 * 2]):
        if value == 0xFFFF:
            in_sequence = False
        elif value == 0xFFFE:
            in_sequence = True
        elif not in_sequence:
            found.add(chr(value))
    return found


def characters() -> set[str]:
    if FONT.is_file():
        return psf_characters(gzip.decompress(FONT.read_bytes()))
    return set(LISTED.read_text(encoding="utf-8")) - {"\n"}


def test_every_safe_glyph_is_in_debians_console_font() -> None:
    assert not SAFE - characters()


def test_every_safe_glyph_is_in_the_kernels_font() -> None:
    assert not SAFE - CP437
