import gzip
from pathlib import Path

import pytest

from mediakit.errors import FormatError
from mediakit.vm import fonts, keys
from mediakit.vm.screen import UNKNOWN, Picture, parse_ppm, read

INK, PAPER = b"\xaa\xaa\xaa", b"\x00\x00\x00"


def draw(text: list[str], step: int = 8, columns: int = 40, rows: int = 12, ink=INK, paper=PAPER) -> Picture:
    glyphs = {character: bits for bits, character in fonts.vga().glyphs.items()}
    lines = [line.ljust(columns) for line in text + [""] * (rows - len(text))]
    dots = b""
    for line in lines:
        for row in range(16):
            for character in line:
                bits = glyphs[character][row]
                dots += b"".join(ink if bits >> (7 - x) & 1 else paper for x in range(8)) + paper * (step - 8)
    return Picture(columns * step, rows * 16, dots)


def test_what_is_drawn_is_read() -> None:
    text = ["Welcome to Engine 5.0", "  [ ] ñ ¿Qué?  │─┌", "{}|~@#$%&"]
    assert read(draw(text), [fonts.vga()]).rstrip("\n").split("\n") == [line.rstrip() for line in text]


def test_text_mode_has_cells_of_nine_dots() -> None:
    picture = draw(["GRUB loading."], step=9, columns=80, rows=25)
    assert (picture.width, picture.height) == (720, 400)
    assert read(picture, [fonts.vga()]).startswith("GRUB loading.\n")


def test_colours_do_not_matter_and_reverse_video_is_read() -> None:
    assert read(draw(["abc"], ink=b"\0\0\0", paper=b"\xff\xff\xff"), [fonts.vga()]).startswith("abc")


def test_what_is_no_glyph_is_unknown_not_guessed() -> None:
    picture = draw(["a b"])
    dots = bytearray(picture.dots)
    dots[8 * 3 : 8 * 3 + 3] = INK  # one dot more in the blank cell
    assert read(Picture(picture.width, picture.height, bytes(dots)), [fonts.vga()]).startswith("a" + UNKNOWN)


def test_a_cut_picture_is_an_error() -> None:
    with pytest.raises(FormatError):
        parse_ppm(b"P6\n640 480\n255\nshort")
    with pytest.raises(FormatError):
        parse_ppm(b"PNG")


def test_console_fonts_are_read_with_their_tables(tmp_path: Path) -> None:
    bits = bytes.fromhex("0010386cc6c6fec6c6c6c60000000000")
    two = b"\x72\xb5\x4a\x86" + b"".join(n.to_bytes(4, "little") for n in (0, 32, 1, 2, 16, 16, 8))
    two += bytes(16) + bits + b" \xff" + b"Aa" + b"\xff"
    (tmp_path / "two.psf.gz").write_bytes(gzip.compress(two))
    assert fonts.psf(tmp_path / "two.psf.gz").glyphs[bits] == "A"
    one = b"\x36\x04\x02\x10" + (bytes(16) + bits + bytes(16) * 254)
    one += b" \0\xff\xffA\0\xff\xff" + b"\xff\xff" * 254
    (tmp_path / "one.psf").write_bytes(one)
    assert fonts.psf(tmp_path / "one.psf").glyphs[bits] == "A"


def test_text_becomes_key_codes() -> None:
    assert [keys.character(c) for c in "aZ?"] == [["a"], ["shift", "z"], ["shift", "slash"]]
    assert keys.combination("ctrl-alt-f2") == ["ctrl", "alt", "f2"]
    assert keys.combination("-") == ["minus"]


def test_linux_draws_some_letters_otherwise() -> None:
    ours = {character: bits for bits, character in fonts.linux().glyphs.items()}
    rom = {character: bits for bits, character in fonts.vga().glyphs.items()}
    assert ours["m"] != rom["m"] and ours["a"] == rom["a"]
    assert set(ours) >= set(map(chr, range(32, 127)))


def test_debian_s_default_console_font_is_known_too() -> None:
    fixed = fonts.for_screens()[1]
    assert set(fixed.glyphs.values()) >= set(map(chr, range(33, 127))) | set("áéíóúñÑ¿¡─│┌█")
    glyphs = {character: bits for bits, character in fixed.glyphs.items()} | {" ": bytes(16)}
    text = "Screen 2   Welcome, Español ─│"
    rows = [
        b"".join(
            b"\xff\xff\xff" if glyphs[c][y] >> (7 - x) & 1 else b"\0\0\0" for c in text for x in range(8)
        )
        for y in range(16)
    ]
    assert read(Picture(8 * len(text), 16, b"".join(rows)), fonts.for_screens()) == text
