"""Building Rock Ridge entries for new records and patching those of old ones. Pure.

Sources: SUSP 1.12 §5.1 (CE); RRIP 1.12 §4.1.1 (PX: 44 bytes with a serial number, 36 in RRIP 1.09), §4.1.4
(NM), §4.1.6 (TF), and the RR entry of RRIP 1.09 that older programs write.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.iso9660_build import MAX_RECORD_BYTES, both32, record_length
from mediakit.plain import dataclass

CE_BYTES = 28
MAX_NAME_BYTES = 255
_NM_ROOM = 250
_TF_SHORT = 0x0E  # modification, access, attribute change: 7 bytes each, what all authors write


@dataclass(frozen=True)
class Flavour:
    """How the neighbours look: length of PX, and whether there is an RR entry; ``skip`` is SP's."""

    px_bytes: int = 36
    has_rr: bool = False
    skip: int = 0


def flavour_of(system_use: bytes, skip: int) -> Flavour | None:
    """The flavour of one system use area; None if it says nothing of permissions."""
    sizes = {tag: size for tag, _, size in places(system_use, skip)}
    if b"PX" not in sizes:
        return None
    return Flavour(44 if sizes[b"PX"] >= 44 else 36, b"RR" in sizes, skip)


def places(system_use: bytes, skip: int) -> Iterator[tuple[bytes, int, int]]:
    """Tag, offset and length of each entry that lies in the record itself."""
    at = skip
    while at + 4 <= len(system_use):
        tag, length = bytes(system_use[at : at + 2]), system_use[at + 2]
        if length < 4 or at + length > len(system_use) or tag == b"ST":
            return
        yield tag, at, length
        at += length


def build_entries(
    flavour: Flavour, mode: int, links: int, date: bytes, serial: int, name: bytes
) -> list[bytes]:
    """The entries of a new record; without ``name`` (“.” and “..”) there is no NM."""
    if len(name) > MAX_NAME_BYTES:
        raise FormatError("A name of more than 255 bytes cannot be used on any system.")
    entries: list[bytes] = []
    if flavour.has_rr:
        flags = 0x01 | 0x80 | (0x08 if name else 0)
        entries.append(b"RR\x05\x01" + bytes((flags,)))
    body = b"".join(both32(value) for value in (mode, links, 0, 0))
    if flavour.px_bytes >= 44:
        body += both32(serial & 0xFFFFFFFF)
    entries.append(b"PX" + bytes((4 + len(body), 1)) + body)
    entries.append(b"TF\x1a\x01" + bytes((_TF_SHORT,)) + date * 3)
    parts = [name[at : at + _NM_ROOM] for at in range(0, len(name), _NM_ROOM)]
    for number, part in enumerate(parts):
        goes_on = number < len(parts) - 1
        entries.append(b"NM" + bytes((5 + len(part), 1, 1 if goes_on else 0)) + part)
    return entries


def fit(flavour: Flavour, identifier: bytes, entries: list[bytes]) -> tuple[bytes, bytes]:
    """System use area and continuation area for a record called ``identifier``.

    With a continuation the system use area ends with a CE that ``set_continuation`` fills in.
    """
    room = MAX_RECORD_BYTES - 1 - record_length(identifier)  # 255 is odd: the record is padded to 254
    use = bytes(flavour.skip) + b"".join(entries)
    if len(use) <= room:
        return use, b""
    use, rest = bytes(flavour.skip), list(entries)
    while rest and len(use) + len(rest[0]) + CE_BYTES <= room:
        use += rest.pop(0)
    area = b"".join(rest)
    if len(area) > BLOCK or len(use) + CE_BYTES > room:
        raise FormatError("A name is too long for the disc image's tree.")
    return use + b"CE" + bytes((CE_BYTES, 1)) + bytes(24), area


def set_continuation(record: bytes, block: int, offset: int, size: int) -> bytes:
    """``record``, whose system use ends with an empty CE, pointing to its continuation (SUSP §5.1)."""
    at = record.rindex(b"CE\x1c\x01")
    return record[: at + 4] + both32(block) + both32(offset) + both32(size) + record[at + CE_BYTES :]


def patch_entry(record: bytes, use_start: int, skip: int, tag: bytes, at: int, data: bytes) -> bytes:
    """``record`` with ``data`` at byte ``at`` of its first entry ``tag``; unchanged if there is none."""
    for found, offset, length in places(record[use_start:], skip):
        if found == tag and at + len(data) <= length:
            start = use_start + offset + at
            return record[:start] + data + record[start + len(data) :]
    return record


def links_of(record: bytes, use_start: int, skip: int) -> int | None:
    """The number of links that PX of a record says."""
    for found, offset, length in places(record[use_start:], skip):
        if found == b"PX" and length >= 20:
            return int(struct.unpack_from("<I", record, use_start + offset + 12)[0])
    return None


def touch(record: bytes, use_start: int, skip: int, date: bytes) -> bytes:
    """``record`` with the short TF stamps of modification and attribute change set to ``date``."""
    for found, offset, _ in places(record[use_start:], skip):
        if found != b"TF":
            continue
        start = use_start + offset
        flags, at = record[start + 4], start + 5
        if flags & 0x80:
            return record
        data = bytearray(record)
        for bit in range(7):
            if flags & 1 << bit:
                if bit in (1, 3):
                    data[at : at + 7] = date
                at += 7
        return bytes(data)
    return record


FILE_MODE, FOLDER_MODE = stat.S_IFREG | 0o444, stat.S_IFDIR | 0o555
