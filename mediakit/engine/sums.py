"""What images of other makers carry to be checked against: isomd5sum's implanted MD5, lists of sums.

isomd5sum writes into the application-use field of the primary volume descriptor (ECMA-119 8.4.32: 512 bytes
from byte 883) and hashes the image up to some sectors before its end with that field as spaces. Reads only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mediakit.engine.documents import is_medium_path
from mediakit.engine.sources import Source
from mediakit.engine.sweep import Item, Piece
from mediakit.errors import FormatError
from mediakit.units import MIB

NOTHING = (
    "There is nothing to check it against: no manifest, no implanted MD5, no list of sums. "
    "Compare its SHA-256 with the one its maker publishes."
)
LISTS = (
    ("/SHA256SUMS", "sha256"),
    ("/sha256sum.txt", "sha256"),
    ("/MD5SUMS", "md5"),
    ("/md5sum.txt", "md5"),
)
_SECTOR = 2048
_DESCRIPTOR = 16 * _SECTOR
_FIELD_OFFSET, _FIELD_SIZE = 883, 512
_MD5 = re.compile(rb"ISO MD5SUM = ([0-9a-f]{32});")
_SKIP = re.compile(rb"SKIPSECTORS = ([0-9]{1,6});")
_LINE = re.compile(r"([0-9A-Fa-f]{32,64})[ \t]+[ *]?(.+)")


@dataclass(frozen=True)
class Listed:
    """One line of a list of sums."""

    path: str
    digest: str
    algorithm: str
    source: str


def implanted_md5(source: Source) -> Item | None:
    """The whole image as one item, if isomd5sum left its MD5 in it; FormatError if that is nonsense."""
    if not source.is_image or source.size_bytes < _DESCRIPTOR + _SECTOR:
        return None
    descriptor = source.read_at(_DESCRIPTOR, _SECTOR)
    if descriptor[:6] != b"\x01CD001":
        return None
    field = descriptor[_FIELD_OFFSET : _FIELD_OFFSET + _FIELD_SIZE]
    digest, skip = _MD5.search(field), _SKIP.search(field)
    if digest is None:
        return None
    volume = int.from_bytes(descriptor[80:84], "little") * _SECTOR
    end = volume - (int(skip[1]) if skip else 0) * _SECTOR
    start = _DESCRIPTOR + _FIELD_OFFSET
    if end < start + _FIELD_SIZE:
        raise FormatError("The MD5 that is implanted in the image covers less than its descriptors.")
    pieces = (
        Piece(0, start),
        Piece(start, _FIELD_SIZE, b" "),
        Piece(start + _FIELD_SIZE, end - start - _FIELD_SIZE),
    )
    return Item("image", tuple(p for p in pieces if p.size_bytes), digest[1].decode(), "md5")


def listed(source: Source) -> list[Listed]:
    """The lines of the strongest list of sums that the image has; empty if it has none."""
    for path, algorithm in LISTS:
        if source.exists(path) and source.size(path) <= 16 * MIB:
            data = b"".join(source.stream(path, 0, source.size(path)))
            lines = parse_list(data.decode("utf-8", "replace"), algorithm, path)
            if lines:
                return lines
    return []


def parse_list(text: str, algorithm: str, source: str) -> list[Listed]:
    """The lines of md5sum's and sha256sum's format; what leads out of the medium is left out."""
    found = []
    length = {"md5": 32, "sha256": 64}[algorithm]
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None or len(match[1]) != length:
            continue
        path = "/" + match[2].strip().removeprefix("./").lstrip("/")
        if is_medium_path(path) and path != source:
            found.append(Listed(path, match[1].lower(), algorithm, source))
    return found
