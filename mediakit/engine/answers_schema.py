"""The keys of ``answers.toml``: which there are, of what kind, and on which line each one is. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mediakit.plain import dataclass

_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*[=.]""")
_TABLE = re.compile(r"""\s*\[\[?\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))""")
_TOML_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; line 0 means the file as a whole."""

    line: int
    message: str

    def text(self, name: str) -> str:
        """As editors and compilers write it: ``name:line: message``."""
        return f"{name}:{self.line}: {self.message}" if self.line else f"{name}: {self.message}"

    @staticmethod
    def of_toml(error: Exception) -> Problem:
        """What the TOML parser said. Its words are kept only where they cannot repeat a value."""
        words = str(error)
        place = _TOML_PLACE.search(words)
        line = int(place[1]) if place and place[1] else 0
        says = _TOML_PLACE.sub("", words)
        safe = says if says in _TOML_WORDS else "it does not follow the rules of TOML"
        return Problem(line, f"This is not TOML: {safe[0].lower()}{safe[1:]}.")


_TOML_WORDS = frozenset(
    (
        "Invalid value",
        "Invalid statement",
        "Cannot overwrite a value",
        "Unterminated string",
        "Unclosed array",
        "Expected newline or end of document after a statement",
        "Expected '=' after a key in a key/value pair",
        "Expected ']' at the end of a table declaration",
        "Unescaped '\\' in a string",
    )
)


@dataclass(frozen=True)
class Kind:
    """What a key's value must be: a kind of TOML value, or one of some words."""

    what: str
    words: tuple[str, ...] = ()
    is_list: bool = False
    is_flag: bool = False
    is_number: bool = False

    def fits(self, value: object) -> bool:
        if self.is_flag:
            return isinstance(value, bool)
        if self.is_number:
            return value == 1 and not isinstance(value, bool) and isinstance(value, int)
        if self.is_list:
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        return isinstance(value, str) and (not self.words or value in self.words)


def _one_of(*words: str) -> Kind:
    return Kind("one of " + ", ".join(f'"{word}"' for word in words), words)


_TEXT = Kind("a text in quotes")
_TEXTS = Kind('a list such as ["a", "b"]', is_list=True)
_FLAG = Kind("true or false", is_flag=True)

KEYS: Mapping[str, Kind] = {
    "schema": Kind("1: this program knows no other", is_number=True),
    "action": _one_of("upgrade", "repair", "reinstall", "fresh", "rollback"),
    "when_none": _one_of("stop", "fresh"),
    "when_many": _one_of("stop", "newest", "all"),
    "language": _TEXT,
    "keyboard": _TEXT,
    "licence": Kind('"accepted": without that nothing is installed', ("accepted",)),
}
TABLES: Mapping[str, Mapping[str, Kind]] = {
    "match": {
        "machine_serials": _TEXTS,
        "disk_serial": _TEXT,
        "disk_model": _TEXT,
        "min_size": _TEXT,
        "max_size": _TEXT,
        "min_version": _TEXT,
        "max_version": _TEXT,
    },
    "wipe": {"disk_serial": _TEXT, "install_id": _TEXT, "keep_vms": _FLAG},
    "system": {"host_name": _TEXT, "admin_password_hash": _TEXT, "time_zone": _TEXT},
    "network": {
        "mode": _one_of("dhcp", "static", "none"),
        "address": _TEXT,
        "gateway": _TEXT,
        "dns": _TEXTS,
    },
    "end": {"action": _one_of("poweroff", "reboot", "wait")},
}


def check_keys(document: Mapping[str, Any], lines: Mapping[tuple[str, str], int]) -> Iterator[Problem]:
    """Keys and tables that nobody knows, and values of the wrong kind."""
    for key, value in document.items():
        if key in TABLES:
            if isinstance(value, dict):
                yield from _check_table(key, value, lines)
            else:
                yield Problem(lines.get(("", key), 0), f"“{key}” must be a table: [{key}].")
        elif key not in KEYS:
            yield _unknown("", key, value, lines)
        elif not KEYS[key].fits(value):
            yield Problem(lines.get(("", key), 0), f"“{key}” must be {KEYS[key].what}.")


def line_numbers(text: str) -> dict[tuple[str, str], int]:
    """(table, key) → line, (table, "") → the table's own line; the top level is the table ""."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if heading := _TABLE.match(line):
            table = heading[1] or heading[2] or heading[3] or ""
            found.setdefault((table, ""), number)
        elif entry := _KEY.match(line):
            found.setdefault((table, entry[1] or entry[2] or entry[3] or ""), number)
    return found


def _check_table(
    table: str, values: Mapping[str, Any], lines: Mapping[tuple[str, str], int]
) -> Iterator[Problem]:
    known = TABLES[table]
    for key, value in values.items():
        line = lines.get((table, key), lines.get((table, ""), lines.get(("", table), 0)))
        if key not in known:
            yield _unknown(table, key, value, lines)
        elif not known[key].fits(value):
            yield Problem(line, f"“{key}” must be {known[key].what}.")


def _unknown(table: str, key: str, value: object, lines: Mapping[tuple[str, str], int]) -> Problem:
    line = lines.get((table, key), lines.get((key, ""), lines.get((table, ""), 0)))
    name = "".join(c if c.isprintable() else "?" for c in key[:40])
    what = f"the table [{name}]" if isinstance(value, dict) and not table else f"the key “{name}”"
    candidates = [*(TABLES[table] if table else (*KEYS, *TABLES))]
    near = difflib.get_close_matches(key, candidates, 1)
    owner = next((t for t, keys in TABLES.items() if key in keys and t != table), "")
    hint = f" Did you mean “{near[0]}”?" if near else f" It belongs into [{owner}]." if owner else ""
    where = f" in [{table}]" if table else ""
    return Problem(line, f"There is no such thing as {what}{where}.{hint}")
