"""Owns reading the text off a picture of a screen: cells of a known font, matched dot by dot. No guessing.

Works for VGA text mode (9×16 cells of an 8-dot font) and for framebuffer consoles (8×16). A cell has two
colours at most, background and ink, either way round; a cursor at its foot is looked through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mediakit.errors import FormatError
from mediakit.plain import dataclass
from mediakit.vm.fonts import Font

UNKNOWN = "�"
_CURSOR_ROWS = 3


@dataclass(frozen=True)
class Picture:
    """Dots as RGB bytes, row by row."""

    width: int
    height: int
    dots: bytes


def parse_ppm(data: bytes) -> Picture:
    """A binary PPM (P6, 8 bits) as QEMU's screendump writes it."""
    fields = data.split(maxsplit=4)
    if len(fields) < 4 or fields[0] != b"P6" or fields[3] != b"255":
        raise FormatError("The screen's picture is not a binary PPM.", "Update QEMU.")
    width, height = int(fields[1]), int(fields[2])
    dots = data[len(data) - width * height * 3 :]
    if len(dots) != width * height * 3 or len(data) < width * height * 3:
        raise FormatError("The screen's picture is cut short.", "Look again.")
    return Picture(width, height, dots)


def read(picture: Picture, fonts: Sequence[Font]) -> str:
    """The text of ``picture``, lines stripped at the right; unknown glyphs are U+FFFD.

    Each font and grid is tried; the one that knows most cells wins.
    """
    best, best_score = "", -1.0
    for font in fonts:
        for step, left, top in _grids(picture, font):
            lines, score = _read_grid(picture, font, step, left, top)
            if score > best_score:
                best, best_score = "\n".join(line.rstrip() for line in lines), score
            if score == 1.0:
                return best
    return best


def _grids(picture: Picture, font: Font) -> list[tuple[int, int, int]]:
    """Cell widths and origins that consoles use: text mode, framebuffer, centred (UEFI's console)."""
    if (picture.width, picture.height) in ((720, 400), (720, 350), (360, 400)):
        return [(9, 0, 0)]
    grids = [(8, 0, 0)]
    whole = (picture.width // 8, picture.height // font.height)
    for columns, rows in ((80, 25), (100, 31), (128, 40), (160, 42), whole):
        left, top = (picture.width - columns * 8) // 2, (picture.height - rows * font.height) // 2
        if left >= 0 and top >= 0 and (8, left, top) not in grids:
            grids.append((8, left, top))
    return grids


def _read_grid(picture: Picture, font: Font, step: int, left: int, top: int) -> tuple[list[str], float]:
    """The lines, and which share of the cells with ink is known."""
    known: dict[bytes, str] = {}
    tally: Counter[bool] = Counter()
    lines = []
    stride = picture.width * 3
    for cell_top in range(top, picture.height - font.height + 1, font.height):
        line = []
        for cell_left in range(left, picture.width - step + 1, step):
            start = cell_top * stride + cell_left * 3
            cell = b"".join(
                picture.dots[start + row * stride : start + row * stride + 24] for row in range(font.height)
            )
            character = known.get(cell)
            if character is None:
                character = known[cell] = match(cell, font)
            if character != " ":
                tally[character != UNKNOWN] += 1
            line.append(character)
        lines.append("".join(line))
    inked = tally[True] + tally[False]
    return lines, tally[True] / inked if inked else 0.5


def match(cell: bytes, font: Font) -> str:
    """The character of one cell's RGB dots, blank for a cell of one colour."""
    dots = [cell[at : at + 3] for at in range(0, len(cell), 3)]
    colours = Counter(dots).most_common()
    if len(colours) == 1:
        return " "
    if len(colours) > 2:
        return UNKNOWN
    for paper in (colours[0][0], colours[1][0]):
        rows = bytes(
            int("".join("0" if dot == paper else "1" for dot in dots[at : at + 8]), 2)
            for at in range(0, len(dots), 8)
        )
        found = font.glyphs.get(rows) or _under_cursor(rows, font)
        if found:
            return found
    return UNKNOWN


def _under_cursor(rows: bytes, font: Font) -> str:
    """The character of a cell whose last rows a cursor fills."""
    for count in range(1, _CURSOR_ROWS + 1):
        for end in (font.height, font.height - 1):
            start = end - count
            if all(row == 0xFF for row in rows[start:end]):
                bare = rows[:start] + bytes(count) + rows[end:]
                if not any(bare):
                    return " "
                if bare in font.glyphs:
                    return font.glyphs[bare]
    return ""
