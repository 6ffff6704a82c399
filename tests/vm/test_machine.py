"""Real QEMU, with a boot sector for a guest: seconds, and no image is needed."""

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit.cli import boot
from mediakit.errors import MissingToolError, SourceError
from mediakit.run import run
from mediakit.vm import accel, evidence, firmware
from mediakit.vm.accel import Accelerator
from mediakit.vm.deadline import Deadline, DeadlineError
from mediakit.vm.machine import Machine, MachineError
from mediakit.vm.qmp import QmpError
from mediakit.vm.serial import LineClosedError
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec


def test_a_guest_is_read_on_both_consoles_typed_to_and_explained(
    sector: Path, tmp_path: Path, tcg: Accelerator
) -> None:
    spec = VmSpec(Firmware.BIOS, (Disk(sector, Bus.SATA, boot=0),), ram_mib=64)
    with Machine(spec, tmp_path / "run", tcg) as machine:
        machine.serial.expect("Hello from sector 0", machine.deadline(10))
        assert "Hello from sector 0" in machine.wait_screen("sector 0", machine.deadline(5))
        machine.type("Qemu-5.0!")
        machine.serial.expect(r"Qemu-5\.0!", machine.deadline(5))
        assert "Qemu-5.0!" in machine.wait_screen(r"5\.0!", machine.deadline(5))
        with pytest.raises(DeadlineError, match="never said"):
            machine.serial.expect("never said", Deadline(0.1))
        with pytest.raises(QmpError, match="no-such-command"):
            machine.qmp.execute("no-such-command")
        page = evidence.leave(machine, tmp_path / "left")
        machine.crash()
        with pytest.raises(LineClosedError):
            machine.serial.expect("more", Deadline(5))
    assert (tmp_path / "left/screen.png").read_bytes().startswith(b"\x89PNG")
    assert "Qemu-5.0!" in (tmp_path / "left/screen.txt").read_text()
    assert b"Hello" in (tmp_path / "left/serial.log").read_bytes()
    by_hand = next(line for line in page.read_text().splitlines() if line.startswith("qemu-system"))
    assert str(sector) in shlex.split(by_hand)[shlex.split(by_hand).index("-drive") + 1]
    assert "serial-screen.txt" in page.read_text()


def test_states_are_kept_and_disks_plugged(sector: Path, tmp_path: Path, tcg: Accelerator) -> None:
    disk = tmp_path / "disk.qcow2"
    run(["qemu-img", "convert", "-O", "qcow2", sector, disk], timeout=30)
    spec = VmSpec(
        Firmware.BIOS, (Disk(disk, Bus.SATA, "qcow2", boot=0),), 64, has_snapshots=True, is_paused=True
    )
    with Machine(spec, accelerator=tcg) as machine:
        machine.resume()
        machine.serial.expect("Hello", machine.deadline(10))
        machine.save("hello")
        machine.type("abc")
        machine.wait_screen("abc", machine.deadline(5))
        machine.load("hello")
        machine.wait_screen_until(
            lambda text: "Hello" in text and "abc" not in text, "the past", Deadline(20)
        )
        stick = tmp_path / "stick.img"
        stick.write_bytes(bytes(1 << 20))
        machine.plug(Disk(stick, Bus.USB, serial="S1"), "stick")
        assert "S1" in str(machine.qmp.monitor("info qtree"))
        machine.quit()
        assert not machine.is_running


def test_a_missing_disk_is_a_sentence(tmp_path: Path, tcg: Accelerator) -> None:
    with (
        pytest.raises(MachineError, match="No such file"),
        Machine(VmSpec(Firmware.BIOS, (Disk(tmp_path / "none.img"),)), accelerator=tcg),
    ):
        pass


def test_the_accelerator_is_found_by_trying_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert accel.seconds_to_boot("tcg", 30) is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MEDIAKIT_ACCEL", raising=False)
    calls = []
    monkeypatch.setattr(accel, "try_kvm", lambda: calls.append(1) or Accelerator("tcg", "tried"))
    assert accel.choose() == accel.choose() == Accelerator("tcg", "tried")
    assert calls == [1]


def test_a_certificate_gets_into_the_firmware(tmp_path: Path) -> None:
    key, certificate = tmp_path / "k.pem", tmp_path / "c.pem"
    run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Engine test",
         "-keyout", key, "-out", certificate], timeout=60,
    )  # fmt: skip
    found = firmware.enrol(certificate, tmp_path / "vars.fd")
    dump = run([firmware._virt_fw_vars(), "-i", found, "--print", "--verbose"], timeout=60).text
    assert "Engine test" in dump
    again = firmware.prepare(VmSpec(Firmware.SECURE_BOOT, vars=found), tmp_path)
    assert again is not None and again.vars != found
    assert again.vars.read_bytes() == found.read_bytes()


def test_missing_firmware_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(firmware, "_FOLDERS", (tmp_path,))
    with pytest.raises(MissingToolError, match="ovmf"):
        firmware.find(Firmware.UEFI)


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    boot.configure(parser)
    return parser.parse_args(words)


def test_the_verb_attaches_an_iso_as_cd_and_never_writes_to_it(tmp_path: Path) -> None:
    iso, disk = tmp_path / "a.iso", tmp_path / "d.img"
    iso.write_bytes(bytes(512))
    disk.write_bytes(bytes(512))
    as_cd = boot.make_spec(arguments(str(iso), "--disk", str(disk)))
    assert [d.bus for d in as_cd.disks] == [Bus.CD, Bus.SATA]
    as_stick = boot.make_spec(arguments(str(iso), "--as", "usb", "--memory", "2G"))
    assert as_stick.disks[0].snapshot and as_stick.ram_mib == 2048
    assert replace(as_stick, disks=()) != as_stick
    with pytest.raises(SourceError):
        boot.make_spec(arguments(str(tmp_path / "none.iso")))


@pytest.mark.parametrize(
    ("kvm", "tcg_seconds", "chosen"), [(None, 0.2, "tcg"), (3.6, 0.2, "tcg"), (0.2, 0.2, "kvm")]
)
def test_kvm_is_taken_only_where_it_helps(
    monkeypatch: pytest.MonkeyPatch, kvm: float | None, tcg_seconds: float, chosen: str
) -> None:
    monkeypatch.setattr(accel.os, "access", lambda *_: True)
    times = {"kvm": kvm, "tcg": tcg_seconds}
    monkeypatch.setattr(accel, "seconds_to_boot", lambda name, _: times[name])
    assert accel.try_kvm().name == chosen
