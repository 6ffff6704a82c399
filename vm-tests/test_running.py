"""Inside a running Engine: the online upgrade, and what is told when an upgrade did not hold."""

from __future__ import annotations

import json
from pathlib import Path

from support import PASSWORD, engine_disk, mediakit, vm_store

from mediakit.reference import demo, walk
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec


def test_engine_update_upgrades_the_running_engine(product, start, overlay) -> None:
    disk = overlay(product.installed())
    image = Disk(product.iso("5.1"), Bus.VIRTIO, serial="IMAGE")
    with start(VmSpec(Firmware.UEFI, (engine_disk(disk), image), 1024, 2)) as machine:
        walk.engine_ready(machine.serial, machine.deadline(90))
        demo.log_in(machine, PASSWORD)
        assert json.loads(demo.shell(machine, "engine-update status --json"))["state"] == ""
        demo.shell(machine, "engine-update install --progress none /dev/vda >/run/out 2>&1", seconds=240)
        status = json.loads(demo.shell(machine, "engine-update status --json"))
        assert (status["state"], status["from"], status["to"]) == ("installed", "5.0", "5.1")
        machine.serial.send("reboot\r")
        ready = walk.engine_ready(machine.serial, machine.deadline(120))
        assert (ready["version"], ready["slot"], ready["why"]) == ("5.1", "b", "try")
        demo.log_in(machine, PASSWORD)
        assert json.loads(demo.shell(machine, "engine-update status --json"))["state"] == ""
        demo.shell(machine, "engine-update rollback")
        machine.serial.send("reboot\r")
        ready = walk.engine_ready(machine.serial, machine.deadline(120))
        assert (ready["version"], ready["slot"]) == ("5.0", "a")


def test_a_stick_is_told_that_the_upgrade_did_not_hold(product, start, copy, tmp_path: Path) -> None:
    disk, stick = copy(product.installed("5.0")), copy(product.stick("5.1"))
    mediakit("install", product.iso("5.1"), disk, "--action", "upgrade", "--yes")
    for _ in range(3):
        with start(VmSpec(Firmware.UEFI, (engine_disk(disk),), 1024, 2)) as machine:
            machine.serial.expect(r"starting slot b[\s\S]*\(try", machine.deadline(30))
            machine.crash()
    plugged = Disk(stick, Bus.USB, serial="STICK")
    with start(
        VmSpec(Firmware.UEFI, (engine_disk(disk), plugged), 1024, 2, serial_number="FELL1")
    ) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert ready["fell_back_from"] == "b"
        demo.log_in(machine, PASSWORD)
        told = "for n in $(seq 60); do [ -e /engine/state/logs/fell-back.json ] && break; sleep 1; done"
        demo.shell(machine, f"{told}; cat /engine/state/logs/fell-back.json; sync", seconds=120)
        machine.serial.send("poweroff\r")
        machine.wait_exit(machine.deadline(60))
    report = json.loads(mediakit("reports", stick, "--json"))["reports"][0]
    assert (report["result"], report["machine"]["serial"]) == ("fell_back", "FELL1")
    assert "5.1 did not call itself good" in report["reason"]


def without_vm_store(disk: Path) -> Path:
    """The same disk; nothing can mount its VM store any more."""
    offset, _ = vm_store(disk)
    with disk.open("r+b") as file:
        file.seek(offset + 1024)  # ext4's superblock
        file.write(bytes(1024))
    return disk


def test_a_degraded_engine_says_why_and_stays_up(product, start, copy) -> None:
    disk = without_vm_store(copy(product.installed("5.0")))
    with start(VmSpec(Firmware.UEFI, (engine_disk(disk),), 1024, 2, stops_on_reboot=True)) as machine:
        found = walk.engine_ready(machine.serial, machine.deadline(90), word="DEGRADED")
        assert "The VM store is not mounted." in found["why_not"]
        machine.serial.expect("engine-vm login:", machine.deadline(60))


def test_a_degraded_trial_restarts_by_itself_and_the_old_engine_comes_back(product, start, copy) -> None:
    disk = copy(product.installed("5.0"))
    mediakit("install", product.iso("5.1"), disk, "--action", "upgrade", "--yes")
    without_vm_store(disk)
    with start(VmSpec(Firmware.UEFI, (engine_disk(disk),), 1024, 2)) as machine:
        for _ in range(3):
            found = walk.engine_ready(machine.serial, machine.deadline(120), word="DEGRADED")
            assert (found["version"], found["why"]) == ("5.1", "try")
        found = walk.engine_ready(machine.serial, machine.deadline(120), word="DEGRADED")
        assert (found["version"], found["fell_back_from"]) == ("5.0", "b")
