"""EFI programs: PE/COFF headers, sections, the signatures' owners, SBAT. Pure; nothing is verified here.

Sources: Microsoft PE Format (COFF header, optional header, attribute certificate table); SBAT.md of shim for
the ``.sbat`` section; X.690 only as far as common names (OID 2.5.4.3) can be picked out of PKCS#7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader

MACHINE_X64, MACHINE_IA32, MACHINE_ARM64 = 0x8664, 0x014C, 0xAA64
MACHINES = {MACHINE_X64: "x64", MACHINE_IA32: "ia32", MACHINE_ARM64: "aa64"}
_EFI_APPLICATION = 10
_MAX_SECTIONS = 96
_MAX_CERTIFICATES = 1 << 20
_COMMON_NAME = b"\x06\x03\x55\x04\x03"


@dataclass(frozen=True)
class Section:
    """One section: where it lies in the file and in memory."""

    name: str
    virtual_address: int
    virtual_size: int
    file_offset: int
    file_size: int
    characteristics: int


@dataclass(frozen=True)
class SbatEntry:
    """One line of SBAT: a component and the generation that revocations count."""

    component: str
    generation: int
    vendor: str
    package: str
    version: str


@dataclass(frozen=True)
class EfiProgram:
    """What the headers say. ``signers`` are the common names in each signature, the issuer first."""

    machine: str
    subsystem: int
    sections: tuple[Section, ...]
    signers: tuple[tuple[str, ...], ...]
    sbat: tuple[SbatEntry, ...]

    @property
    def is_efi_application(self) -> bool:
        return self.subsystem == _EFI_APPLICATION

    @property
    def is_signed(self) -> bool:
        return bool(self.signers)

    @property
    def signed_by_microsoft(self) -> bool:
        """Whether a signature names Microsoft's UEFI authority, which machines trust as they are sold."""
        return any("Microsoft" in name and "UEFI" in name for names in self.signers for name in names)


def read(reader: Reader, size_bytes: int) -> EfiProgram:
    """The program behind ``reader``; FormatError if it is none or is cut off."""
    head = reader(0, min(size_bytes, 4096))
    if len(head) < 64 or head[:2] != b"MZ":
        raise FormatError("This is no EFI program: its first bytes are not “MZ”.")
    (start,) = struct.unpack_from("<I", head, 0x3C)
    if start + 24 + 112 > len(head) or head[start : start + 4] != b"PE\0\0":
        raise FormatError("This is no EFI program: its PE header is missing.")
    machine, count, _, _, _, optional_bytes, _ = struct.unpack_from("<HHIIIHH", head, start + 4)
    optional = start + 24
    (magic,) = struct.unpack_from("<H", head, optional)
    (subsystem,) = struct.unpack_from("<H", head, optional + 68)
    directories = optional + (112 if magic == 0x20B else 96)
    certificates = (0, 0)
    if directories + 40 <= min(len(head), optional + optional_bytes):
        certificates = struct.unpack_from("<II", head, directories + 32)
    if count > _MAX_SECTIONS:
        raise FormatError(f"This is no EFI program: {count} sections make no sense.")
    table = reader(optional + optional_bytes, count * 40)
    sections = tuple(_section(table[at : at + 40]) for at in range(0, len(table), 40))
    for section in sections:
        if section.file_size and section.file_offset + section.file_size > size_bytes:
            raise FormatError("The EFI program is cut off: a section ends behind its end.")
    return EfiProgram(
        MACHINES.get(machine, f"0x{machine:04x}"),
        subsystem,
        sections,
        _signers(reader, size_bytes, *certificates),
        _sbat(reader, sections),
    )


def _section(raw: bytes) -> Section:
    name, size, address, file_size, offset, _, _, _, _, flags = struct.unpack("<8sIIIIIIHHI", raw)
    return Section(name.rstrip(b"\0").decode("ascii", "replace"), address, size, offset, file_size, flags)


def _sbat(reader: Reader, sections: tuple[Section, ...]) -> tuple[SbatEntry, ...]:
    section = next((s for s in sections if s.name == ".sbat"), None)
    if section is None:
        return ()
    size = min(section.file_size, section.virtual_size or section.file_size, 65536)
    entries = []
    for line in reader(section.file_offset, size).split(b"\0", 1)[0].decode("utf-8", "replace").splitlines():
        fields = line.split(",")
        if len(fields) >= 2 and fields[1].isdecimal() and len(fields[1]) < 10:
            vendor, package, version = [*fields[2:5], "", "", ""][:3]
            entries.append(SbatEntry(fields[0], int(fields[1]), vendor, package, version))
    return tuple(entries)


def _signers(reader: Reader, size_bytes: int, start: int, length: int) -> tuple[tuple[str, ...], ...]:
    """The common names in each WIN_CERTIFICATE of the table (entries aligned to 8 bytes)."""
    if not length:
        return ()
    if length > _MAX_CERTIFICATES or start + length > size_bytes:
        raise FormatError("The EFI program is cut off: its signature lies behind its end.")
    table = reader(start, length)
    found = []
    at = 0
    while at + 8 <= length:
        size, _, kind = struct.unpack_from("<IHH", table, at)
        if size < 8 or at + size > length:
            break
        if kind == 2:  # WIN_CERT_TYPE_PKCS_SIGNED_DATA
            found.append(tuple(reversed(_common_names(table[at + 8 : at + size]))))
        at += -(-size // 8) * 8
    return tuple(found)


def _common_names(der: bytes) -> list[str]:
    """Every common name once, in order of its last appearance: the signer info, which comes last, decides."""
    names: list[str] = []
    at = der.find(_COMMON_NAME)
    while at >= 0:
        value = at + len(_COMMON_NAME)
        if value + 2 <= len(der) and der[value] in (0x0C, 0x13, 0x16, 0x1E) and der[value + 1] < 0x80:
            raw = der[value + 2 : value + 2 + der[value + 1]]
            text = raw.decode("utf-16-be" if der[value] == 0x1E else "utf-8", "replace")
            if text in names:
                names.remove(text)
            names.append(text)
        at = der.find(_COMMON_NAME, at + 1)
    return names
