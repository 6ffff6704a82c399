"""EFI programs, signed for real by sbsign, and damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediakit import run
from mediakit.errors import FormatError, MediakitError
from mediakit.formats import pe, pkcs7
from mediakit.formats.reader import bytes_reader
from tests.isos.programs import efi_program

SBAT = "sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\n"


def read(data: bytes) -> pe.EfiProgram:
    return pe.read(bytes_reader(data), len(data))


def test_the_signer_that_sbsign_put_in_is_named(tmp_path: Path) -> None:
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/O=Somebody/CN=Test Signer 7",
    ]
    run.run([*words, "-keyout", tmp_path / "k", "-out", tmp_path / "c"], timeout=60)
    plain, signed = tmp_path / "plain.efi", tmp_path / "signed.efi"
    plain.write_bytes(efi_program(sbat=SBAT))
    assert not read(plain.read_bytes()).is_signed
    argv = ["sbsign", "--key", tmp_path / "k", "--cert", tmp_path / "c", "--output", signed, plain]
    run.run(argv, timeout=60)
    found = read(signed.read_bytes())
    assert found.signers == (pkcs7.Signer("Test Signer 7", "Test Signer 7"),) and not found.is_trusted_as_sold
    data = bytearray(signed.read_bytes())
    assert pe.digest(bytes_reader(data), len(data), found) == found.signers[0].digest
    data[1030] ^= 1
    assert pe.digest(bytes_reader(data), len(data), found) != found.signers[0].digest
    assert (found.machine, found.is_efi_application) == ("x64", True)
    assert [(entry.component, entry.generation) for entry in found.sbat] == [("sbat", 1), ("shim", 4)]


def test_microsofts_authority_is_what_machines_trust() -> None:
    assert read(efi_program(signers=("Nobody", "Microsoft UEFI CA 2023"))).is_trusted_as_sold
    assert not read(efi_program(signers=("Microsoft Time-Stamp PCA 2010",))).is_trusted_as_sold


def test_what_is_no_program_or_is_cut_off_is_refused() -> None:
    whole = efi_program(signers=("Nobody",), sbat=SBAT)
    for data in (b"", b"MZ", bytes(4096), whole[:1100], whole[:-4]):
        with pytest.raises(FormatError):
            read(data)


WHOLE = efi_program(signers=("Nobody", "Somebody"), sbat=SBAT)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_program_is_an_error_at_worst(damage: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, byte in damage:
        data[at] = byte
    try:
        read(bytes(data))
    except MediakitError:
        pass


@given(st.binary(max_size=300))
def test_no_bytes_make_finding_a_signer_fail(data: bytes) -> None:
    pkcs7.find_signer(data)
