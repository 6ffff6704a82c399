"""Where ENGINE-DATA lies while the stick's tables are being written anew: one sector near its end. Pure.

A backup GPT is written over in more than one sector, and an image without GPT enters ENGINE-DATA in the first
sector alone, which is zeroed first. So a kept ENGINE-DATA is noted in the room that stays free at every
stick's end while nothing else says where it is, and the note goes when the tables are right again.
"""

from __future__ import annotations

import struct
import uuid
import zlib

from mediakit.stick.tables import END_BYTES, Located, Span
from mediakit.units import SECTOR

_MAGIC = b"mediakit ENGINE-DATA lies at\0\0\0\0"
_LAYOUT = struct.Struct("<32sQQ16s")


def place(stick_bytes: int) -> int:
    """Where the sector is, in bytes from the stick's start: before any backup GPT, behind ENGINE-DATA."""
    return (stick_bytes - END_BYTES) // SECTOR * SECTOR


def build(span: Span, guid: uuid.UUID) -> bytes:
    """The sector."""
    text = _LAYOUT.pack(_MAGIC, span.offset_bytes, span.size_bytes, guid.bytes)
    return (text + struct.pack("<I", zlib.crc32(text))).ljust(SECTOR, b"\0")


def parse(sector: bytes) -> Located | None:
    """What the sector says; None for any other."""
    text = sector[: _LAYOUT.size]
    if not text.startswith(_MAGIC) or sector[_LAYOUT.size :][:4] != struct.pack("<I", zlib.crc32(text)):
        return None
    _, offset, size, guid = _LAYOUT.unpack(text)
    return Located(Span(offset, size), uuid.UUID(bytes=guid), survives=True)
