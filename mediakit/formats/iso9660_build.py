"""Building and patching ISO 9660 structures: records, directories, path tables, descriptors. Pure.

Source: ECMA-119 4th ed.: §7 numbers, §9.1 directory record, §9.3 order of records, §9.4 and §6.9 path table,
§8.4 and §8.5 volume descriptors; Joliet 1.0 for its names and order.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mediakit.errors import FormatError
from mediakit.formats.iso9660 import BLOCK, FLAG_MULTI_EXTENT
from mediakit.plain import dataclass

MAX_RECORD_BYTES = 255
MAX_EXTENT_BYTES = 0xFFFFFFFF // BLOCK * BLOCK
"""What one record can say, in whole blocks: a larger file gets several (§9.1.4)."""
SPACE_SIZE, VOLUME_ID, PATH_TABLE_SIZE, PATH_TABLES, ROOT_RECORD = 80, 40, 132, 140, 156
MAX_FOLDERS = 0xFFFF
"""A path table numbers them with 16 bits (§9.4.4)."""
VOLUME_ID_BYTES = 32


def both16(value: int) -> bytes:
    """§7.2.3: little-endian, then big-endian."""
    return struct.pack("<H", value) + struct.pack(">H", value)


def both32(value: int) -> bytes:
    """§7.3.3."""
    if not 0 <= value < 1 << 32:
        raise FormatError(f"{value} does not fit into 32 bits, which is all that ISO 9660 has for it.")
    return struct.pack("<I", value) + struct.pack(">I", value)


def record_date(seconds: int) -> bytes:
    """The seven bytes of §9.1.5, in UTC; years outside of 1900 to 2155 are clamped."""
    moment = time.gmtime(max(0, seconds))
    return bytes(
        (min(moment.tm_year - 1900, 255), moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min)
    ) + bytes((min(moment.tm_sec, 59), 0))


def record_length(name: bytes, use_bytes: int = 0) -> int:
    """How long the record of ``name`` with a system use area is: padded to even (§9.1.12, §9.1.13)."""
    length = 33 + len(name) + (1 - len(name) % 2) + use_bytes
    return length + length % 2


def build_record(
    name: bytes,
    lba: int,
    size_bytes: int,
    flags: int,
    date: bytes,
    system_use: bytes = b"",
    sequence: int = 1,
) -> bytes:
    """A directory record; FormatError when it is longer than 255 bytes."""
    length = record_length(name, len(system_use))
    if length > MAX_RECORD_BYTES:
        raise FormatError(f"A directory record of {length} bytes is too long.")
    head = bytes((length, 0)) + both32(lba) + both32(size_bytes) + date + bytes((flags, 0, 0))
    record = head + both16(sequence) + bytes((len(name),)) + name + bytes(1 - len(name) % 2) + system_use
    return record.ljust(length, b"\0")


def patch_record(
    raw: bytes,
    *,
    lba: int | None = None,
    size_bytes: int | None = None,
    date: bytes | None = None,
    more: bool | None = None,
) -> bytes:
    """A record with other place, size, date or multi-extent bit; all else stays as it is."""
    record = bytearray(raw)
    if lba is not None:
        record[1] = 0  # the extended attribute record belonged to the old place
        record[2:10] = both32(lba)
    if size_bytes is not None:
        record[10:18] = both32(size_bytes)
    if date is not None:
        record[18:25] = date
    if more is not None:
        record[25] = record[25] & ~FLAG_MULTI_EXTENT | (FLAG_MULTI_EXTENT if more else 0)
    return bytes(record)


def split_directory(data: bytes) -> list[bytes]:
    """The raw records of a directory; FormatError at the first damaged one."""
    found = []
    at = 0
    while at < len(data):
        length = data[at]
        if length == 0:
            at = (at // BLOCK + 1) * BLOCK
            continue
        if length < 34 or at + length > len(data) or at // BLOCK != (at + length - 1) // BLOCK:
            raise FormatError("A directory record is damaged.")
        found.append(bytes(data[at : at + length]))
        at += length
    return found


def pack_directory(records: Iterable[bytes]) -> bytes:
    """Records one after the other, none across a block border (§6.8.1.1), in whole blocks."""
    data = bytearray()
    for record in records:
        left = BLOCK - len(data) % BLOCK
        if len(record) > left:
            data += bytes(left)
        data += record
    return bytes(data).ljust(-(-len(data) // BLOCK) * BLOCK or BLOCK, b"\0")


def record_name(raw: bytes) -> bytes:
    """The file identifier of a raw record."""
    return raw[33 : 33 + raw[32]]


def sort_key(name: bytes, is_joliet: bool) -> tuple[bytes, bytes, int]:
    """Where ``name`` goes in its directory (§9.3): name, extension, then versions downwards."""
    if is_joliet:
        stem = name.split(b"\0;", 1)[0] if len(name.split(b"\0;", 1)[0]) % 2 == 0 else name
        return stem, b"", 0
    text, _, version = name.partition(b";")
    stem, _, extension = text.partition(b".")
    number = int(version) if version.isdigit() else 0
    return stem.ljust(32, b" "), extension.ljust(32, b" "), -number


@dataclass(frozen=True)
class PathEntry:
    """One directory of a path table; ``parent`` is the number of its parent, counted from 1."""

    name: bytes
    lba: int
    parent: int
    extended: int = 0


def parse_path_table(data: bytes, big_endian: bool = False) -> list[PathEntry]:
    """The entries of a table; FormatError for one that is damaged."""
    found: list[PathEntry] = []
    layout = struct.Struct(">BBIH" if big_endian else "<BBIH")
    at = 0
    while at + 8 <= len(data) and data[at]:
        length, extended, lba, parent = layout.unpack_from(data, at)
        is_sound = at + 8 + length <= len(data) and 1 <= parent <= max(1, len(found))
        if not is_sound or len(found) >= MAX_FOLDERS:
            raise FormatError("The path table is damaged.")
        found.append(PathEntry(bytes(data[at + 8 : at + 8 + length]), lba, parent, extended))
        at += 8 + length + length % 2
    if not found or found[0].parent != 1:
        raise FormatError("The path table is damaged.")
    return found


def build_path_table(entries: Sequence[PathEntry], big_endian: bool = False) -> bytes:
    """The bytes of a table; FormatError for more directories than it can number."""
    if len(entries) > MAX_FOLDERS:
        raise FormatError("There are more than 65535 folders: the path table cannot number them.")
    layout = struct.Struct(">BBIH" if big_endian else "<BBIH")
    data = bytearray()
    for entry in entries:
        data += layout.pack(len(entry.name), entry.extended, entry.lba, entry.parent)
        data += entry.name + bytes(len(entry.name) % 2)
    return bytes(data)


@dataclass(frozen=True)
class DescriptorPatch:
    """New values for a primary or supplementary descriptor; all of them lie in its first 512 bytes, so one
    sector switches a whole tree. None and zero lengths leave what is there."""

    space_blocks: int | None = None
    volume_id: bytes | None = None
    path_table_bytes: int | None = None
    path_tables: tuple[int, int, int, int] | None = None
    root_lba: int | None = None
    root_bytes: int | None = None

    def merged(self, other: DescriptorPatch) -> DescriptorPatch:
        """This patch, with what ``other`` sets."""
        news = {name: value for name, value in vars(other).items() if value is not None}
        return replace(self, **news)

    def apply(self, sector: bytes) -> bytes:
        """The first sector of the descriptor, patched (§8.4.8, §8.4.14 to §8.4.18)."""
        data = bytearray(sector)
        if self.space_blocks is not None:
            data[SPACE_SIZE : SPACE_SIZE + 8] = both32(self.space_blocks)
        if self.volume_id is not None:
            data[VOLUME_ID : VOLUME_ID + VOLUME_ID_BYTES] = self.volume_id
        if self.path_table_bytes is not None:
            data[PATH_TABLE_SIZE : PATH_TABLE_SIZE + 8] = both32(self.path_table_bytes)
        if self.path_tables is not None:
            little, optional_little, big, optional_big = self.path_tables
            struct.pack_into("<II", data, PATH_TABLES, little, optional_little)
            struct.pack_into(">II", data, PATH_TABLES + 8, big, optional_big)
        if self.root_lba is not None and self.root_bytes is not None:
            root = bytes(data[ROOT_RECORD : ROOT_RECORD + data[ROOT_RECORD]])
            data[ROOT_RECORD : ROOT_RECORD + len(root)] = patch_record(
                root, lba=self.root_lba, size_bytes=self.root_bytes
            )
        return bytes(data)
