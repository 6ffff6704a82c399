"""EFI programs, signed for real by sbsign, and damaged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediakit import run
from mediakit.errors import FormatError, MediakitError
from mediakit.formats import grub_core, pe, pkcs7
from mediakit.formats.reader import bytes_reader
from tests.isos.programs import efi_program

SBAT = "sbat,1,SBAT Version,sbat,1,https://x\nshim,4,UEFI shim,shim,1,https://x\n"


def read(data: bytes) -> pe.EfiProgram:
    return pe.read(bytes_reader(data), len(data))


def test_what_a_shim_trusts_and_refuses_is_read_from_its_sections(tmp_path: Path) -> None:
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/O=X/CN=Vendor CA",
        "-outform",
        "DER",
    ]
    run.run([*words, "-keyout", tmp_path / "k", "-out", tmp_path / "c"], timeout=60)
    der = (tmp_path / "c").read_bytes()
    alone = struct.pack("<IIII", len(der), 0, 16, 0) + der
    guid = bytes.fromhex("a159c0a5e494a74a87b5ab155c2bf072")
    listed = guid + struct.pack("<III", 28 + 16 + len(der), 0, 16 + len(der)) + bytes(16) + der
    several = struct.pack("<IIII", len(listed) * 2, 0, 16, 0) + listed * 2
    level = struct.pack("<III", 0, 8, 8) + b"sbat,1,2023012900\nshim,2\ngrub,3\n\0sbat,1,2025\ngrub,5\n\0"
    for raw, names in ((alone, ("Vendor CA",)), (several, ("Vendor CA", "Vendor CA"))):
        data = efi_program(sbat=SBAT, more={b".vendor_cert": raw, b".sbatlevel": level})
        found = read(data)
        assert [s.name for s in found.sections] == [".text", ".sbat", ".vendor_cert", ".sbatlevel"]
        assert pe.vendor_names(bytes_reader(data), found) == names
        assert pe.carried_revocations(bytes_reader(data), found) == (("shim", 2), ("grub", 3))
    for raw in (b"", b"\xff" * 40, struct.pack("<IIII", 99, 0, 16, 0) + b"0"):
        data = efi_program(more={b".vendor_cert": raw})
        assert pe.vendor_names(bytes_reader(data), read(data)) == ()


def test_what_is_built_into_grub_is_read_from_its_modules(tmp_path: Path) -> None:
    (tmp_path / "early.cfg").write_text("search --file /x --set=root\n")
    argv = [
        "grub-mkimage",
        "-O",
        "x86_64-efi",
        "-o",
        tmp_path / "g.efi",
        "-p",
        "/EFI/here",
        "-c",
        tmp_path / "early.cfg",
        "normal",
    ]
    if not Path("/usr/lib/grub/x86_64-efi").is_dir():
        objects = b"".join(
            struct.pack("<II", kind, 8 + len(raw)) + raw
            for kind, raw in ((0, b"elf."), (3, b"/EFI/here\0\0\0"), (2, b"search --file /x --set=root\n\0"))
        )
        data = efi_program(more={b"mods": struct.pack("<4s4xQQ", b"mimg", 24, 24 + len(objects)) + objects})
    else:
        run.run(argv, timeout=60)
        data = (tmp_path / "g.efi").read_bytes()
    core = grub_core.read_efi(bytes_reader(data), read(data))
    assert core and core.prefix == "/EFI/here" and b"search --file /x" in core.config
    assert grub_core.read_efi(bytes_reader(efi_program()), read(efi_program())) is None


@pytest.mark.parametrize("modules", [("biosdisk",), ("biosdisk", "iso9660", "normal", "linux", "search")])
def test_the_prefix_of_a_grub_for_bios_is_unpacked(tmp_path: Path, modules: tuple[str, ...]) -> None:
    out = tmp_path / "eltorito.img"
    run.run(["grub-mkimage", "-O", "i386-pc-eltorito", "-o", out, "-p", "/odd/place", *modules], timeout=60)
    core = grub_core.read_bios(out.read_bytes())
    assert core == grub_core.GrubCore("/odd/place")
    damaged = bytearray(out.read_bytes())
    damaged[6000:6100] = bytes(100)
    grub_core.read_bios(bytes(damaged))
    assert grub_core.read_bios(b"") is None and grub_core.read_bios(bytes(40_000)) is None


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
