"""FAT directory entries: short names, long names (UCS-2 pieces with a checksum), dates. Pure.

Source: Microsoft's *FAT: General Overview of On-Disk Format* 1.03, “FAT Directory Structure” and “FAT Long
Directory Entries”. Code page 437 is not needed: what is not ASCII goes into the long name only.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Collection, Iterator

from mediakit.errors import FormatError
from mediakit.plain import dataclass

ENTRY_BYTES = 32
READ_ONLY, HIDDEN, SYSTEM, VOLUME_ID, DIRECTORY, ARCHIVE = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
LONG_NAME = READ_ONLY | HIDDEN | SYSTEM | VOLUME_ID
FREE, END = 0xE5, 0x00
FAT_EPOCH = 315532800  # 1980-01-01, the first moment a FAT date can say
_LAST_MOMENT = 4354819198  # 2107-12-31 23:59:58
_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_PIECE_CHARACTERS = 13
_SHORT = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
_FORBIDDEN = set('"*/:<>?\\|')
_LOWER_BASE, _LOWER_EXTENSION = 0x08, 0x10


@dataclass(frozen=True)
class DirectoryEntry:
    """One file or folder as its directory shows it; ``slots`` are the 32-byte slots it takes."""

    name: str
    short_name: bytes
    attributes: int
    first_cluster: int
    size_bytes: int
    slots: tuple[int, ...] = ()

    @property
    def is_directory(self) -> bool:
        return bool(self.attributes & DIRECTORY)


def check_name(name: str) -> None:
    """FormatError, as a sentence, if ``name`` cannot be one in a FAT directory."""
    units = len(name.encode("utf-16-le", "surrogatepass")) // 2
    if not name or name in (".", "..") or units > 255 or name[-1] in " .":
        raise FormatError(f"“{name}” cannot be a file name on a FAT filesystem.")
    if any(c in _FORBIDDEN or ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise FormatError(f"“{name}” holds a character that FAT does not allow.")


def short_name(name: str, taken: Collection[bytes]) -> tuple[bytes, bool]:
    """The 11 bytes of the short name, different from ``taken``, and whether a long name is needed too."""
    base, dot, extension = name.rpartition(".")
    if not dot or not base:
        base, extension = name, ""
    clean_base, clean_extension = _shorten(base), _shorten(extension)
    plain = (clean_base[:8].ljust(8) + clean_extension[:3].ljust(3)).encode("ascii")
    fits = clean_base == base.upper() and clean_extension == extension.upper()
    fits = fits and len(base) <= 8 and len(extension) <= 3
    exact = fits and name == name.upper()
    if fits and plain not in taken:
        return plain, not exact
    for number in range(1, 1_000_000):
        tail = f"~{number}"
        candidate = (clean_base[: 8 - len(tail)] + tail).ljust(8) + clean_extension[:3].ljust(3)
        if candidate.encode("ascii") not in taken:
            return candidate.encode("ascii"), True
    raise FormatError(f"There is no short name left for “{name}”.")


def checksum(short: bytes) -> int:
    """The checksum that ties long name pieces to the short name."""
    total = 0
    for byte in short:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    return total


def build_entries(
    name: str,
    *,
    taken: Collection[bytes],
    attributes: int,
    first_cluster: int,
    size_bytes: int,
    timestamp: int,
) -> tuple[bytes, bytes]:
    """All slots of one name (long pieces first, the short entry last), and its short name."""
    check_name(name)
    short, needs_long = short_name(name, taken)
    slots = _long_pieces(name, checksum(short)) if needs_long else b""
    return slots + short_entry(short, attributes, first_cluster, size_bytes, timestamp), short


def short_entry(short: bytes, attributes: int, first_cluster: int, size_bytes: int, timestamp: int) -> bytes:
    """One 32-byte entry."""
    date, clock = _moment(timestamp)
    high, low = first_cluster >> 16, first_cluster & 0xFFFF
    return _ENTRY.pack(short, attributes, 0, 0, clock, date, date, high, clock, date, low, size_bytes)


def parse_directory(data: bytes) -> Iterator[DirectoryEntry]:
    """The entries of a directory's bytes, up to the end mark; damaged long names are left out."""
    pieces: list[bytes] = []
    slots: list[int] = []
    expected, total = 0, -1
    for slot in range(len(data) // ENTRY_BYTES):
        raw = data[slot * ENTRY_BYTES : (slot + 1) * ENTRY_BYTES]
        if raw[0] == END:
            return
        if raw[0] == FREE:
            pieces, slots, expected = [], [], 0
        elif raw[11] & 0x3F == LONG_NAME:
            order = raw[0] & 0x3F
            if raw[0] & 0x40:
                pieces, slots, expected, total = [], [], order, raw[13]
            if order == 0 or order != expected or raw[13] != total:
                pieces, slots, expected = [], [], 0
                continue
            pieces.insert(0, raw[1:11] + raw[14:26] + raw[28:32])
            slots.append(slot)
            expected -= 1
        else:
            whole = bool(pieces) and expected == 0 and checksum(raw[:11]) == total
            yield _parse_short(raw, _long_text(pieces) if whole else "", (*slots, slot) if whole else (slot,))
            pieces, slots, expected = [], [], 0


def _parse_short(raw: bytes, long_name: str, slots: tuple[int, ...]) -> DirectoryEntry:
    short, attributes, case, _, _, _, _, high, _, _, low, size = _ENTRY.unpack(raw)
    return DirectoryEntry(
        long_name or short_text(short, case), short, attributes, high << 16 | low, size, slots
    )


def short_text(short: bytes, case: int = 0) -> str:
    """The short name for people: ``GRUBX64.EFI``."""
    if short[0] == 0x05:
        short = b"\xe5" + short[1:]
    base = short[:8].decode("cp437").rstrip(" ")
    extension = short[8:].decode("cp437").rstrip(" ")
    base = base.lower() if case & _LOWER_BASE else base
    extension = extension.lower() if case & _LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def _long_text(pieces: list[bytes]) -> str:
    text = b"".join(pieces).decode("utf-16-le", "replace")
    return text.split("\0", 1)[0].rstrip("\uffff")


def _long_pieces(name: str, total: int) -> bytes:
    raw = name.encode("utf-16-le")
    if len(raw) % (_PIECE_CHARACTERS * 2):
        raw += b"\0\0"
    count = -(-len(raw) // (_PIECE_CHARACTERS * 2))
    raw = raw.ljust(count * _PIECE_CHARACTERS * 2, b"\xff")
    slots = []
    for number in range(count, 0, -1):
        piece = raw[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        slots.append(
            bytes([order]) + piece[:10] + bytes([LONG_NAME, 0, total]) + piece[10:22] + b"\0\0" + piece[22:]
        )
    return b"".join(slots)


def _shorten(text: str) -> str:
    """Capitals; what a short name cannot hold becomes ``_``, spaces and dots go."""
    return "".join(c if c in _SHORT else "_" for c in text.upper() if c not in " .")


def _moment(timestamp: int) -> tuple[int, int]:
    t = time.gmtime(min(max(timestamp, FAT_EPOCH), _LAST_MOMENT))
    date = (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday
    return date, t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec // 2
