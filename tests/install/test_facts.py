"""What the machine says of Secure Boot and the Engine's certificate."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mediakit.install import facts, secureboot

GLOBAL, DATABASE = "8be4df61-93ca-11d2-aa0d-00e098032b8c", "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
OURS, OTHERS = b"0\x82ours" * 40, b"0\x82somebody else's" * 40


def certificates(*found: bytes) -> bytes:
    """EFI_SIGNATURE_LISTs of one X.509 certificate each (UEFI 2.10 §32.4.1)."""
    kind = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
    return b"".join(
        kind + struct.pack("<III", 28 + 16 + len(one), 0, 16 + len(one)) + bytes(16) + one for one in found
    )


def machine(folder: Path, on: bool = True, **variables: bytes) -> Path:
    """A /sys with these variables; ``__`` in a name stands for the GUID's dash."""
    efivars = folder / "firmware/efi/efivars"
    efivars.mkdir(parents=True)
    (efivars / f"SecureBoot-{GLOBAL}").write_bytes(bytes([6, 0, 0, 0, on]))
    for name, data in variables.items():
        guid = DATABASE if name in ("db", "dbx") else SHIM
        (efivars / f"{name}-{guid}").write_bytes(bytes([7, 0, 0, 0]) + data)
    return folder


CASES = [
    ({"db": certificates(OTHERS, OURS)}, "db"),
    ({"db": certificates(OTHERS), "MokListRT": certificates(OURS)}, "mok"),
    ({"db": certificates(OTHERS), "MokListRT1": certificates(OURS)}, "mok"),
    ({"db": certificates(OTHERS)}, "missing"),
    ({}, "missing"),
    ({"db": certificates(OURS), "dbx": certificates(OURS)}, "denied"),
    ({"MokListRT": certificates(OURS), "MokListXRT": certificates(OURS)}, "denied"),
    ({"db": certificates(OTHERS), "MokSBStateRT": b"\1"}, "unchecked"),
]


@pytest.mark.parametrize(("variables", "word"), CASES)
def test_how_secure_boot_stands_to_the_engines_certificate(
    tmp_path: Path, variables: dict[str, bytes], word: str
) -> None:
    found = facts.machine(machine(tmp_path, **variables), tmp_path, certificate=OURS)
    assert (found.secure_boot, found.engine_key) == (True, word)
    reason, hint = secureboot.standing(found)
    assert reason and bool(hint) is (word in ("missing", "denied"))
    assert (secureboot.obstacle(found) is not None) is (word in ("missing", "denied"))


def test_without_secure_boot_or_a_certificate_to_ask_for_nothing_is_said(tmp_path: Path) -> None:
    off = facts.machine(machine(tmp_path / "off", on=False), tmp_path, certificate=OURS)
    unasked = facts.machine(machine(tmp_path / "on"), tmp_path)
    for found in (off, unasked):
        assert found.engine_key == "" and secureboot.standing(found) == ("", "")


def test_a_medium_without_a_certificate_has_an_engine_that_nobody_knows(tmp_path: Path) -> None:
    found = facts.machine(machine(tmp_path, db=certificates(OTHERS)), tmp_path, certificate=b"")
    assert found.engine_key == "missing"
