"""ISO 9660 and Joliet: volume descriptors and directory records. Pure: bytes or a Reader in, dataclasses out.

Sources: ECMA-119 4th edition §8 (volume descriptors; §8.5.2 enhanced ones, ISO 9660:1999), §9.1 (directory
records), §9.3 (what a record's name is); Joliet specification of 1995 (supplementary descriptors with escape
sequences ``%/@ %/C %/E``); El Torito 1.0 §2.0 (the boot record). Blocks count 2048 bytes: no other size is
used on media that boot.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

BLOCK = 2048
FIRST_DESCRIPTOR = 16
MAX_DESCRIPTORS = 64
FLAG_HIDDEN, FLAG_DIRECTORY, FLAG_ASSOCIATED, FLAG_MULTI_EXTENT = 0x01, 0x02, 0x04, 0x80
_IDENTIFIER = b"CD001"
_EL_TORITO = b"EL TORITO SPECIFICATION"
_JOLIET_ESCAPES = (b"%/@", b"%/C", b"%/E")
_UDF_MARKS = (b"NSR02", b"NSR03")
VolumeKind = Literal["primary", "joliet", "enhanced", "supplementary"]
_VERSION = re.compile(r";[0-9]{1,5}$")


@dataclass(frozen=True, slots=True)
class DirectoryRecord:
    """One record (§9.1), at ``offset_bytes`` of the image; ``system_use`` is its Rock Ridge area.

    ``recorded`` is the date and time of §9.1.5, raw: ``moment_seconds`` reads it.
    """

    name: bytes
    lba: int
    size_bytes: int
    flags: int
    system_use: bytes
    offset_bytes: int
    interleaved: bool = False
    recorded: bytes = b""

    @property
    def is_directory(self) -> bool:
        return bool(self.flags & FLAG_DIRECTORY)

    @property
    def is_self_or_parent(self) -> bool:
        return self.name in (b"\x00", b"\x01")

    @property
    def continues(self) -> bool:
        """Whether the next record goes on with the same file (§9.1.6, bit 7)."""
        return bool(self.flags & FLAG_MULTI_EXTENT)


@dataclass(frozen=True)
class VolumeDescriptor:
    """A primary, Joliet, enhanced or other supplementary descriptor (§8.4, §8.5) in block ``lba``."""

    kind: VolumeKind
    lba: int
    volume_id: str
    system_id: str
    publisher_id: str
    preparer_id: str
    application_id: str
    created: str
    space_blocks: int
    path_table_bytes: int
    path_table_lba: int
    root: DirectoryRecord


@dataclass(frozen=True)
class DescriptorSet:
    """All descriptors from one start block on. ``has_end``: the terminator (§8.3) was found."""

    volumes: tuple[VolumeDescriptor, ...]
    boot_catalog_lba: int | None
    has_end: bool

    def find(self, kind: VolumeKind) -> VolumeDescriptor | None:
        return next((volume for volume in self.volumes if volume.kind == kind), None)


def has_descriptor(reader: Reader, size_bytes: int, start: int = FIRST_DESCRIPTOR) -> bool:
    """Whether an ISO 9660 primary descriptor lies in block ``start``."""
    if (start + 1) * BLOCK > size_bytes:
        return False
    return reader(start * BLOCK, 6) == b"\x01" + _IDENTIFIER


def read_descriptors(reader: Reader, size_bytes: int, start: int = FIRST_DESCRIPTOR) -> DescriptorSet:
    """The descriptors from block ``start`` to the terminator; FormatError without a primary one."""
    volumes: list[VolumeDescriptor] = []
    catalog = None
    has_end = False
    for lba in range(start, start + MAX_DESCRIPTORS):
        if (lba + 1) * BLOCK > size_bytes:
            break
        block = reader(lba * BLOCK, BLOCK)
        if block[1:6] != _IDENTIFIER:
            break
        kind = block[0]
        if kind == 255:
            has_end = True
            break
        if kind == 0 and block[7:39].rstrip(b"\0 ") == _EL_TORITO:
            (catalog,) = struct.unpack_from("<I", block, 71)
        elif kind in (1, 2):
            volumes.append(parse_volume(block, lba))
    if not any(volume.kind == "primary" for volume in volumes):
        raise FormatError(
            "There is no ISO 9660 filesystem: its primary volume descriptor is missing.",
            "Check that this is a disc image, and that it was copied whole.",
        )
    return DescriptorSet(tuple(volumes), catalog, has_end)


def parse_volume(block: bytes, lba: int) -> VolumeDescriptor:
    """A primary or supplementary descriptor from its 2048 bytes."""
    if len(block) < BLOCK or block[1:6] != _IDENTIFIER or block[0] not in (1, 2):
        raise FormatError(f"Block {lba} holds no volume descriptor.")
    is_joliet = block[0] == 2 and block[88:91] in _JOLIET_ESCAPES
    kind: VolumeKind = "primary"
    if block[0] == 2:
        kind = "joliet" if is_joliet else "enhanced" if block[6] == 2 else "supplementary"
    (block_bytes,) = struct.unpack_from("<H", block, 128)
    if block_bytes != BLOCK:
        raise FormatError(f"The disc image has blocks of {block_bytes} bytes; only 2048 are known.")
    root = parse_record(block, 156, lba * BLOCK)
    if root is None:
        raise FormatError("The root directory's record in the volume descriptor is damaged.")
    return VolumeDescriptor(
        kind=kind,
        lba=lba,
        volume_id=_text(block[40:72], is_joliet),
        system_id=_text(block[8:40], is_joliet),
        publisher_id=_text(block[318:446], is_joliet),
        preparer_id=_text(block[446:574], is_joliet),
        application_id=_text(block[574:702], is_joliet),
        created=_moment(block[813:830]),
        space_blocks=struct.unpack_from("<I", block, 80)[0],
        path_table_bytes=struct.unpack_from("<I", block, 132)[0],
        path_table_lba=struct.unpack_from("<I", block, 140)[0],
        root=root,
    )


def has_udf(reader: Reader, size_bytes: int, start: int = FIRST_DESCRIPTOR) -> bool:
    """Whether a UDF volume recognition sequence (ECMA-167 part 2 §8.3) goes on behind the descriptors."""
    for lba in range(start, start + MAX_DESCRIPTORS):
        if (lba + 1) * BLOCK > size_bytes:
            return False
        mark = reader(lba * BLOCK + 1, 5)
        if mark in _UDF_MARKS:
            return True
        if mark not in (_IDENTIFIER, b"BEA01", b"BOOT2"):
            return False
    return False


def parse_record(data: bytes, at: int, base: int = 0) -> DirectoryRecord | None:
    """The record at ``at`` of ``data``, which lies at byte ``base`` of the image; None if it is damaged."""
    if at >= len(data):
        return None
    length = data[at]
    if length < 34 or at + length > len(data):
        return None
    name_length = data[at + 32]
    if name_length == 0 or 33 + name_length > length:
        return None
    extended = data[at + 1]
    lba, _, size, _ = struct.unpack_from("<I4sI4s", data, at + 2)
    use_start = at + 33 + name_length + (0 if name_length & 1 else 1)
    return DirectoryRecord(
        name=bytes(data[at + 33 : at + 33 + name_length]),
        lba=lba + extended,
        size_bytes=size,
        flags=data[at + 25],
        system_use=bytes(data[use_start : at + length]),
        offset_bytes=base + at,
        interleaved=bool(data[at + 26] or data[at + 27]),
        recorded=bytes(data[at + 18 : at + 25]),
    )


def parse_directory(data: bytes, base: int = 0) -> Iterator[DirectoryRecord]:
    """The records of a directory's bytes; a record never crosses a block (§6.8.1.1).

    FormatError at the first damaged record: what follows it cannot be found.
    """
    at = 0
    while at < len(data):
        if data[at] == 0:
            at = (at // BLOCK + 1) * BLOCK
            continue
        record = parse_record(data, at, base)
        if record is None or at // BLOCK != (at + data[at] - 1) // BLOCK:
            raise FormatError(f"The directory record at byte {base + at} is damaged.")
        yield record
        at += data[at]


def plain_name(name: bytes) -> str:
    """A primary tree's name without version and final dot (§9.3): ``README.TXT;1`` is ``README.TXT``.

    Bytes that are no UTF-8 are kept apart (surrogates): two names never become one.
    """
    text = name.decode("utf-8", "surrogateescape").split(";", 1)[0]
    return text.removesuffix(".") or text


def enhanced_name(name: bytes) -> str:
    """A name of ISO 9660:1999: nearly everything is allowed, a version is not asked for (§8.5.2)."""
    return _VERSION.sub("", name.decode("utf-8", "surrogateescape"))


def joliet_name(name: bytes) -> str:
    """A Joliet name: big-endian UCS-2, without version."""
    return name.decode("utf-16-be", "replace").split(";", 1)[0]


@lru_cache(1024)
def moment_seconds(raw: bytes) -> int | None:
    """Seconds since 1970 (UTC) of a date and time in 7 bytes (§9.1.5) or 17 (§8.4.26.1).

    None for “not specified” and for what is no date. The last byte counts quarters of an hour from UTC.
    """
    if len(raw) == 7:
        fields = (1900 + raw[0], *raw[1:6])
    elif len(raw) == 17 and raw[:14].isdigit():
        fields = (int(raw[:4]), *(int(raw[at : at + 2]) for at in range(4, 14, 2)))
    else:
        return None
    try:
        moment = datetime(*fields).replace(tzinfo=UTC)
    except ValueError:
        return None
    (quarters,) = struct.unpack("b", raw[-1:])
    return int(moment.timestamp()) - quarters * 900 if -48 <= quarters <= 52 else int(moment.timestamp())


def _text(raw: bytes, is_joliet: bool) -> str:
    text = raw.decode("utf-16-be", "replace") if is_joliet else raw.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "�" for c in text.rstrip(" \0"))


def _moment(raw: bytes) -> str:
    """A date and time of §8.4.26.1 as ISO 8601 without zone; empty for “not specified”."""
    digits = raw[:14].decode("ascii", "replace")
    if not digits.isdigit() or not int(digits):
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}T{digits[8:10]}:{digits[10:12]}:{digits[12:14]}"
