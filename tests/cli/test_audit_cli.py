"""``mediakit audit`` as people and programs call it: documents, statuses, repairs in place."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.block import devices
from mediakit.cli import main as cli
from tests.isos import make

Output = pytest.CaptureFixture[str]
Copy = Callable[[str], Path]


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audited")


@pytest.fixture
def copy(kinds: Path, tmp_path: Path) -> Copy:
    """A fresh copy of an image of a kind, which may be written to."""

    def of(kind: str) -> Path:
        path = tmp_path / f"{kind}.iso"
        path.write_bytes(make.make(kind, kinds).read_bytes())
        return path

    return of


def break_pointer(path: Path) -> bytes:
    """An MBR that points elsewhere; returns what the image was."""
    original = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(0x1B0)
        file.write(b"\x77\x77")
    return original


def test_json_has_the_documented_keys(copy: Copy, capsys: Output) -> None:
    assert cli.main(["audit", str(copy("grub_gpt")), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["schema", "path", "boot", "findings"]
    assert set(document["boot"]) == {"bios_cd", "bios_usb", "uefi_cd", "uefi_usb", "secure_boot"}
    assert all(set(route) == {"ok", "why"} for route in document["boot"].values())
    keys = {"severity", "what", "hint", "offset_bytes", "size_bytes"}
    assert document["findings"] and all(set(f) == keys for f in document["findings"])
    flag = next(f for f in document["findings"] if "active flag" in f["what"])
    assert (flag["offset_bytes"], flag["size_bytes"]) == (446, 64)


def test_a_broken_route_that_is_claimed_is_status_1_and_named(copy: Copy, capsys: Output) -> None:
    path = copy("grub_bootable_flag")
    break_pointer(path)
    assert cli.main(["audit", str(path)]) == 1
    shown = capsys.readouterr().out
    assert "no   BIOS from a stick" in shown and "Broken: BIOS from a stick." in shown
    assert "bytes 432 to 440" in shown and "Can be repaired (mediakit audit --fix)" in shown
    assert all(len(line) <= 80 for line in shown.splitlines()[1:])


@pytest.mark.parametrize("kind", ["el_torito", "data_only", "uefi_only", "isohybrid_mbr", "floppy"])
def test_a_route_that_an_image_was_never_made_for_is_no_failure(copy: Copy, kind: str) -> None:
    assert cli.main(["audit", str(copy(kind))]) == 0


def test_looking_changes_nothing(copy: Copy) -> None:
    path = copy("grub_bootable_flag")
    break_pointer(path)
    before = path.read_bytes()
    cli.main(["audit", str(path)])
    assert path.read_bytes() == before


def test_fix_repairs_in_place_and_says_what(copy: Copy, capsys: Output) -> None:
    path = copy("grub_bootable_flag")
    original = break_pointer(path)
    assert cli.main(["audit", str(path), "--fix", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["boot"]["bios_usb"]["ok"]
    (region,) = document["fixed"]
    assert region["offset_bytes"] == 0x1B0 and region["size_bytes"] == 8
    assert path.read_bytes() == original
    assert cli.main(["audit", str(path), "--fix"]) == 0
    assert "Nothing could be repaired safely." in capsys.readouterr().out


def test_what_cannot_be_repaired_stays_status_1(copy: Copy, capsys: Output) -> None:
    """The boot image itself is damaged: no repair brings its contents back."""
    path = copy("isohybrid_mbr")
    data = path.read_bytes()
    damaged = data.replace(b"ISOLINUX 6", b"XXXXXXXX 6")
    path.write_bytes(damaged)
    assert damaged != data
    assert cli.main(["audit", str(path), "--fix", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["fixed"] == [] and not document["boot"]["bios_usb"]["ok"]
    assert path.read_bytes() == damaged


def test_a_file_in_use_or_read_only_is_refused_with_4(
    copy: Copy, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("grub_bootable_flag")
    break_pointer(path)
    before = path.read_bytes()
    with path.open("r+b") as file:
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, 37, lock)  # F_OFD_SETLK, as a virtual machine does it
        assert cli.main(["audit", str(path), "--fix"]) == 4
    assert path.read_bytes() == before
    real = devices.describe
    monkeypatch.setattr(
        devices,
        "describe",
        lambda *a, **k: dataclasses.replace(
            real(*a, **k), read_only=True, allowed=False, reason="It is read-only."
        ),
    )
    assert cli.main(["audit", str(path), "--fix"]) == 4
    assert path.read_bytes() == before and "It is read-only." in capsys.readouterr().err


def as_a_stick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that says of itself that it is a stick with a serial."""
    real = devices.describe

    def describe(*words: object, **options: object) -> devices.Device:
        found = real(*words, **options)  # type: ignore[arg-type]
        return dataclasses.replace(found, is_file=False, serial="STICK-1")

    monkeypatch.setattr(devices, "describe", describe)


def test_a_device_wants_yes_without_a_terminal(
    copy: Copy, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("grub_bootable_flag")
    break_pointer(path)
    before = path.read_bytes()
    as_a_stick(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("STICK-1\n"))
    assert cli.main(["audit", str(path), "--fix"]) == 2
    assert path.read_bytes() == before and "--yes" in capsys.readouterr().err


def test_a_device_wants_its_identity_typed_on_a_terminal(
    copy: Copy, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("grub_bootable_flag")
    break_pointer(path)
    before = path.read_bytes()
    as_a_stick(monkeypatch)
    terminal = io.StringIO("STICK-2\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert cli.main(["audit", str(path), "--fix"]) == 130
    assert path.read_bytes() == before
    assert "Type “STICK-1” to repair it" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.iso", "folder", "garbage", "empty"])
def test_what_is_no_image_is_status_3(tmp_path: Path, capsys: Output, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"\x00\x01" * 100_000)
    (tmp_path / "empty").touch()
    for words in (["--json"], ["--fix", "--yes"], []):
        assert cli.main(["audit", str(tmp_path / name), *words]) == 3
        shown = capsys.readouterr()
        assert not shown.out and shown.err.startswith("mediakit: ")


def test_hashes_are_listed_on_demand(copy: Copy, capsys: Output) -> None:
    import hashlib

    path = str(copy("grub_gpt"))
    assert cli.main(["inspect", path, "--files", "--hash", "--json"]) == 0
    files = {f["path"]: f for f in json.loads(capsys.readouterr().out)["files"]}
    assert files["/boot/vmlinuz"]["sha256"] == hashlib.sha256(b"kernel" * 100).hexdigest()
    assert "sha256" not in files["/boot"]
    assert cli.main(["inspect", path, "--files", "--hash"]) == 0
    assert hashlib.sha256(b"kernel" * 100).hexdigest() + "  /boot/vmlinuz" in capsys.readouterr().out
    assert cli.main(["inspect", path, "--hash"]) == 2


@pytest.mark.parametrize("kind", sorted(make.KINDS.keys() - {"grub_rescue"}))
def test_every_kind_reads_well_on_80_columns(copy: Copy, capsys: Output, kind: str) -> None:
    for verb in ("inspect", "audit"):
        assert cli.main([verb, str(copy(kind))]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith(f"{kind}.iso") and "Boots" in lines
        assert all(len(line) <= 80 for line in lines[1:]), max(lines[1:], key=len)
        assert not any("\033" in line for line in lines)
