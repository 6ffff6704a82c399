"""Fresh installs start by both firmwares; the certificate in db lets Secure Boot start one."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import PASSWORD, engine_disk, fresh_answers, mediakit

from mediakit.reference import walk
from mediakit.vm import firmware as vm_firmware
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec


@pytest.mark.core
def test_a_fresh_install_through_the_screens_starts_by_bios(product, start, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(12 << 30)
    stick = Disk(product.stick("5.0"), Bus.USB, serial="MEDIUM", boot=0, snapshot=True)
    spec = VmSpec(Firmware.BIOS, (stick, engine_disk(disk, boot=1)), 1024, 2, stops_on_reboot=True)
    person = walk.Person(host_name="by-hand", password=PASSWORD)
    with start(spec) as machine:
        walk.choose_install(machine.serial, machine.deadline(30))
        walk.Walk(machine, person).run(machine.deadline(180))
        machine.wait_exit(machine.deadline(60))
    with start(VmSpec(Firmware.BIOS, (engine_disk(disk),), 1024, 2)) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert (ready["version"], ready["slot"], ready["layout"]) == ("5.0", "a", 2)
        machine.serial.expect("by-hand login:", machine.deadline(30))


@pytest.mark.core
def test_the_same_disk_starts_by_uefi(product, start, overlay) -> None:
    disk = overlay(product.installed())
    with start(VmSpec(Firmware.UEFI, (engine_disk(disk),), 1024, 2)) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert ready["version"] == "5.0" and ready["why"] == "good"


@pytest.mark.core
def test_with_the_certificate_in_db_secure_boot_starts_it(product, start, overlay, tmp_path: Path) -> None:
    certificate = Path(walk.__file__).parent / "keys" / "sb-test.crt"
    variables = vm_firmware.enrol(certificate, tmp_path / "with-engine-key.fd")
    spec = VmSpec(Firmware.SECURE_BOOT, (engine_disk(overlay(product.installed())),), 1024, 2, vars=variables)
    with start(spec) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert ready["secure_boot"] is True


@pytest.mark.core
def test_unattended_it_installs_reports_and_switches_off(product, start, tmp_path: Path) -> None:
    answers, stick, disk = tmp_path / "answers.toml", tmp_path / "stick.img", tmp_path / "disk.img"
    answers.write_text(fresh_answers())
    mediakit("write", product.iso("5.0"), stick, "--size", "2G", "--yes", "--answers", answers)
    with disk.open("wb") as file:
        file.truncate(12 << 30)
    medium = Disk(stick, Bus.USB, serial="MEDIUM", boot=0)
    spec = VmSpec(Firmware.UEFI, (medium, engine_disk(disk, boot=1)), 1024, 2, serial_number="UNATT1")
    with start(spec) as machine:
        machine.wait_exit(machine.deadline(180))
    reports = mediakit("reports", stick, "--json")
    assert "UNATT1" in reports and '"done"' in reports
