"""Which public keys are trusted: the built-in public test key, a folder of them, or one file (``--key``).

The test key's secret half is public (``mediakit/reference/keys``): it says "made by the recipe in this
tree", never "made by somebody you trust", and its name says so wherever it is shown.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mediakit.engine.signature import MAX_TEXT, PublicKey, SecretKey, load_public, load_secret
from mediakit.errors import FormatError, SourceError, UsageError

DIRECTORY = Path("/usr/share/engine/keys")
TEST_KEY_NAME = "public test key"
TEST_KEY_TEXT = "RWSISVBalcePmIKonoT+4ANDKiaZptYZajmFDIhZIHQyDx+xoSrQYV7y"


@cache
def test_key() -> PublicKey:
    """The reference Engine's key; its secret half is in the tree."""
    return load_public(TEST_KEY_TEXT, TEST_KEY_NAME)


def built_in() -> tuple[PublicKey, ...]:
    """What mediakit trusts without being told."""
    return (test_key(),)


def trusted_keys(directory: Path = DIRECTORY) -> tuple[PublicKey, ...]:
    """Every ``*.pub`` of a system image, by file name; empty when the folder is not there.

    A damaged key file is an error: silently trusting fewer keys would look like a forged image.
    """
    return tuple(load_key_file(path) for path in sorted(directory.glob("*.pub")))


def load_key_file(path: Path) -> PublicKey:
    """One public key file; its name is the file's name, or says that it is the test key."""
    key = load_public(_read(path), path.stem)
    return test_key() if key.key_id == test_key().key_id and key.point == test_key().point else key


def load_secret_file(path: Path) -> SecretKey:
    """One secret key file."""
    return load_secret(_read(path), path.name)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        raise UsageError(f"The key {path} does not exist.", "Check the path.") from None
    except OSError as error:
        raise SourceError(f"The key {path} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError(
            f"{path} is not a minisign key.", "A key file has two lines of plain text."
        ) from None
