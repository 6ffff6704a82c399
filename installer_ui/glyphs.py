"""Which characters every console can show. Owns the set that screens may draw and the stand-ins for the rest.

The set is what the kernel's built-in font (code page 437) and Debian's Lat15 console fonts both have, so that
the screens read well before and without ``setfont``. A serial terminal shows all of it too.
"""

from __future__ import annotations

LETTERS = "áéíóúüñçàèìòùâêîôûäëïöåæÑÉÄÖÜÇ¿¡«»ºª°·±½¼"
LINES = "─│┌┐└┘├┤┬┴┼"
BLOCKS = "█░▒■•"
SAFE = frozenset(map(chr, range(0x20, 0x7F))) | frozenset(LETTERS + LINES + BLOCKS)

_FROM = "“”„‘’–—−←×€ÁÍÓÚÀÈÃãÕõ✓✗\u00a0\u202f"
_TO = '"""\'\'---<xEAIOUAEAaOo+x  '
_STAND_INS = str.maketrans(
    dict(zip(_FROM, _TO, strict=True))
    | {
        "…": "...",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        "©": "(c)",
        "®": "(R)",
        "™": "(TM)",
        "ß": "ss",
        "\t": "    ",
    }
)


def console_safe(text: str) -> str:
    """``text`` in characters that every console shows; what has no stand-in becomes ``?``."""
    plain = text.translate(_STAND_INS)
    return "".join(char if char in SAFE or char == "\n" else "?" for char in plain)
