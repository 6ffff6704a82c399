"""JSON documents read strictly: every field checked for presence and type, every problem a sentence.

What the manifest, release files and the customisation index share. Never guesses a missing value.
"""

from __future__ import annotations

import json
import re
from typing import Any

from mediakit.errors import FormatError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 1 << 63


class Fields:
    """One JSON object with typed access; ``where`` begins every complaint."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise FormatError(f"{where} is not a JSON object.")
        self._values: dict[str, Any] = values
        self._where = where

    def text(self, key: str, *, empty_ok: bool = False) -> str:
        """A string without control characters, not empty unless ``empty_ok``."""
        value = self._get(key)
        if not isinstance(value, str) or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value):
            raise self.wrong(key, "a line of text")
        if not value and not empty_ok:
            raise self.wrong(key, "a line of text that is not empty")
        return value

    def number(self, key: str, *, least: int = 0) -> int:
        """A whole number from ``least`` on, below 2⁶³."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _MAX_BYTES:
            raise self.wrong(key, f"a whole number from {least} on")
        return value

    def sha256(self, key: str) -> str:
        """A SHA-256 in 64 lower-case hexadecimal digits."""
        value = self._get(key)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self.wrong(key, "a SHA-256 in 64 lower-case hexadecimal digits")
        return value

    def path(self, key: str) -> str:
        """An absolute path inside a medium, without empty, ``.`` or ``..`` parts."""
        value = self.text(key)
        if not is_medium_path(value):
            raise self.wrong(key, "an absolute path inside the medium")
        return value

    def items(self, key: str) -> list[Any]:
        """A list."""
        value = self._get(key)
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def numbers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers."""
        values = self.items(key)
        if any(isinstance(v, bool) or not isinstance(v, int) for v in values):
            raise self.wrong(key, "a list of whole numbers")
        return tuple(values)

    def objects(self, key: str) -> list[Fields]:
        """A list of objects, each with its own place in complaints."""
        return [
            Fields(value, f"{self._where}, {key}[{index}]") for index, value in enumerate(self.items(key))
        ]

    def schema(self, *known: int) -> int:
        """The document's ``schema``; FormatError names the newer product if it is not one of ``known``."""
        value = self.number("schema")
        if value not in known:
            raise FormatError(
                f"{self._where} has schema {value}, this program knows {_one_of(known)}.",
                "Use the mediakit that came with that image, or a newer one.",
            )
        return value

    def wrong(self, key: str, wanted: str) -> FormatError:
        return FormatError(f"{self._where}: “{key}” must be {wanted}.")

    def _get(self, key: str) -> object:
        try:
            return self._values[key]
        except KeyError:
            raise FormatError(f"{self._where}: “{key}” is missing.") from None


def load(data: bytes, where: str) -> Fields:
    """Parse ``data`` (UTF-8 JSON, no duplicate keys) into Fields; FormatError says what is wrong with it."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where} is not JSON: {str(error)[:120]}.", "It is damaged or was made by another tool."
        ) from None
    return Fields(value, where)


def dump(document: dict[str, Any]) -> bytes:
    """The canonical bytes: sorted keys, two spaces, one newline at the end."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def is_medium_path(path: str) -> bool:
    """Whether ``path`` is absolute and plain: no empty, ``.`` or ``..`` part, no NUL, at most 1024 long."""
    parts = path.split("/")
    return (
        len(path) <= 1024
        and "\0" not in path
        and parts[0] == ""
        and all(part not in ("", ".", "..") for part in parts[1:])
        and len(parts) > 1
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is there twice")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _one_of(values: tuple[int, ...]) -> str:
    return " or ".join(str(value) for value in values)
