"""Sizes and durations as people write and read them. Pure.

``8G`` and ``8GiB`` are 8·2³⁰ bytes, ``8GB`` is 8·10⁹ (IEC 80000-13).
"""

from __future__ import annotations

import re

from mediakit.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
SECTOR = 512

_PREFIXES = "KMGTPE"
_SIZE = re.compile(r"([0-9]+)\s*(?:([KMGTPE])(iB|B)?|B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes in ``text`` (``512``, ``8G``, ``8GiB``, ``8GB``); UsageError if it is no size."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"“{text}” is not a size.", "Write a number and a unit, such as 512M, 8G or 8GB.")
    number, prefix, suffix = int(match[1]), match[2], match[3]
    if prefix is None:
        return number
    power = _PREFIXES.index(prefix.upper()) + 1
    base = 1000 if (suffix or "").upper() == "B" else 1024
    return int(number * base**power)


def format_size(size_bytes: int) -> str:
    """``size_bytes`` for people, binary units, three significant digits: ``1.50 GiB``."""
    value = float(size_bytes)
    if abs(value) < KIB:
        return f"{size_bytes} B"
    for prefix in _PREFIXES:
        value /= KIB
        if abs(value) < 999.5 or prefix == _PREFIXES[-1]:
            digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits}f} {prefix}iB"
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """``seconds`` for people: ``8 s``, ``3:05 min``, ``1:02:03 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h"


def align_up(value: int, alignment: int) -> int:
    """The smallest multiple of ``alignment`` that is not below ``value``."""
    return -(-value // alignment) * alignment
