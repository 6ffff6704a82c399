"""GRUB's environment block: ``name=value`` lines in a file of fixed size, padded with ``#``. Pure.

Source: GRUB 2.06 ``grub-core/lib/envblk.c``. Backslash and newline in a value are escaped with a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mediakit.errors import FormatError

SIGNATURE = b"# GRUB Environment Block\n"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse(block: bytes) -> dict[str, str]:
    """The variables of ``block``; FormatError if it is no environment block."""
    if not block.startswith(SIGNATURE):
        raise FormatError("This is no GRUB environment block: its first line is missing.")
    variables: dict[str, str] = {}
    for line in _lines(block[len(SIGNATURE) :]):
        name, separator, value = line.partition(b"=")
        if separator and not line.startswith(b"#"):
            variables[name.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return variables


def build(variables: Mapping[str, str], size_bytes: int = 1024, *, limit_bytes: int | None = None) -> bytes:
    """A block of exactly ``size_bytes``; the variables must end within ``limit_bytes`` (FormatError).

    With ``limit_bytes=512`` one sector holds all that changes, so that one sector's write is a whole change.
    """
    text = bytearray(SIGNATURE)
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            raise FormatError(f"“{name}” is no name of a GRUB variable.")
        if "\0" in value:
            raise FormatError(f"The value of “{name}” holds a NUL byte.")
        escaped = value.replace("\\", "\\\\").replace("\n", "\\\n")
        text += f"{name}={escaped}\n".encode("utf-8", "surrogateescape")
    limit = size_bytes if limit_bytes is None else min(size_bytes, limit_bytes)
    if len(text) > limit:
        raise FormatError(
            f"The GRUB variables need {len(text)} bytes, there is room for {limit}.",
            "Use shorter or fewer values.",
        )
    return bytes(text).ljust(size_bytes, b"#")


def _lines(data: bytes) -> list[bytes]:
    """Lines with escapes resolved; the padding after the last newline is no line."""
    lines: list[bytes] = []
    line = bytearray()
    position = 0
    while position < len(data):
        byte = data[position]
        if byte == 0x5C and position + 1 < len(data):
            position += 1
            line.append(data[position])
        elif byte == 0x0A:
            lines.append(bytes(line))
            line.clear()
        else:
            line.append(byte)
        position += 1
    return lines
