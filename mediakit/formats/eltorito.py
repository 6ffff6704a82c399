"""The El Torito boot catalog: which boot images a disc offers to which firmware. Pure.

Sources: El Torito 1.0 §2.1 (validation entry), §2.2 (initial entry), §2.3 to §2.5 (section headers, entries,
extensions); UEFI 2.10 §13.3.2.1 (platform EF). ``lba`` counts 2048 bytes, ``load_sectors`` 512.
"""

from __future__ import annotations

import struct
from itertools import groupby
from typing import Literal

from mediakit.errors import FormatError
from mediakit.plain import dataclass

CATALOG_BYTES = 2048
PLATFORM_BIOS, PLATFORM_POWERPC, PLATFORM_MAC, PLATFORM_EFI = 0x00, 0x01, 0x02, 0xEF
_PLATFORMS = {0x00: "bios", 0x01: "powerpc", 0x02: "mac", 0xEF: "uefi"}
_ENTRY = struct.Struct("<BBHBBHI")
Emulation = Literal["none", "floppy", "hard disk", "unknown"]
_EMULATIONS: dict[int, Emulation] = {0: "none", 1: "floppy", 2: "floppy", 3: "floppy", 4: "hard disk"}


@dataclass(frozen=True)
class BootEntry:
    """One boot image. ``slot`` is the number of its 32-byte entry in the catalog.

    ``section`` counts the section headers before it: 0 for the initial entry. Entries with equal ones share a
    header, whose identifier is ``section_id``. ``criteria`` are the selection criteria with their type (bytes
    12 on, §2.4) and those of its extensions (§2.5), without zeros at their ends: vendors' own.
    """

    slot: int
    platform_id: int
    is_bootable: bool
    media_type: int
    load_segment: int
    system_type: int
    load_sectors: int
    lba: int
    section: int = 0
    section_id: str = ""
    criteria: tuple[bytes, ...] = ()

    @property
    def platform(self) -> str:
        return _PLATFORMS.get(self.platform_id, f"0x{self.platform_id:02x}")

    @property
    def emulation(self) -> Emulation:
        return _EMULATIONS.get(self.media_type & 0x0F, "unknown")

    @property
    def is_bios(self) -> bool:
        return self.platform_id == PLATFORM_BIOS

    @property
    def is_efi(self) -> bool:
        return self.platform_id == PLATFORM_EFI


@dataclass(frozen=True)
class BootCatalog:
    """The catalog; ``checksum_ok`` is about the validation entry."""

    platform_id: int
    identifier: str
    checksum_ok: bool
    entries: tuple[BootEntry, ...]

    def find(self, platform_id: int) -> BootEntry | None:
        """The first bootable entry of a platform."""
        return next((e for e in self.entries if e.platform_id == platform_id and e.is_bootable), None)

    def build(self, size_bytes: int = CATALOG_BYTES) -> bytes:
        """The catalog's blocks: the validation entry, the initial entry, sections with the entries after it.

        Entries go where ``section`` says; those that say nothing get a header of their own. FormatError when
        they do not fit.
        """
        parts = [_validation(self.platform_id, self.identifier)]
        sections = [list(group) for _, group in groupby(enumerate(self.entries), _section_key)]
        for number, group in enumerate(sections):
            first = group[0][1]
            if number:
                last = number == len(sections) - 1
                name = first.section_id.encode("ascii", "replace")[:28]
                header = struct.pack("<BBH28s", 0x91 if last else 0x90, first.platform_id, len(group), name)
                parts.append(header)
            for _, entry in group:
                parts += _pack(entry)
        data = b"".join(parts)
        if len(data) > size_bytes:
            raise FormatError("The boot catalog has no room for so many entries.")
        return data.ljust(size_bytes, b"\0")


def _section_key(numbered: tuple[int, BootEntry]) -> tuple[int, int]:
    """Equal for entries under one header; the initial entry and those without a section stand alone."""
    number, entry = numbered
    return (-1 - number, 0) if not number or not entry.section else (entry.section, entry.platform_id)


def _pack(entry: BootEntry) -> list[bytes]:
    """One entry and the extensions of its selection criteria: bit 5 of their second byte says “one more”."""
    first, *extensions = entry.criteria or (b"",)
    if len(first) > 20 or any(len(extension) > 30 for extension in extensions):
        raise FormatError("Selection criteria of the boot catalog are too long.")
    indicator = 0x88 if entry.is_bootable else 0
    fields = (entry.media_type, entry.load_segment, entry.system_type, 0, entry.load_sectors, entry.lba)
    parts = [_ENTRY.pack(indicator, *fields) + first.ljust(20, b"\0")]
    for number, extension in enumerate(extensions, 1):
        more = 0x20 if number < len(extensions) else 0
        parts.append(bytes((0x44, more)) + extension.ljust(30, b"\0"))
    return parts


def parse(data: bytes) -> BootCatalog:
    """The catalog in ``data`` (one or more blocks); FormatError if its validation entry is none."""
    if len(data) < 64 or data[0] != 1 or data[30:32] != b"\x55\xaa":
        raise FormatError("The boot catalog is damaged: its validation entry is missing.")
    total = sum(struct.unpack_from("<16H", data)) & 0xFFFF
    identifier = data[4:28].split(b"\0", 1)[0].decode("ascii", "replace")
    entries = [_entry(data, 1, data[1])]
    slot, section = 2, 0
    while (slot + 1) * 32 <= len(data):
        indicator, platform, count = struct.unpack_from("<BBH", data, slot * 32)
        if indicator not in (0x90, 0x91):
            break
        section += 1
        name = data[slot * 32 + 4 : slot * 32 + 32].split(b"\0", 1)[0].decode("ascii", "replace")
        slot += 1
        for _ in range(count):
            if (slot + 1) * 32 > len(data):
                break
            entries.append(_entry(data, slot, platform, section, name))
            slot += len(entries[-1].criteria) or 1
        if indicator == 0x91:
            break
    return BootCatalog(data[1], identifier, total == 0, tuple(entries))


def _entry(data: bytes, slot: int, platform: int, section: int = 0, section_id: str = "") -> BootEntry:
    indicator, media, segment, system, _, sectors, lba = _ENTRY.unpack_from(data, slot * 32)
    criteria = [data[slot * 32 + 12 : slot * 32 + 32].rstrip(b"\0")]
    at = (slot + 1) * 32
    while section and at + 32 <= len(data) and data[at] == 0x44:
        criteria.append(data[at + 2 : at + 32].rstrip(b"\0"))
        at += 32
    return BootEntry(
        slot=slot,
        platform_id=platform,
        is_bootable=indicator == 0x88,
        media_type=media,
        load_segment=segment,
        system_type=system,
        load_sectors=sectors,
        lba=lba,
        section=section,
        section_id=section_id,
        criteria=tuple(criteria) if any(criteria) or len(criteria) > 1 else (),
    )


def _validation(platform: int, identifier: str) -> bytes:
    entry = bytearray(32)
    entry[0], entry[1] = 1, platform
    entry[4:28] = identifier.encode("ascii", "replace")[:24].ljust(24, b"\0")
    entry[30:32] = b"\x55\xaa"
    struct.pack_into("<H", entry, 28, -sum(struct.unpack("<16H", entry)) & 0xFFFF)
    return bytes(entry)
