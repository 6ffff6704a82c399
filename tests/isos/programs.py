"""Tiny EFI programs: right headers, signatures that name somebody, SBAT; nothing to run unless it is given."""

from __future__ import annotations

import struct

X64, IA32 = 0x8664, 0x014C


def efi_program(
    machine: int = X64,
    signers: tuple[str, ...] = (),
    sbat: str = "",
    cut: bool = False,
    more: dict[bytes, bytes] | None = None,
    code: bytes = b"\xc3" * 16,
) -> bytes:
    """A PE32+ EFI application that starts at the first byte of ``code``, wherever it is loaded. Each signer
    becomes a WIN_CERTIFICATE that holds its common name.

    ``more`` are further sections; a name longer than 8 bytes goes into a string table, as linkers do it.
    """
    sections = [(b".text", code)]
    if sbat:
        sections.append((b".sbat", sbat.encode()))
    strings = bytearray(4)
    for name, data in (more or {}).items():
        if len(name) > 8:
            short = b"/%d" % len(strings)
            strings += name + b"\0"
            sections.append((short, data))
        else:
            sections.append((name, data))
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<I", optional, 16, 1024)  # the entry point: the first section
    struct.pack_into("<II", optional, 32, 512, 512)  # alignment of sections in memory and in the file
    struct.pack_into("<II", optional, 56, 65536, 1024)  # sizes of the image in memory and of the headers
    struct.pack_into("<H", optional, 68, 10)
    struct.pack_into("<I", optional, 108, 16)
    body, table = b"", b""
    start = 1024
    for name, data in sections:
        padded = data.ljust(-(-len(data) // 512) * 512, b"\0")
        place = (len(data), start, len(padded), start)
        table += struct.pack("<8sIIIIIIHHI", name, *place, 0, 0, 0, 0, 0x60000020)
        body += padded
        start += len(padded)
    symbols = start if len(strings) > 4 else 0
    if symbols:
        body += bytes(strings).ljust(512, b"\0")
        start += 512
    certificates = b"".join(_certificate(name) for name in signers)
    if certificates:
        struct.pack_into("<II", optional, 112 + 32, start, len(certificates))
    coff = struct.pack("<HHIIIHH", machine, len(sections), 0, symbols, 0, len(optional), 0x22)
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + coff + bytes(optional) + table
    program = head.ljust(1024, b"\0") + body + certificates
    return program[:1200] if cut else program


def _certificate(issuer: str) -> bytes:
    """A WIN_CERTIFICATE around the least SignedData that names an issuer (RFC 2315 §9)."""
    name = _der(0x30, _der(0x31, _der(0x30, b"\x06\x03\x55\x04\x03" + _der(0x0C, issuer.encode()))))
    signer = _der(0x30, b"\x02\x01\x01" + _der(0x30, name + b"\x02\x01\x07"))
    signed = _der(0x30, b"\x02\x01\x01" + _der(0x31, b"") + _der(0x30, b"") + _der(0x31, signer))
    der = _der(0x30, b"\x06\x01\x2a" + _der(0xA0, signed))
    return (struct.pack("<IHH", 8 + len(der), 0x200, 2) + der).ljust(-(-(8 + len(der)) // 8) * 8, b"\0")


def _der(tag: int, body: bytes) -> bytes:
    assert len(body) < 256
    length = bytes([len(body)]) if len(body) < 128 else bytes([0x81, len(body)])
    return bytes([tag]) + length + body
