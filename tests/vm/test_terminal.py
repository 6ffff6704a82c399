from hypothesis import given
from hypothesis import strategies as st

from mediakit.vm.terminal import COLUMNS, ROWS, Terminal


def shown(data: bytes) -> Terminal:
    terminal = Terminal()
    terminal.feed(data)
    return terminal


def lines(data: bytes) -> list[str]:
    return shown(data).text().split("\n")


def test_lines_scroll_up_at_the_bottom() -> None:
    text = lines(b"\r\n".join(b"line %d" % n for n in range(30)))
    assert text[0] == "line 6" and text[-1] == "line 29"


def test_the_cursor_goes_where_it_is_sent() -> None:
    assert lines(b"\x1b[3;5Hhere\x1b[A\x1b[2Dup")[1:3] == ["      up", "    here"]


def test_a_line_wraps_only_when_the_next_character_comes() -> None:
    text = lines(b"x" * 80 + b"\r\ny" + b"\r\n" + b"z" * 81)
    assert text[0] == "x" * 80 and text[1] == "y" and text[2] == "z" * 80 and text[3] == "z"


def test_erasing_is_exact() -> None:
    assert lines(b"abcdef\x1b[4G\x1b[K")[0] == "abc"
    assert lines(b"abcdef\x1b[4G\x1b[1K")[0] == "    ef"
    assert lines(b"one\r\ntwo\r\nthree\x1b[2;2H\x1b[J")[:3] == ["one", "t", ""]
    assert lines(b"one\r\ntwo\r\nthree\x1b[2;2H\x1b[1J")[:3] == ["", "  o", "three"]


def test_characters_and_lines_are_inserted_and_deleted() -> None:
    assert lines(b"abcd\x1b[2G\x1b[2P")[0] == "ad"
    assert lines(b"abcd\x1b[2G\x1b[2@")[0] == "a  bcd"
    assert lines(b"1\r\n2\r\n3\x1b[1;1H\x1b[L")[:4] == ["", "1", "2", "3"]
    assert lines(b"1\r\n2\r\n3\x1b[1;1H\x1b[M")[:3] == ["2", "3", ""]


def test_a_scroll_region_keeps_what_is_outside() -> None:
    text = lines(b"top\x1b[24;1Hbottom\x1b[2;4r\x1b[4;1Ha\nb\nc\nd")
    assert text[0] == "top" and text[23] == "bottom" and text[1].strip() == "b" and text[3].strip() == "d"


def test_reverse_video_tells_the_chosen_entry() -> None:
    assert shown(b" one \r\n\x1b[7m*Install Engine \x1b[0m\r\n two").marked() == ["*Install Engine"]


def test_line_drawing_and_utf8_are_characters() -> None:
    assert lines(b"\x1b(0lqk\x1b(B \xc3\xb1")[0] == "┌─┐ ñ"


def test_questions_are_answered_as_a_terminal_does() -> None:
    assert shown(b"\x1b[5;9H\x1b[6n\x1b[c").answers == b"\x1b[5;9R\x1b[?6c"


def test_titles_and_unknown_functions_leave_nothing() -> None:
    assert lines(b"a\x1b]0;title\x07b\x1bP+q544e\x1b\\c\x1b[?2026h\x1b[>4;1m\x1b[1;31md")[0] == "abcd"


def test_the_transcript_has_no_control_functions() -> None:
    assert shown(b"\x1b[32mENGINE-READY\x1b[0m {}\r\n").transcript == "ENGINE-READY {}\n"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_noise_never_breaks_it_and_the_grid_keeps_its_size(parts: list[bytes]) -> None:
    terminal = Terminal()
    for part in parts:
        terminal.feed(b"\x1b[" + part)
    rows = terminal.text().split("\n")
    assert len(rows) == ROWS and max(map(len, rows)) <= COLUMNS


@given(st.data())
def test_how_bytes_are_cut_does_not_matter(data: st.DataObject) -> None:
    stream = (
        b"\x1b[2J\x1b[3;4H\xc3\xb1\x1b[7mX\x1b[0m\x1b]0;t\x07\x1b(0q\x1b(B\x1b[10;70Hlong text that wraps"
    )
    cut = data.draw(st.integers(0, len(stream)))
    terminal = Terminal()
    terminal.feed(stream[:cut])
    terminal.feed(stream[cut:])
    assert terminal.text() == shown(stream).text()
