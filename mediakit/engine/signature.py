"""Minisign signatures: keys and detached signatures in minisign's own format, made and checked here.

The format is that of https://jedisct1.github.io/minisign/#signature-format: legacy signatures (``Ed``, of the
data) and prehashed ones (``ED``, of its BLAKE2b-512), each with a trusted comment under a global signature.
Secret keys are kept without a password (``minisign -G -W``). PyNaCl (libsodium, as minisign itself) does
Ed25519; it is imported at the first use only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import field

from mediakit.errors import FormatError, UsageError
from mediakit.plain import dataclass

GOOD, UNKNOWN_KEY, BAD, MISSING = "good", "unknown_key", "bad", "missing"
MAX_TEXT = 8192
_LEGACY, _PREHASHED = b"Ed", b"ED"
_KDF_NONE, _CHECKSUM = b"\0\0", b"B2"
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key with minisign's id; ``name`` is how people call it."""

    key_id: bytes
    point: bytes
    name: str = ""

    @property
    def id_text(self) -> str:
        """The id as minisign prints it: 16 hexadecimal digits."""
        return self.key_id[::-1].hex().upper()

    def to_text(self) -> str:
        """The two lines of a ``.pub`` file."""
        data = base64.b64encode(_LEGACY + self.key_id + self.point).decode()
        return f"{_UNTRUSTED}minisign public key {self.id_text}\n{data}\n"


@dataclass(frozen=True)
class SecretKey:
    """An Ed25519 secret key; its bytes stay out of every representation."""

    key_id: bytes
    seed_and_point: bytes = field(repr=False)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key_id, self.seed_and_point[32:])

    def to_text(self) -> str:
        """The two lines of an unencrypted ``.key`` file; write it with mode 0600."""
        checksum = _key_checksum(self.key_id, self.seed_and_point)
        data = _LEGACY + _KDF_NONE + _CHECKSUM + bytes(48) + self.key_id + self.seed_and_point + checksum
        return f"{_UNTRUSTED}minisign secret key\n{base64.b64encode(data).decode()}\n"


@dataclass(frozen=True)
class KeyPair:
    """A secret key and its public half."""

    secret: SecretKey
    public: PublicKey


@dataclass(frozen=True)
class SignatureCheck:
    """``state`` is good, unknown_key, bad or missing; the key's id and name where they are known."""

    state: str
    key_id: str = ""
    key_name: str = ""
    reason: str = ""
    trusted_comment: str = ""

    @property
    def is_good(self) -> bool:
        return self.state == GOOD


@dataclass(frozen=True)
class _Signature:
    prehashed: bool
    key_id: bytes
    signature: bytes
    trusted_comment: str
    global_signature: bytes


def generate() -> KeyPair:
    """A new key pair."""
    from nacl import bindings

    point, seed_and_point = bindings.crypto_sign_keypair()
    secret = SecretKey(secrets.token_bytes(8), seed_and_point)
    return KeyPair(secret, PublicKey(secret.key_id, point))


def load_public(text: str, name: str = "") -> PublicKey:
    """A ``.pub`` file, or its second line alone; FormatError if it is neither."""
    lines = [line for line in text[:MAX_TEXT].splitlines() if line.strip()]
    if not lines or len(lines) > 2:
        raise FormatError(f"{name or 'This'} is not a minisign public key.", "It has two lines.")
    data = _decode(lines[-1], 42, name or "The public key")
    if data[:2] != _LEGACY:
        raise FormatError(f"{name or 'The public key'} is of a kind that minisign does not know.")
    return PublicKey(data[2:10], data[10:], name)


def load_secret(text: str, name: str = "The secret key") -> SecretKey:
    """A ``.key`` file without a password; UsageError for an encrypted one, FormatError for anything else."""
    lines = [line for line in text[:MAX_TEXT].splitlines() if line.strip()]
    if len(lines) != 2:
        raise FormatError(f"{name} is not a minisign secret key.", "It has two lines.")
    data = _decode(lines[1], 158, name)
    if data[:2] != _LEGACY or data[4:6] != _CHECKSUM:
        raise FormatError(f"{name} is of a kind that minisign does not know.")
    if data[2:4] != _KDF_NONE:
        raise UsageError(
            f"{name} is protected by a password, which an unattended build cannot type.",
            "Make a copy without one: minisign -C -W -s KEY",
        )
    key_id, seed_and_point, checksum = data[54:62], data[62:126], data[126:]
    if not any(checksum):
        checksum = _key_checksum(key_id, seed_and_point)  # minisign 0.10 and 0.11 leave it empty with -W
    if not hmac.compare_digest(checksum, _key_checksum(key_id, seed_and_point)):
        raise FormatError(f"{name} is damaged: its checksum is wrong.")
    return SecretKey(key_id, seed_and_point)


def sign(data: bytes, secret: SecretKey, trusted_comment: str) -> str:
    """The text of a ``.minisig`` file over ``data`` (prehashed). Same inputs, same bytes."""
    if "\n" in trusted_comment or "\r" in trusted_comment:
        raise UsageError("A trusted comment is one line.")
    signature = _sign(hashlib.blake2b(data).digest(), secret)
    global_signature = _sign(signature + trusted_comment.encode(), secret)
    blob = base64.b64encode(_PREHASHED + secret.key_id + signature).decode()
    return (
        f"{_UNTRUSTED}signature from minisign secret key\n{blob}\n"
        f"{_TRUSTED}{trusted_comment}\n{base64.b64encode(global_signature).decode()}\n"
    )


def check(data: bytes, signature_text: str | None, keys: Iterable[PublicKey]) -> SignatureCheck:
    """Judge a detached signature of ``data`` against the trusted ``keys``. Never raises for bad input."""
    if signature_text is None:
        return SignatureCheck(MISSING, reason="There is no signature.")
    try:
        parsed = _parse(signature_text)
    except FormatError as error:
        return SignatureCheck(BAD, reason=error.message)
    id_text = parsed.key_id[::-1].hex().upper()
    candidates = [key for key in keys if key.key_id == parsed.key_id]
    if not candidates:
        return SignatureCheck(
            UNKNOWN_KEY, id_text, reason=f"It is signed with key {id_text}, which is not trusted here."
        )
    message = hashlib.blake2b(data).digest() if parsed.prehashed else data
    for key in candidates:
        if not _verify(message, parsed.signature, key):
            continue
        if not _verify(parsed.signature + parsed.trusted_comment.encode(), parsed.global_signature, key):
            return SignatureCheck(
                BAD, id_text, key.name, "The signature's trusted comment was changed after signing."
            )
        return SignatureCheck(GOOD, id_text, key.name, trusted_comment=parsed.trusted_comment)
    return SignatureCheck(
        BAD, id_text, candidates[0].name, f"The signature does not match: {id_text} did not sign these bytes."
    )


def _parse(text: str) -> _Signature:
    if len(text) > MAX_TEXT:
        raise FormatError("The signature is far too long.")
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    lines = [line.removesuffix("\r") for line in lines]
    if len(lines) != 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise FormatError("The signature is not in minisign's format.")
    data = _decode(lines[1], 74, "The signature")
    if data[:2] not in (_LEGACY, _PREHASHED):
        raise FormatError("The signature is of a kind that minisign does not know.")
    return _Signature(
        prehashed=data[:2] == _PREHASHED,
        key_id=data[2:10],
        signature=data[10:],
        trusted_comment=lines[2].removeprefix(_TRUSTED),
        global_signature=_decode(lines[3], 64, "The signature"),
    )


def _decode(line: str, size: int, name: str) -> bytes:
    try:
        data = base64.b64decode(line.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise FormatError(f"{name} is not in minisign's format: not base64.") from None
    if len(data) != size:
        raise FormatError(f"{name} is not in minisign's format: {len(data)} bytes instead of {size}.")
    return data


def _key_checksum(key_id: bytes, seed_and_point: bytes) -> bytes:
    return hashlib.blake2b(_LEGACY + key_id + seed_and_point, digest_size=32).digest()


def _sign(message: bytes, secret: SecretKey) -> bytes:
    from nacl import bindings

    signed: bytes = bindings.crypto_sign(message, secret.seed_and_point)
    return signed[:64]


def _verify(message: bytes, signature: bytes, key: PublicKey) -> bool:
    from nacl import bindings, exceptions

    try:
        bindings.crypto_sign_open(signature + message, key.point)
    except exceptions.BadSignatureError:
        return False
    return True
