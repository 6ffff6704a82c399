"""Passwords into crypt(3) hashes, through the system's libcrypt: yescrypt, or sha512 where it has none.

A password is never logged, never part of a message, and nothing keeps it.
"""

from __future__ import annotations

import ctypes
import os

from mediakit.errors import MissingToolError, UsageError

LEAST_CHARACTERS = 8
_DATA_BYTES = 32768
"""sizeof(struct crypt_data) of libxcrypt, crypt(3)."""
_SETTING_BYTES = 192
"""CRYPT_GENSALT_OUTPUT_SIZE."""
_MOST_BYTES = 511
"""CRYPT_MAX_PASSPHRASE_SIZE, without its zero."""


def check_strength(password: str) -> None:
    """UsageError with a sentence unless the password will do."""
    if not password:
        raise UsageError("The password is empty.", "Write one.")
    if len(password) < LEAST_CHARACTERS:
        raise UsageError("The password is too short.", f"It needs {LEAST_CHARACTERS} characters or more.")
    if len(password.encode("utf-8", "surrogatepass")) > _MOST_BYTES:
        raise UsageError("The password is too long.", f"It may have {_MOST_BYTES} bytes.")
    if "\0" in password or any(0xD800 <= ord(c) < 0xE000 for c in password):
        raise UsageError("The password has a character that cannot be used.", "Write another one.")


def hash_password(password: str) -> str:
    """The hash that ``admin_password_hash`` wants; UsageError if the password will not do."""
    check_strength(password)
    library = _library()
    setting = _setting(library)
    return _crypt(library, password.encode(), setting)


def is_password(password: str, hashed: str) -> bool:
    """Whether ``hashed`` was made of ``password``."""
    return _crypt(_library(), password.encode(), hashed.encode()) == hashed


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcrypt.so.1")
        library.crypt_rn.restype = ctypes.c_char_p
        library.crypt_gensalt_rn.restype = ctypes.c_char_p
    except (OSError, AttributeError):
        raise MissingToolError(
            "The library libcrypt is not installed.",
            "Install Debian's package libcrypt1: apt install libcrypt1",
        ) from None
    return library


def _setting(library: ctypes.CDLL) -> bytes:
    for prefix in (b"$y$", b"$6$"):
        out = ctypes.create_string_buffer(_SETTING_BYTES)
        random = os.urandom(16)
        if library.crypt_gensalt_rn(prefix, ctypes.c_ulong(0), random, len(random), out, len(out)):
            return out.value
    raise MissingToolError("libcrypt knows neither yescrypt nor sha512.", "Install Debian's libcrypt1.")


def _crypt(library: ctypes.CDLL, phrase: bytes, setting: bytes) -> str:
    data = ctypes.create_string_buffer(_DATA_BYTES)
    result = library.crypt_rn(phrase, setting, data, len(data))
    text = result.decode("ascii", "replace") if result else "*0"
    ctypes.memset(data, 0, len(data))
    if text.startswith("*"):
        raise UsageError("The password could not be hashed.", "Write another one.")
    return text
