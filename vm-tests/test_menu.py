"""Screen 1's other entries do what they say, and the medium finds itself where others would put it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import engine_disk, fat_stick, multiboot_stick

from mediakit.reference import walk
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec

SCREEN_TWO = r"Screen 2[\s\S]*Welcome[\s\S]*Enter:"


def spec(product, firmware: Firmware = Firmware.UEFI, *more: Disk) -> VmSpec:
    stick = Disk(product.stick("5.0"), Bus.USB, serial="MEDIUM", boot=0, snapshot=True)
    return VmSpec(firmware, (stick, *more), 1024, 2)


def choose(machine, entry: str) -> None:
    walk.choose_entry(machine.serial, entry, machine.deadline(60))


def test_check_this_medium_says_that_it_is_whole(product, start) -> None:
    with start(spec(product)) as machine:
        choose(machine, "Check this medium")
        machine.wait_screen("RESULT: this medium is whole", machine.deadline(120))


def test_check_this_medium_says_that_it_is_damaged(product, start, copy) -> None:
    stick = copy(product.stick("5.0"))
    with stick.open("r+b") as file:
        file.seek(80 << 20)
        byte = file.read(1)
        file.seek(80 << 20)
        file.write(bytes([byte[0] ^ 1]))
    with start(VmSpec(Firmware.UEFI, (Disk(stick, Bus.USB, serial="MEDIUM", boot=0),), 1024, 2)) as machine:
        choose(machine, "Check this medium")
        machine.wait_screen("RESULT: this medium is damaged", machine.deadline(120))


def test_the_rescue_shell_is_root_and_finds_the_installer(product, start) -> None:
    with start(spec(product)) as machine:
        choose(machine, "Rescue shell")
        machine.wait_screen("root shell on tty1", machine.deadline(90))
        machine.wait_screen(r"# ?$|#\s*\n", machine.deadline(30))
        machine.type("id -u; mediakit devices")
        machine.press("enter")
        machine.wait_screen(r"\n\s*0\s*\n[\s\S]*MEDIUM", machine.deadline(60))


def test_safe_graphics_shows_the_screens(product, start) -> None:
    with start(spec(product, Firmware.BIOS)) as machine:
        choose(machine, "safe graphics")
        machine.wait_screen(SCREEN_TWO, machine.deadline(90))


def test_the_serial_entry_shows_the_screens_on_serial(product, start) -> None:
    with start(spec(product, Firmware.BIOS)) as machine:
        choose(machine, "serial console")
        machine.serial.wait_screen(SCREEN_TWO, machine.deadline(90))


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI], ids=str)
def test_the_local_disk_is_started_from_the_stick(product, start, overlay, firmware: Firmware) -> None:
    disk = engine_disk(overlay(product.installed()), boot=1)
    with start(spec(product, firmware, disk)) as machine:
        choose(machine, "Boot from the local disk")
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert ready["version"] == "5.0"


def test_the_enrolment_entry_starts_the_key_manager(product, start) -> None:
    with start(spec(product, Firmware.SECURE_BOOT)) as machine:
        choose(machine, "Enrol the Engine key")
        machine.serial.wait_screen("Press any key to perform MOK management", machine.deadline(60))


def test_files_copied_onto_a_fat32_stick_start_by_uefi(product, start, tmp_path: Path) -> None:
    stick = fat_stick(product.iso("5.0"), tmp_path / "fat.img")
    with start(VmSpec(Firmware.UEFI, (Disk(stick, Bus.USB, serial="COPIED", boot=0),), 1024, 2)) as machine:
        walk.choose_install(machine.serial, machine.deadline(60))
        machine.wait_screen(SCREEN_TWO, machine.deadline(90))


def test_another_loader_starts_it_from_the_iso_file(product, start, tmp_path: Path) -> None:
    stick = multiboot_stick(product.iso("5.0"), tmp_path / "multi.img")
    with start(VmSpec(Firmware.UEFI, (Disk(stick, Bus.USB, serial="MULTI", boot=0),), 1024, 2)) as machine:
        walk.choose_install(machine.serial, machine.deadline(60))
        machine.wait_screen(SCREEN_TWO, machine.deadline(90))
