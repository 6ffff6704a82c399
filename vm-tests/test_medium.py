"""The medium starts by every route and shows screen 2, on the screen and on the serial line."""

from __future__ import annotations

import pytest

from mediakit.reference import walk
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec

ROUTES = [(f, b) for f in (Firmware.BIOS, Firmware.UEFI) for b in (Bus.CD, Bus.USB)]

SCREEN_TWO = r"Screen 2[\s\S]*Welcome[\s\S]*English[\s\S]*Español[\s\S]*Enter:"


def medium(product, bus: Bus, version: str = "5.0") -> Disk:
    file = product.iso(version) if bus is Bus.CD else product.stick(version)
    return Disk(file, bus, serial="MEDIUM", boot=0, snapshot=bus is Bus.USB)


@pytest.mark.core
@pytest.mark.parametrize(("firmware", "bus"), ROUTES, ids=str)
def test_the_medium_shows_screen_two(product, start, firmware: Firmware, bus: Bus) -> None:
    with start(VmSpec(firmware, (medium(product, bus),), ram_mib=1024, cpus=2)) as machine:
        walk.choose_install(machine.serial, machine.deadline(30))
        machine.wait_screen(SCREEN_TWO, machine.deadline(60))
        machine.serial.wait_screen("Screen 2", machine.deadline(20))
        machine.press("down")
        machine.wait_screen("Bienvenid", machine.deadline(10))


@pytest.mark.core
def test_the_medium_starts_with_secure_boot(product, start) -> None:
    spec = VmSpec(Firmware.SECURE_BOOT, (medium(product, Bus.USB),), ram_mib=1024, cpus=2)
    with start(spec) as machine:
        walk.choose_install(machine.serial, machine.deadline(30))
        machine.wait_screen(SCREEN_TWO, machine.deadline(60))
