"""Who signed what in a PKCS#7 signature: names of signer and issuer, the digest. Pure; nothing is verified.

Sources: RFC 2315 §9 (SignedData, SignerInfo), X.509 (certificate, name), X.690 (DER). A signature also holds
its time stamp's certificates, so the names are taken from the signer's own entry, not from any certificate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from mediakit.plain import dataclass

_COMMON_NAME = b"\x06\x03\x55\x04\x03"
_STRINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_SEQUENCE, _SET, _INTEGER, _CONTEXT_0 = 0x30, 0x31, 0x02, 0xA0
_MAX_CERTIFICATES = 64
_OID = 0x06
_SPC_INDIRECT_DATA = bytes.fromhex("2b060104018237020104")
_SHA256 = bytes.fromhex("608648016503040201")


@dataclass(frozen=True)
class Signer:
    """Common names; empty where the signature could not be read. ``name`` is the certificate's own.

    ``digest``: the SHA-256 of the program that was signed (Authenticode), empty where it is another kind.
    """

    name: str = ""
    issuer: str = ""
    digest: bytes = field(default=b"", repr=False, compare=False)

    def __str__(self) -> str:
        return self.issuer or self.name or "an unnamed key"


def find_signer(der: bytes) -> Signer:
    """The first signer of a ContentInfo with SignedData."""
    content = next(_elements(der), (0, b""))[1]
    wrapped = next((body for tag, body in _elements(content) if tag == _CONTEXT_0), b"")
    parts = list(_elements(next(_elements(wrapped), (0, b""))[1]))
    if not parts or parts[-1][0] != _SET:
        return Signer()
    digest = _program_digest(parts[2][1]) if len(parts) > 3 else b""
    signer = list(_elements(next(_elements(parts[-1][1]), (0, b""))[1]))
    if len(signer) < 2:
        return Signer()
    issuer, serial = _issuer_and_serial(signer[1][1])
    certificates = next((body for tag, body in parts if tag == _CONTEXT_0), b"")
    for number, (_, certificate) in enumerate(_elements(certificates)):
        if number >= _MAX_CERTIFICATES:
            break
        own_serial, own_issuer, subject = _certificate(certificate)
        if (own_issuer, own_serial) == (issuer, serial):
            return Signer(_common_name(subject), _common_name(issuer), digest)
    return Signer("", _common_name(issuer), digest)


def subject_name(certificate: bytes) -> str:
    """The common name of the one whom a certificate (DER) is about; empty where it has none."""
    return _common_name(_certificate(next(_elements(certificate), (0, b""))[1])[2])


def _program_digest(content: bytes) -> bytes:
    """The digest in SpcIndirectDataContent (*Authenticode PE*, “Authenticode-Specific Structures”)."""
    kind, *rest = [*_elements(content), (0, b"")]
    if kind != (_OID, _SPC_INDIRECT_DATA) or rest[0][0] != _CONTEXT_0:
        return b""
    data = list(_elements(next(_elements(rest[0][1]), (0, b""))[1]))
    info = list(_elements(data[1][1])) if len(data) == 2 else []
    if len(info) != 2 or next(_elements(info[0][1]), (0, b"")) != (_OID, _SHA256):
        return b""
    return info[1][1]


def _issuer_and_serial(body: bytes) -> tuple[bytes, bytes]:
    found = list(_elements(body))
    return (found[0][1], found[1][1]) if len(found) == 2 else (b"", b"")


def _certificate(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Serial, issuer and subject of one certificate's body."""
    fields = [f for f in _elements(next(_elements(body), (0, b""))[1]) if f[0] != _CONTEXT_0]
    # serialNumber, signature, issuer, validity, subject
    if len(fields) < 5 or fields[0][0] != _INTEGER:
        return b"", b"", b""
    return fields[0][1], fields[2][1], fields[4][1]


def _common_name(name: bytes) -> str:
    """The common name (OID 2.5.4.3) in an X.501 name."""
    at = name.find(_COMMON_NAME)
    if at < 0:
        return ""
    tag, body = next(_elements(name[at + len(_COMMON_NAME) :]), (0, b""))
    text = body.decode(_STRINGS[tag], "replace") if tag in _STRINGS else ""
    return "".join(c if c.isprintable() else "�" for c in text)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each element, as far as they are well formed."""
    at = 0
    while at + 2 <= len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4 or at + width > len(der):
                return
            length = int.from_bytes(der[at : at + width], "big")
            at += width
        if at + length > len(der):
            return
        yield tag, der[at : at + length]
        at += length
