"""Owns what a person sees on a serial line: a VT102-like terminal of 80×24, fed with bytes, read as text.

ECMA-48 (fifth edition) control functions that GRUB, Linux, systemd, Textual and shells send; unknown ones are
swallowed whole. It also keeps the plain transcript (no control functions), which patterns are looked for in.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import field

from mediakit.plain import dataclass

COLUMNS, ROWS = 80, 24
# DEC special graphics, selected by ESC ( 0 or shift-out: DEC VT220 manual, table 2-4.
_GRAPHICS = dict(zip("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
_SEQUENCE = re.compile(
    r"\x1b(?:\[([?>=!]?)([\d;:]*)([ -/]*)([@-~])"  # CSI
    r"|[\]PX^_]([^\x07\x1b]*)(?:\x07|\x1b\\)"  # OSC, DCS, SOS, PM, APC to their end
    r"|([()*+])(.)"  # character sets
    r"|([ -'][0-~]|[0-Z\\`-~]))",  # two-byte functions
    re.DOTALL,
)
Cell = tuple[str, bool]  # a character, and whether it is in reverse video
BLANK: Cell = (" ", False)
_LONGEST = 4096  # an unfinished sequence longer than this is noise


@dataclass
class Terminal:
    """``text()`` is the screen, ``transcript`` all that was printed, ``answers`` what it replies."""

    columns: int = COLUMNS
    rows: int = ROWS
    transcript: str = ""
    answers: bytes = b""
    _cells: list[list[Cell]] = field(default_factory=list)
    _pending: str = ""

    def __post_init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self.reset()

    def reset(self) -> None:
        """As after power on, the transcript kept."""
        self._cells = self._blank_lines(self.rows)
        self.row = self.column = 0
        self._top, self._bottom = 0, self.rows - 1
        self._saved = (0, 0)
        self._is_marked = self._wraps = self._shifted = False
        self._sets = ["B", "B"]

    def text(self) -> str:
        """The screen, one line a row, trailing blanks removed."""
        return "\n".join("".join(cell[0] for cell in row).rstrip() for row in self._cells)

    def marked(self) -> list[str]:
        """The stretches shown in reverse video, from top to bottom: a menu's chosen entry."""
        found = []
        for row in self._cells:
            text = "".join(character if marked else "\0" for character, marked in row)
            found += [part.strip() for part in text.split("\0") if part.strip()]
        return found

    def feed(self, data: bytes) -> None:
        """Take what came over the line; incomplete sequences wait for the rest."""
        text = self._pending + self._decode(data)
        self._pending = ""
        position = 0
        while position < len(text):
            character = text[position]
            if character == "\x1b":
                match = _SEQUENCE.match(text, position)
                if match is None:
                    rest = text[position:]
                    if len(rest) < _LONGEST and not _is_hopeless(rest):
                        self._pending = rest
                        return
                    position += 1
                    continue
                self._sequence(match)
                position = match.end()
                continue
            self._character(character)
            position += 1

    def _character(self, character: str) -> None:
        if character >= " " and character != "\x7f":
            self._print(character)
        elif character in "\n\x0b\x0c":
            self.transcript += "\n"
            self._line_feed()
        elif character == "\r":
            self.column, self._wraps = 0, False
        elif character == "\b":
            self.column, self._wraps = max(0, self.column - 1), False
        elif character == "\t":
            self.transcript += "\t"
            self.column = min(self.columns - 1, (self.column // 8 + 1) * 8)
        elif character in "\x0e\x0f":
            self._shifted = character == "\x0e"

    def _print(self, character: str) -> None:
        if self._sets[self._shifted] == "0":
            character = _GRAPHICS.get(character, character)
        self.transcript += character
        if self._wraps:
            self.column = 0
            self._line_feed()
        self._cells[self.row][self.column] = (character, self._is_marked)
        self._wraps = self.column == self.columns - 1
        self.column = min(self.columns - 1, self.column + 1)

    def _line_feed(self) -> None:
        self._wraps = False
        if self.row == self._bottom:
            self._scroll(self._top, 1)
        else:
            self.row = min(self.rows - 1, self.row + 1)

    def _scroll(self, top: int, count: int) -> None:
        """Move the lines from ``top`` to the region's end up by ``count`` (down when negative)."""
        region = self._cells[top : self._bottom + 1]
        step = max(-len(region), min(len(region), count))
        new = self._blank_lines(abs(step))
        region = region[step:] + new if step > 0 else new + region[: len(region) + step]
        self._cells[top : self._bottom + 1] = region

    def _sequence(self, match: re.Match[str]) -> None:
        private, parameters, middle, final, _, chooser, charset, short = match.groups()
        if final is not None:
            if not middle:
                self._control(private, parameters, final)
        elif chooser in ("(", ")"):
            self._sets[chooser == ")"] = charset
        elif short == "7":
            self._saved = (self.row, self.column)
        elif short == "8":
            self.row, self.column = self._saved
        elif short == "D":
            self._line_feed()
        elif short == "E":
            self.column = 0
            self._line_feed()
        elif short == "M":
            if self.row == self._top:
                self._scroll(self._top, -1)
            else:
                self.row = max(0, self.row - 1)
        elif short == "c":
            self.reset()

    def _control(self, private: str, parameters: str, final: str) -> None:
        numbers = [int(word) if word.isdigit() else 0 for word in re.split("[;:]", parameters)]
        first = numbers[0]
        count = max(1, first)
        if private:
            if private == "?" and final in "hl" and {47, 1047, 1049} & set(numbers):
                self._erase(0, self.rows)
            return
        if final == "m":
            self._style(numbers)
        elif final in "ABCDEFGHdf`ae":
            self._move(final, count, numbers)
        elif final in "JKXP@":
            self._edit(final, first, count)
        elif final in "LMST":
            if final in "ST" or self._top <= self.row <= self._bottom:
                self._scroll(self.row if final in "LM" else self._top, count if final in "MS" else -count)
        elif final == "r":
            bottom = numbers[1] if len(numbers) > 1 and numbers[1] else self.rows
            self._top, self._bottom = count - 1, min(bottom, self.rows) - 1
            self.row = self.column = 0
        elif final == "s":
            self._saved = (self.row, self.column)
        elif final == "u":
            self.row, self.column = self._saved
        elif final == "n" and first == 6:
            self.answers += f"\x1b[{self.row + 1};{self.column + 1}R".encode()
        elif final == "n" and first == 5:
            self.answers += b"\x1b[0n"
        elif final == "c" and first == 0:
            self.answers += b"\x1b[?6c"

    def _move(self, final: str, count: int, numbers: list[int]) -> None:
        self._wraps = False
        row, column = self.row, self.column
        if final in "Hf":
            row, column = count - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final in "G`":
            column = count - 1
        elif final == "d":
            row = count - 1
        elif final in "AF":
            row -= count
        elif final in "BEe":
            row += count
        elif final in "Ca":
            column += count
        elif final == "D":
            column -= count
        if final in "EF":
            column = 0
        self.row = max(0, min(self.rows - 1, row))
        self.column = max(0, min(self.columns - 1, column))

    def _edit(self, final: str, first: int, count: int) -> None:
        self._wraps = False
        if final == "J":
            start, end = [(self.row, self.rows), (0, self.row + 1), (0, self.rows)][min(first, 2)]
            if first == 0:
                self._blank(self.row, self.column, self.columns)
                start += 1
            elif first == 1:
                end -= 1
                self._blank(self.row, 0, self.column + 1)
            self._erase(start, end)
        elif final == "K":
            start, end = [(self.column, self.columns), (0, self.column + 1), (0, self.columns)][min(first, 2)]
            self._blank(self.row, start, end)
        elif final == "X":
            self._blank(self.row, self.column, min(self.columns, self.column + count))
        else:
            count = min(count, self.columns - self.column)
            line = self._cells[self.row]
            tail, new = line[self.column :], [BLANK] * count
            line[self.column :] = tail[count:] + new if final == "P" else (new + tail)[: len(tail)]

    def _erase(self, top: int, bottom: int) -> None:
        for row in range(top, bottom):
            self._blank(row, 0, self.columns)

    def _blank_lines(self, count: int) -> list[list[Cell]]:
        return [[BLANK] * self.columns for _ in range(count)]

    def _blank(self, row: int, start: int, end: int) -> None:
        for column in range(start, end):
            self._cells[row][column] = BLANK

    def _style(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == 7:
                self._is_marked = True
            elif number in (0, 27):
                self._is_marked = False


def _is_hopeless(text: str) -> bool:
    """Whether an unfinished ``text`` cannot become a sequence any more: a control character inside a CSI."""
    return bool(re.match(r"\x1b\[[\d;:?>=!]*[^\d;:?>=! -/@-~]", text)) or bool(
        re.match(r"\x1b[\x00-\x1a\x7f-\U0010ffff]", text)
    )
