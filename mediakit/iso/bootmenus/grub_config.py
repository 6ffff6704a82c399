"""GRUB's script language: bytes → commands, blocks and words, each with its place in the text. Pure.

What GRUB 2.06 accepts (``grub-core/script/yylex.l``, ``parser.y``; the manual's “Shell-like scripting”).
Nothing is run and nothing is looked up: ``grub_menu`` does that. Every span counts bytes of the text, so that
who edits a menu can change a word and leave all else as it is. Damaged scripts give what could be read and
``problems``; nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from itertools import islice
from typing import Literal

from mediakit.iso.bootmenus.grub_words import Token, Word, tokens
from mediakit.plain import dataclass

MAX_DEPTH = 40
"""Blocks inside blocks; GRUB itself runs out of stack long after that."""
MAX_PROBLEMS = 20
MAX_TOKENS = 50_000
"""Words and operators that are read of a script: the largest menus of real media have some thousands."""
TOO_LONG = "It is absurdly long."
"""The problem of a script that is not read to its end: what else seems wrong with it may be that."""
LINUX_COMMANDS = ("linux", "linux16", "linuxefi", "linux32", "linux64")
INITRD_COMMANDS = ("initrd", "initrd16", "initrdefi")
KERNEL_COMMANDS = (*LINUX_COMMANDS, "multiboot", "multiboot2", "xen_hypervisor", "kfreebsd", "knetbsd", "xnu")
MODULE_COMMANDS = ("module", "module2", "xen_module", "xen_linux", "xen_initrd")
ENTRY_COMMANDS = ("menuentry", "submenu", "hiddenentry")


@dataclass(frozen=True)
class Command:
    """One command; ``blocks`` are its ``{ … }`` arguments (a ``menuentry`` has one). The span covers all."""

    words: tuple[Word, ...]
    blocks: tuple[Script, ...]
    start: int
    end: int
    line: int

    @property
    def name(self) -> str:
        """The command's name; of ``! x`` it is ``x``. Empty where a variable says it."""
        word = self.words[1] if self.is_negated and len(self.words) > 1 else self.words[0]
        return word.literal or ""

    @property
    def is_negated(self) -> bool:
        return self.words[0].literal == "!"

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.words[2 if self.is_negated else 1 :]


@dataclass(frozen=True)
class If:
    """``branches`` are (condition, body) in order; ``otherwise`` is the body of ``else``."""

    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script
    start: int


@dataclass(frozen=True)
class Loop:
    """``for`` (with a variable and its words), ``while`` or ``until`` (with a condition)."""

    kind: Literal["for", "while", "until"]
    variable: str
    words: tuple[Word, ...]
    condition: Script
    body: Script
    start: int


@dataclass(frozen=True)
class Function:
    name: str
    body: Script
    line: int
    start: int


Statement = Command | If | Loop | Function


@dataclass(frozen=True)
class Script:
    """Statements in order; the span of a block lies between its braces."""

    statements: tuple[Statement, ...] = ()
    start: int = 0
    end: int = 0
    problems: tuple[tuple[int, str], ...] = field(default=(), compare=False)
    token_count: int = field(default=0, compare=False)

    def commands(self) -> Iterator[Command]:
        """Every command in here, conditions and blocks included, in the order of the text."""
        return (placed.command for placed in self.placed())

    def placed(self, around: Around | None = None) -> Iterator[Placed]:
        """The same, each with what is around it."""
        for number, statement in enumerate(self.statements):
            outer = around or Around(statement.start)
            if isinstance(statement, Command):
                yield Placed(statement, outer, self, number)
                for block in statement.blocks:
                    yield from block.placed(replace(outer, blocks=(*outer.blocks, statement.name)))
            elif isinstance(statement, If):
                for condition, body in statement.branches:
                    yield from condition.placed(outer)
                    yield from body.placed(outer)
                yield from statement.otherwise.placed(outer)
            elif isinstance(statement, Loop):
                again = replace(outer, is_repeated=True)
                yield from statement.condition.placed(again)
                yield from statement.body.placed(again)
            else:
                inside = replace(outer, blocks=(*outer.blocks, "function"), is_repeated=True)
                yield from statement.body.placed(inside)


@dataclass(frozen=True)
class Around:
    """What a command stands in: where the outermost statement begins, the blocks it is inside by the names of
    their commands (outermost first), and whether it may run more than once (loops, functions).
    """

    start: int
    blocks: tuple[str, ...] = ()
    is_repeated: bool = False

    @property
    def is_entry(self) -> bool:
        return any(block in ENTRY_COMMANDS for block in self.blocks)


@dataclass(frozen=True)
class Placed:
    """A command, what is around it, and the list of statements whose ``number``-th it is."""

    command: Command
    around: Around
    script: Script
    number: int


@dataclass(frozen=True)
class EntryText:
    """A menu entry as it stands in the text; ``depth`` counts the submenus around it."""

    title: str
    entry_id: str
    command: Command
    depth: int
    place: Placed

    @property
    def body(self) -> Script:
        return self.command.blocks[0] if self.command.blocks else Script()


def parse(text: bytes, most_tokens: int = MAX_TOKENS, *, is_whole: bool = True) -> Script:
    """The whole script; ``problems`` has line and sentence of each thing that GRUB would not understand.

    Where it is not ``is_whole``, or longer than ``most_tokens``, that alone (``TOO_LONG``) is said.
    """
    return _Parser(text, most_tokens, is_whole).parse()


def entries(script: Script) -> Iterator[EntryText]:
    """Every ``menuentry`` and ``submenu``, wherever it stands, in the order of the text."""
    for placed in script.placed():
        command = placed.command
        if command.name in ENTRY_COMMANDS:
            title, entry_id = entry_title([word.text for word in command.arguments])
            depth = sum(block in ENTRY_COMMANDS for block in placed.around.blocks)
            yield EntryText(title, entry_id, command, depth, placed)


def entry_title(words: Sequence[str]) -> tuple[str, str]:
    """Title and id from the arguments of a ``menuentry``."""
    title, entry_id = "", ""
    for role, first, last in entry_parts(words):
        if role == "title":
            title = words[first]
        elif role == "id":
            entry_id = words[last][5:] if first == last else words[last]
    return title, entry_id or title


def entry_parts(words: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """What the arguments of a ``menuentry`` are: role (``title``, ``id``, ``hotkey`` or ``other``), index of
    the first and of the last word of each.
    """
    at, is_titled = 0, False
    while at < len(words):
        word, first = words[at], at
        if word in ("--id", "${menuentry_id_option}", "--class", "--users", "--hotkey", "--source"):
            at = min(at + 1, len(words) - 1)
        role = "other"
        if word.startswith("--id=") or (word in ("--id", "${menuentry_id_option}") and at > first):
            role = "id"
        elif word == "--hotkey" or word.startswith("--hotkey="):
            role = "hotkey"
        elif at == first and not word.startswith("--") and not is_titled:
            role, is_titled = "title", bool(word)
        yield role, first, at
        at += 1


def split_default(text: str) -> tuple[str, str]:
    """``default`` at its first single ``>``: the entry of this menu, and the rest; ``>>`` is ``>`` itself."""
    match = re.match(r"((?:[^>]|>>)*)(?:>(.*))?$", text, re.DOTALL)
    assert match is not None
    return match[1].replace(">>", ">"), match[2] or ""


class _Parser:
    """Recursive descent over the tokens, with a bounded depth."""

    def __init__(self, text: bytes, most_tokens: int, is_whole: bool) -> None:
        self._size = len(text)
        self.problems: list[tuple[int, str]] = []
        self._tokens = list(islice(tokens(text, self.problems), most_tokens))
        self._is_whole = is_whole and len(self._tokens) < most_tokens
        self._at = 0

    def parse(self) -> Script:
        statements: list[Statement] = []
        while self._at < len(self._tokens):
            statements += self._list((), 0).statements
            if self._at < len(self._tokens):
                token = self._tokens[self._at]
                shown = token.word.text if token.word else token.operator.decode("ascii", "replace")
                self.problems.append((token.line, f"“{shown}” has nothing to belong to."))
                self._at += 1
        if not self._is_whole:
            self.problems = [(self._tokens[-1].line if self._tokens else 1, TOO_LONG)]
        problems = tuple(self.problems[:MAX_PROBLEMS])
        return Script(tuple(statements), 0, self._size, problems, len(self._tokens))

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _reserved(self) -> str:
        """The next token's text where it is a bare word."""
        token = self._peek()
        if token is None or token.word is None or any(p.is_quoted for p in token.word.parts):
            return ""
        return token.word.literal or ""

    def _list(self, ends: tuple[str, ...], depth: int) -> Script:
        """Statements up to one of the words in ``ends``, a closing brace or the end of the text."""
        statements: list[Statement] = []
        first = self._peek()
        start = first.start if first else self._size
        while (token := self._peek()) is not None:
            if token.operator == b"}" or (ends and self._reserved() in ends):
                break
            if not ends and self._reserved() in ("then", "elif", "else", "fi", "do", "done"):
                break
            if token.word is None and token.operator != b"{":
                self._at += 1
                continue
            statement = self._statement(depth + 1)
            if statement is not None:
                statements.append(statement)
        last = self._peek()
        return Script(tuple(statements), start, last.start if last else self._size)

    def _statement(self, depth: int) -> Statement | None:
        token = self._tokens[self._at]
        if depth > MAX_DEPTH:
            self.problems.append((token.line, f"Blocks are nested more than {MAX_DEPTH} deep."))
            self._at = len(self._tokens)
            return None
        word = self._reserved()
        if word == "if":
            return self._if(depth)
        if word in ("for", "while", "until"):
            return self._loop(word, depth)
        if word == "function":
            return self._function(depth)
        return self._command(depth)

    def _if(self, depth: int) -> If:
        branches = []
        otherwise = Script()
        first = self._tokens[self._at]
        line = first.line
        while self._reserved() in ("if", "elif"):
            self._at += 1
            condition = self._list(("then", "fi"), depth)
            self._take("then", line)
            branches.append((condition, self._list(("elif", "else", "fi"), depth)))
        if self._reserved() == "else":
            self._at += 1
            otherwise = self._list(("fi",), depth)
        self._take("fi", line)
        return If(tuple(branches), otherwise, first.start)

    def _loop(self, word: str, depth: int) -> Loop:
        first = self._tokens[self._at]
        line = first.line
        self._at += 1
        variable, words = "", []
        condition = Script()
        if word == "for":
            variable = self._reserved()
            self._at += 1
            self._take("in", line)
            while (token := self._peek()) is not None and token.word is not None:
                words.append(token.word)
                self._at += 1
            while (token := self._peek()) is not None and token.operator in (b";", b"\n"):
                self._at += 1
        else:
            condition = self._list(("do",), depth)
        self._take("do", line)
        body = self._list(("done",), depth)
        self._take("done", line)
        kind: Literal["for", "while", "until"] = "for"
        if word != "for":
            kind = "while" if word == "while" else "until"
        return Loop(kind, variable, tuple(words), condition, body, first.start)

    def _function(self, depth: int) -> Function:
        first = self._tokens[self._at]
        self._at += 1
        name = self._reserved()
        self._at += 1
        while (token := self._peek()) is not None and token.operator == b"\n":
            self._at += 1
        return Function(name, self._block(depth), first.line, first.start)

    def _block(self, depth: int) -> Script:
        token = self._peek()
        if token is None or token.operator != b"{":
            self.problems.append((token.line if token else 1, "A block is missing."))
            return Script()
        self._at += 1
        inner = self._list((), depth)
        closing = self._peek()
        if closing is None or closing.operator != b"}":
            self.problems.append((token.line, "A block is never closed."))
        else:
            self._at += 1
        return Script(inner.statements, token.end, closing.start if closing else self._size)

    def _command(self, depth: int) -> Command:
        words: list[Word] = []
        blocks: list[Script] = []
        first = self._tokens[self._at]
        end = first.end
        while (token := self._peek()) is not None:
            if token.word is not None:
                words.append(token.word)
                self._at += 1
            elif token.operator == b"{":
                blocks.append(self._block(depth))
            else:
                break
            end = self._tokens[min(self._at, len(self._tokens)) - 1].end
        if not words:
            words.append(Word((), first.start, first.start, first.line))
        return Command(tuple(words), tuple(blocks), first.start, end, first.line)

    def _take(self, word: str, line: int) -> None:
        if self._reserved() == word:
            self._at += 1
        else:
            self.problems.append((line, f"“{word}” is missing."))
