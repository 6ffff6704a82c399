"""Interprets GRUB's script language where values may be unknown: variables, conditions, functions, loops.

What commands do is its subclass's (``grub_menu``). A condition that is known chooses a branch; one that is
not makes both be walked, and what they leave different becomes unknown. Bounded in steps, depth and memory,
so that no script can keep it busy. Source: GRUB 2.06 ``grub-core/script/execute.c``, ``argv.c``.
"""

from __future__ import annotations

import re

from mediakit.iso.bootmenus.grub_config import Command, Function, If, Loop, Script, Statement
from mediakit.iso.bootmenus.grub_scope import MAX_VARIABLES, Home, Scope, Unknown, Value
from mediakit.iso.bootmenus.grub_words import Word

MEDIUM, ESP = "medium", "medium,esp"
"""Device names: the disc as a whole, and the FAT volume in it, as GRUB writes disk and partition."""
MAX_STEPS = 10_000
MAX_DEPTH = 80
MAX_VALUE = 4096
MAX_WORDS = 256
MAX_TEXT = 2 << 20
"""Characters of words that are expanded, over a whole menu: a step may have thousands of words."""
_MAX_ENDS = 32
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_MACHINE = ("lockdown", "shim_lock", "net_", "pxe_", "smbios", "bios")
_SIMPLE_PATTERN = re.compile(r"[^+?{}|\\]{1,60}")


class Exit(Exception):  # noqa: N818
    """The script ends here: ``exit``, ``boot``, or another menu took over."""


class Return(Exit):
    """A function or a file that was sourced ends here."""


class Interpreter:
    """Runs scripts on scopes; ``call`` and ``exists`` are the subclass's."""

    def __init__(self) -> None:
        self._steps = 0
        self._text_left = MAX_TEXT
        self._depth = 0
        self._config: Home = ("", None)

    def call(self, scope: Scope, command: Command, words: list[tuple[Value, Word]]) -> bool | None:
        raise NotImplementedError

    def exists(self, scope: Scope, value: Value, kind: str) -> bool | None:
        raise NotImplementedError

    def run(self, scope: Scope, script: Script) -> bool | None:
        """All statements; the result of the last one. Exit when the script ends itself."""
        result: bool | None = True
        if self._depth >= MAX_DEPTH:
            raise Exit
        self._depth += 1
        try:
            for statement in script.statements:
                self.spend(1)
                result = self._statement(scope, statement)
        finally:
            self._depth -= 1
        return result

    def _statement(self, scope: Scope, statement: Statement) -> bool | None:
        if isinstance(statement, Command):
            return self._command(scope, statement)
        if isinstance(statement, If):
            return self._if(scope, statement)
        if isinstance(statement, Loop):
            return self._loop(scope, statement)
        scope.define(statement, self._config)
        return True

    def _if(self, scope: Scope, statement: If) -> bool | None:
        ends: list[Scope] = []
        stops = 0
        for condition, body in statement.branches:
            truth = self.run(scope, condition)
            if truth is False:
                continue
            if truth is True and not ends:
                return self.run(scope, body)
            branch = scope if truth is True else scope.copy()
            stops += self._branch(branch, body, ends)
            if truth is True:
                break
        else:
            if not ends and not stops:
                return self.run(scope, statement.otherwise)
            stops += self._branch(scope.copy(), statement.otherwise, ends)
        if not ends:
            raise Exit
        scope.merge(ends)
        return None

    def _branch(self, scope: Scope, body: Script, ends: list[Scope]) -> int:
        """Walk a branch that may not be taken; 1 if nothing follows it."""
        try:
            self.run(scope, body)
        except Exit:
            if self._is_spent:
                raise
            return 1
        ends.append(scope)
        if len(ends) > _MAX_ENDS:  # thousands of branches would be thousands of copies
            merged = scope.copy()
            merged.merge(ends)
            ends[:] = [merged]
        return 0

    @property
    def _is_spent(self) -> bool:
        return self._steps > MAX_STEPS or self._text_left < 0

    def spend(self, steps: int) -> None:
        """Count work that a command does by itself; Exit where it was too much."""
        self._steps += steps
        if self._is_spent:
            raise Exit

    def _loop(self, scope: Scope, statement: Loop) -> bool | None:
        if statement.kind == "for":
            for value, _ in self.expand(scope, statement.words):
                self._assign(scope, statement.variable, value)
                self.run(scope, statement.body)
            return None
        truth = self.run(scope, statement.condition)
        if truth is not (statement.kind == "until"):
            once = scope.copy()
            ends = [scope.copy()]
            self._branch(once, statement.body, ends)
            scope.merge(ends)
        return None

    def _command(self, scope: Scope, command: Command) -> bool | None:
        words = self.expand(scope, command.words)
        negated = bool(words) and words[0][0] == "!"
        result = self._named(scope, command, words[1:] if negated else words)
        return result if result is None or not negated else not result

    def _named(self, scope: Scope, command: Command, words: list[tuple[Value, Word]]) -> bool | None:
        if not words:
            return True
        name, arguments = words[0][0], [value for value, _ in words[1:]]
        if isinstance(name, Unknown):
            return None
        if name in scope.functions:
            return self._function(scope, scope.functions[name], arguments)
        if name == "set" or _ASSIGNMENT.match(name):
            return self._set(scope, words[1:2] if name == "set" else words[:1])
        if name in ("[", "test", "[["):
            return self._test(scope, arguments)
        if name in ("true", "false"):
            return name == "true"
        if name in ("exit", "boot", "halt", "reboot", "normal_exit"):
            raise Exit
        if name == "return":
            raise Return
        if name in ("unset", "export"):
            for value in arguments:
                self._unset_or_export(scope, name, value)
            return True
        if name == "shift":
            scope.arguments = scope.arguments[1:]
            return True
        if name == "setparams":
            scope.arguments = arguments
            return True
        result = self.call(scope, command, words)
        if name == "regexp":
            return self._regexp(scope, arguments)
        if not name.startswith("search"):
            self._set_by_option(scope, arguments)
        return result

    def _function(self, scope: Scope, function: Function, arguments: list[Value]) -> bool | None:
        outer, scope.arguments = scope.arguments, arguments
        config, self._config = self._config, scope.homes.get(function.name, self._config)
        try:
            return self.run(scope, function.body)
        except Return:
            return None
        finally:
            scope.arguments = outer
            self._config = config

    def _set(self, scope: Scope, words: list[tuple[Value, Word]]) -> bool | None:
        for value, word in words:
            head = value if isinstance(value, str) else word.parts[0].text if word.parts else ""
            name, equals, text = head.partition("=")
            if equals:
                self._assign(scope, name, text[:MAX_VALUE] if isinstance(value, str) else value)
        return True

    def _assign(self, scope: Scope, name: str, value: Value) -> None:
        if name in scope.variables or len(scope.variables) < MAX_VARIABLES:
            scope.variables[name] = value

    def _unset_or_export(self, scope: Scope, name: str, value: Value) -> None:
        if isinstance(value, Unknown):
            return
        key, equals, text = value.partition("=")
        if name == "unset":
            scope.variables.pop(key, None)
            return
        scope.export(key)
        if equals:
            self._assign(scope, key, text)

    def _set_by_option(self, scope: Scope, arguments: list[Value]) -> None:
        """``probe --set=x …``, ``read x``: what a command of the machine puts into a variable is unknown."""
        for number, value in enumerate(arguments):
            if not isinstance(value, str):
                continue
            if value.startswith("--set="):
                self._assign(scope, value[6:].rpartition(":")[2], Unknown())
            elif value in ("--set", "-s") and number + 1 < len(arguments):
                self._assign(scope, str(arguments[number + 1]).rpartition(":")[2], Unknown())

    def _regexp(self, scope: Scope, arguments: list[Value]) -> bool | None:
        """``regexp --set=1:name PATTERN TEXT`` for patterns that are plain enough to be tried here."""
        sets: list[tuple[int, str]] = []
        rest: list[Value] = []
        for value in arguments:
            if isinstance(value, str) and value.startswith("--set="):
                number, colon, name = value[6:].rpartition(":")
                sets.append((int(number) if colon and number.isdecimal() and len(number) < 3 else 1, name))
            else:
                rest.append(value)
        match = None
        known = len(rest) == 2 and isinstance(rest[0], str) and isinstance(rest[1], str)
        if known and _SIMPLE_PATTERN.fullmatch(str(rest[0])) and str(rest[0]).count("*") <= 1:
            try:
                match = re.search(str(rest[0]), str(rest[1])[:200])
            except re.error:
                known = False
        else:
            known = False
        for group, name in sets:
            if match is not None and group <= match.re.groups:
                self._assign(scope, name, match[group] or "")
            elif not known:
                self._assign(scope, name, Unknown())
        return (match is not None) if known else None

    # --- words --------------------------------------------------------------------------------------------

    def expand(self, scope: Scope, words: tuple[Word, ...]) -> list[tuple[Value, Word]]:
        """Values of words; a variable outside quotes is split at blanks (``argv.c``)."""
        found: list[tuple[Value, Word]] = []
        for word in words:
            self._text_left -= word.end - word.start + 1
            for value in self._values(scope, word):
                self._text_left -= len(value) if isinstance(value, str) else 1
                found.append((value, word))
            if self._is_spent:
                raise Exit
        return found

    def _values(self, scope: Scope, word: Word) -> list[Value]:
        if word.literal is not None:
            return [word.literal]
        pieces: list[str] = [""]
        is_open = False
        for part in word.parts:
            if part.kind == "text":
                pieces[-1] += part.text
                is_open = is_open or part.is_quoted
                continue
            value = self._variable(scope, part.text)
            if isinstance(value, Unknown):
                return [*pieces[:-1], value]
            if len(pieces[-1]) > MAX_VALUE or len(pieces) > MAX_WORDS:
                break
            if part.is_quoted:
                pieces[-1] += value
                is_open = True
                continue
            split = value.split(" ")
            pieces[-1] += split[0]
            pieces += split[1:]
        return [piece[:MAX_VALUE] for piece in pieces if piece or is_open]

    def _variable(self, scope: Scope, name: str) -> Value:
        if name.isdecimal():
            number = int(name) if len(name) < 4 else 999
            return scope.arguments[number - 1] if 0 < number <= len(scope.arguments) else ""
        if name in ("@", "*"):
            unknown = next((v for v in scope.arguments if isinstance(v, Unknown)), None)
            joined = " ".join(str(v) for v in scope.arguments)
            self._text_left -= len(joined)
            return unknown or joined
        if name == "#":
            return str(len(scope.arguments))
        if name == "?":
            return Unknown()
        if name in scope.variables:
            return scope.variables[name]
        if name.startswith("feature_"):
            return "y"
        return Unknown() if name.startswith(_MACHINE) else ""

    # --- conditions ---------------------------------------------------------------------------------------

    def _test(self, scope: Scope, arguments: list[Value]) -> bool | None:
        """``test``: comparisons joined by ``-a`` and ``-o``, from left to right as GRUB does it."""
        words = arguments[:-1] if arguments and arguments[-1] in ("]", "]]") else arguments
        either: list[bool | None] = []
        current: list[Value] = []
        joined: list[bool | None] = []
        for word in [*words, "-o"]:
            if word not in ("-a", "-o"):
                current.append(word)
                continue
            joined.append(self._compare(scope, current))
            current = []
            if word == "-o":
                either.append(False if False in joined else None if None in joined else True)
                joined = []
        return True if True in either else None if None in either else False

    def _compare(self, scope: Scope, words: list[Value]) -> bool | None:
        marks = next((number for number, word in enumerate(words) if word != "!"), len(words))
        if marks:
            inner = self._compare(scope, words[marks:])
            return None if inner is None else inner is (marks % 2 == 0)
        if len(words) == 1:
            return None if isinstance(words[0], Unknown) else bool(words[0])
        if len(words) == 2 and words[0] in ("-f", "-e", "-d", "-s"):
            return self.exists(scope, words[1], str(words[0])[1:])
        if len(words) == 2 and words[0] in ("-z", "-n"):
            return None if isinstance(words[1], Unknown) else (words[1] == "") is (words[0] == "-z")
        if not words:
            return False
        if len(words) == 3 and words[1] in ("=", "==", "!="):
            left, right = words[0], words[2]
            if isinstance(left, Unknown) or isinstance(right, Unknown):
                return None
            return (left == right) is (words[1] != "!=")
        if len(words) == 3 and words[1] in ("-eq", "-ne"):
            return None if not (isinstance(words[0], str) and isinstance(words[2], str)) else (
                (words[0] == words[2]) is (words[1] == "-eq")
            )  # fmt: skip
        return None
