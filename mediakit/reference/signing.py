"""Owns Secure Boot signatures of PE files: sbsign makes them, here they become reproducible.

sbsign writes the current time into the signed attributes. The attribute is set to the time asked for, and
the attributes are signed again with the same key (RSA PKCS #1 v1.5, so the same bytes each time).
Sources: PE/COFF specification §4.9 (attribute certificate table); RFC 2315 §9.3; RFC 5652 §11.3.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from array import array
from datetime import UTC, datetime
from pathlib import Path

from mediakit import run
from mediakit.errors import FormatError, TrustError

_SIGNING_TIME = bytes.fromhex("06092a864886f70d010905310f170d")  # OID signingTime, SET, UTCTime of 13 bytes


def sign_pe(source: Path, out: Path, key: Path, cert: Path, when: int) -> None:
    """Sign ``source`` into ``out``, dated ``when`` (seconds); sbverify checks the result."""
    run.run(["sbsign", "--key", key, "--cert", cert, "--output", out, source], timeout=300)
    image = bytearray(out.read_bytes())
    start, size = certificate_table(image)
    _set_time(image, start, start + size, key, when)
    _set_checksum(image)
    out.write_bytes(image)
    if not is_signed_by(out, cert):
        raise TrustError(
            f"The signature just made of {source.name} does not verify.",
            "Key and certificate must belong together (RSA, 2048 bits).",
        )


def is_signed_by(path: Path, cert: Path) -> bool:
    """Whether ``path`` carries a signature that verifies with ``cert`` (PEM)."""
    return run.run(["sbverify", "--cert", cert, path], timeout=120, check=False).status == 0


def to_der(cert: Path) -> bytes:
    """The certificate (PEM) as DER, which is what MokManager enrols."""
    return run.run(["openssl", "x509", "-in", cert, "-outform", "DER"], timeout=30).stdout


def certificate_table(image: bytes | bytearray) -> tuple[int, int]:
    """Offset and size of the attribute certificate table; FormatError if the file is not signed."""
    pe = struct.unpack_from("<I", image, 60)[0]
    start, size = struct.unpack_from("<II", image, pe + 24 + 144)
    if not size or start + size > len(image):
        raise FormatError("This PE file carries no signature.")
    return int(start), int(size)


def _set_checksum(image: bytearray) -> None:
    """The optional header's CheckSum: 16-bit words added with carry, plus the length (sbsign sets it too)."""
    field = struct.unpack_from("<I", image, 60)[0] + 24 + 64
    struct.pack_into("<I", image, field, 0)
    words = array("H", bytes(image) + b"\0" * (len(image) % 2))
    if sys.byteorder == "big":
        words.byteswap()
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("<I", image, field, total + len(image))


def _set_time(image: bytearray, start: int, end: int, key: Path, when: int) -> None:
    at = image.find(_SIGNING_TIME, start, end)
    if at < 0:
        return  # a signer that writes no time
    text = datetime.fromtimestamp(when, UTC).strftime("%y%m%d%H%M%SZ").encode()
    where = at + len(_SIGNING_TIME)
    image[where : where + 13] = text
    head, body = _attributes(image, start, at)
    attributes = b"\x31" + bytes(image[head + 1 : body])  # signed as SET OF, not as [0] (RFC 2315 §9.3)
    with tempfile.TemporaryDirectory() as scratch:
        message = Path(scratch, "attributes")
        message.write_bytes(attributes)
        signature = run.run(["openssl", "dgst", "-sha256", "-sign", key, message], timeout=60).stdout
    at = image.find(_octets(len(signature)), body, end)
    if at < 0:
        raise FormatError(
            "The signature that sbsign made has an unknown shape.", "Use an RSA key of 2048 bits."
        )
    at += len(_octets(len(signature)))
    image[at : at + len(signature)] = signature


def _attributes(image: bytearray, start: int, inside: int) -> tuple[int, int]:
    """Start and end of the [0] element (the signed attributes) that holds ``inside``."""
    for at in range(inside - 1, start, -1):
        if image[at] != 0xA0:
            continue
        length, header = _length(image, at + 1)
        end = at + 1 + header + length
        if at + 1 + header <= inside < end and image[at + 1 + header] == 0x30:
            return at, end
    raise FormatError("The signature that sbsign made has no signed attributes.")


def _length(data: bytearray, at: int) -> tuple[int, int]:
    """A DER length and how many bytes it takes (X.690 §8.1.3)."""
    first = data[at]
    if first < 0x80:
        return first, 1
    count = first & 0x7F
    return int.from_bytes(data[at + 1 : at + 1 + count], "big"), 1 + count


def _octets(size: int) -> bytes:
    """The DER header of an OCTET STRING of ``size`` bytes (128 to 65535)."""
    return b"\x04\x82" + size.to_bytes(2, "big") if size > 255 else b"\x04\x81" + bytes([size])
