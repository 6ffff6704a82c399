"""EFI programs: PE/COFF headers, sections, the signatures' owners, SBAT. Pure; nothing is verified here.

Sources: Microsoft PE Format (COFF header, optional header, attribute certificate table); SBAT.md of shim for
the ``.sbat`` section; who signed is read from PKCS#7 by ``pkcs7``.
"""

from __future__ import annotations

import re
import struct

from mediakit.errors import FormatError
from mediakit.formats.pkcs7 import Signer, find_signer, subject_name
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

MACHINE_X64, MACHINE_IA32, MACHINE_ARM64 = 0x8664, 0x014C, 0xAA64
MACHINES = {
    MACHINE_X64: "x64",
    MACHINE_IA32: "ia32",
    MACHINE_ARM64: "aa64",
    0x01C2: "arm",
    0x5064: "riscv64",
    0x6264: "loongarch64",
}
"""As UEFI 2.10 §3.5.1.1 names them in \\EFI\\BOOT\\BOOT{…}.EFI."""
MICROSOFT_AUTHORITIES = (
    "Microsoft Corporation UEFI CA 2011",
    "Microsoft UEFI CA 2023",
    "Microsoft Windows Production PCA 2011",
    "Windows UEFI CA 2023",
)
_CERT_X509_GUID = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
_EFI_APPLICATION = 10
_SYMBOL_BYTES = 18
_MAX_SECTIONS = 96
_MAX_CERTIFICATES = 1 << 20
_MAX_SIGNERS = 16
_MAX_VENDOR_BYTES = 1 << 20
"""A shim's own certificates: one has a few KiB, a list with many revocations some hundreds."""
_MAX_SHIM_BYTES = 4 << 20
_LOADER_NAME = re.compile(rb"\\\0((?:[A-Za-z0-9._-]\0){1,40}\.\0[Ee]\0[Ff]\0[Ii]\0)\0\0")
_SHIMS_OWN = ("mm", "fb", "boot")  # MokManager, fallback, and shim itself in its messages


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
    """What the headers say. ``signers`` has one entry for each signature in the file."""

    machine: str
    subsystem: int
    sections: tuple[Section, ...]
    signers: tuple[Signer, ...]
    sbat: tuple[SbatEntry, ...]
    header_bytes: int = 0
    checksum_offset: int = 0
    certificate_entry_offset: int = 0
    certificate_bytes: int = 0

    @property
    def is_efi_application(self) -> bool:
        return self.subsystem == _EFI_APPLICATION

    @property
    def is_signed(self) -> bool:
        return bool(self.signers)

    def section(self, name: str) -> Section | None:
        """The first section called ``name``."""
        return next((s for s in self.sections if s.name == name), None)

    def generation(self, component: str) -> int | None:
        """SBAT's generation of a component; None where it is not named."""
        return next((e.generation for e in self.sbat if e.component == component), None)

    @property
    def is_trusted_as_sold(self) -> bool:
        """Whether a signature was issued by one of Microsoft's authorities that machines are sold with."""
        return any(signer.issuer in MICROSOFT_AUTHORITIES for signer in self.signers)


def read(reader: Reader, size_bytes: int) -> EfiProgram:
    """The program behind ``reader``; FormatError if it is none or is cut off."""
    head = reader(0, min(size_bytes, 4096))
    if len(head) < 64 or head[:2] != b"MZ":
        raise FormatError("This is no EFI program: its first bytes are not “MZ”.")
    (start,) = struct.unpack_from("<I", head, 0x3C)
    if start + 24 + 112 > len(head) or head[start : start + 4] != b"PE\0\0":
        raise FormatError("This is no EFI program: its PE header is missing.")
    machine, count, _, symbols, symbol_count, optional_bytes, _ = struct.unpack_from(
        "<HHIIIHH", head, start + 4
    )
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
    strings = symbols + symbol_count * _SYMBOL_BYTES if symbols else size_bytes
    sections = tuple(
        _section(table[at : at + 40], reader, strings, size_bytes) for at in range(0, len(table), 40)
    )
    for section in sections:
        if section.file_size and section.file_offset + section.file_size > size_bytes:
            raise FormatError("The EFI program is cut off: a section ends behind its end.")
    return EfiProgram(
        MACHINES.get(machine, f"0x{machine:04x}"),
        subsystem,
        sections,
        _signers(reader, size_bytes, *certificates),
        _sbat(reader, sections),
        struct.unpack_from("<I", head, optional + 60)[0],
        optional + 64,
        directories + 32 if directories + 40 <= len(head) else 0,
        certificates[1],
    )


def digest(reader: Reader, size_bytes: int, program: EfiProgram) -> bytes:
    """The SHA-256 that a signature covers: all but checksum, certificate entry and certificates.

    Source: Microsoft *Windows Authenticode Portable Executable Signature Format*, “Calculating the PE Image
    Hash”. FormatError where the headers make no sense.
    """
    import hashlib

    end = size_bytes - program.certificate_bytes
    header = min(program.header_bytes, end)
    first, second = program.checksum_offset, program.certificate_entry_offset
    if not 0 < first < second or second + 8 > header:
        raise FormatError("The EFI program's headers make no sense.")
    if sum(section.file_size for section in program.sections) > size_bytes:
        raise FormatError("The EFI program's sections overlap.")
    total = hashlib.sha256(reader(0, first))
    total.update(reader(first + 4, second - first - 4))
    total.update(reader(second + 8, header - second - 8))
    hashed = header
    for section in sorted(program.sections, key=lambda s: s.file_offset):
        if section.file_size:
            total.update(reader(section.file_offset, section.file_size))
            hashed += section.file_size
    if hashed < end:
        total.update(reader(hashed, end - hashed))
    total.update(bytes(-end % 8))
    return total.digest()


def vendor_names(reader: Reader, program: EfiProgram) -> tuple[str, ...]:
    """Whose signatures a shim accepts besides the firmware's: names in its ``.vendor_cert`` section.

    Source: shim 15 ``cert.S``: sizes and offsets of a certificate (DER, or an EFI signature list) and of the
    revocations. Empty where there is none, or where it is a list of another kind.
    """
    section = program.section(".vendor_cert")
    if section is None or section.file_size < 16:
        return ()
    size, _, offset, _ = struct.unpack("<IIII", reader(section.file_offset, 16))
    if not 0 < size <= section.file_size or offset + size > section.file_size:
        return ()
    raw = reader(section.file_offset + offset, min(size, _MAX_VENDOR_BYTES))
    found = []
    if raw[:1] == b"\x30":
        found.append(subject_name(raw))
    start = 0
    while raw[start : start + 16] == _CERT_X509_GUID and len(raw) >= start + 28:
        total, header, each = struct.unpack_from("<III", raw, start + 16)
        if not 28 < total <= len(raw) - start or each <= 16:
            break
        first, end = start + 28 + header, start + total
        found += [subject_name(raw[at + 16 : at + each]) for at in range(first, end - each + 1, each)]
        start = end
    return tuple(name for name in found if name)


def carried_revocations(reader: Reader, program: EfiProgram) -> tuple[tuple[str, int], ...]:
    """The least SBAT generations that a shim asks for wherever it runs: its “automatic” level.

    Source: shim ``sbat_var.S``: the section ``.sbatlevel`` holds two texts, the automatic one first.
    """
    section = program.section(".sbatlevel")
    if section is None:
        return ()
    raw = reader(section.file_offset, min(section.file_size, section.virtual_size or 4096, 4096))
    at = raw.find(b"sbat,")
    lines = raw[at:].split(b"\0", 1)[0].decode("ascii", "replace").splitlines() if at >= 0 else []
    pairs = [line.split(",")[:2] for line in lines[1:]]
    return tuple((p[0], int(p[1])) for p in pairs if len(p) == 2 and p[1].isdecimal() and len(p[1]) < 10)


def next_loader(reader: Reader, size_bytes: int) -> str:
    """What a shim starts from its own folder: the ``DEFAULT_LOADER`` it was built with, empty if not found.

    It is a UTF-16 text with one or two backslashes in front: ``\\\\grubx64.efi``, in SUSE's ``\\\\grub.efi``.
    """
    names = _LOADER_NAME.findall(reader(0, min(size_bytes, _MAX_SHIM_BYTES)))
    found = (name.decode("utf-16-le") for name in names)
    return next((name for name in found if not name.casefold().startswith(_SHIMS_OWN)), "")


def _section(raw: bytes, reader: Reader, strings: int, size_bytes: int) -> Section:
    """One header; a name such as ``/14`` is a place in the string table behind the symbols."""
    name, size, address, file_size, offset, _, _, _, _, flags = struct.unpack("<8sIIIIIIHHI", raw)
    name = name.rstrip(b"\0")
    place = strings + int(name[1:]) if name[:1] == b"/" and name[1:].isdigit() else size_bytes
    if place < size_bytes:
        name = reader(place, min(64, size_bytes - place)).split(b"\0", 1)[0]
    return Section(name.decode("ascii", "replace"), address, size, offset, file_size, flags)


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


def _signers(reader: Reader, size_bytes: int, start: int, length: int) -> tuple[Signer, ...]:
    """Who signed, from each WIN_CERTIFICATE of the table (entries aligned to 8 bytes)."""
    if not length:
        return ()
    if length > _MAX_CERTIFICATES or start + length > size_bytes:
        raise FormatError("The EFI program is cut off: its signature lies behind its end.")
    table = reader(start, length)
    found: list[Signer] = []
    at = 0
    while at + 8 <= length and len(found) < _MAX_SIGNERS:
        size, _, kind = struct.unpack_from("<IHH", table, at)
        if size < 8 or at + size > length:
            break
        if kind == 2:  # WIN_CERT_TYPE_PKCS_SIGNED_DATA
            found.append(find_signer(table[at + 8 : at + size]))
        at += -(-size // 8) * 8
    return tuple(found)
