"""Upgrades: VMs untouched, the old Engine comes back when the new one never calls itself good, plugs pulled."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import engine_disk, mediakit, vm_store_sha256

from mediakit.reference import walk
from mediakit.vm.spec import Firmware, VmSpec


@pytest.fixture
def upgraded(product, copy) -> Path:
    """A disk with 5.0 in slot a and 5.1, on trial, in slot b."""
    disk = copy(product.installed("5.0"))
    before = vm_store_sha256(disk)
    mediakit("install", product.iso("5.1"), disk, "--action", "upgrade", "--yes")
    assert vm_store_sha256(disk) == before
    return disk


def uefi(disk: Path) -> VmSpec:
    return VmSpec(Firmware.UEFI, (engine_disk(disk),), 1024, 2)


@pytest.mark.core
def test_an_upgrade_starts_on_trial_and_then_is_good(upgraded: Path, start) -> None:
    with start(uefi(upgraded)) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert (ready["version"], ready["slot"], ready["why"]) == ("5.1", "b", "try")
        # The plug is pulled right after ENGINE-READY: good is marked or not, the next start is an Engine.
        machine.crash()
    with start(uefi(upgraded)) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert ready["version"] == "5.1" and ready["why"] in ("try", "good")


@pytest.mark.core
def test_a_system_that_never_calls_itself_good_gives_way_to_the_old_one(upgraded: Path, start) -> None:
    for _ in range(3):
        with start(uefi(upgraded)) as machine:
            machine.serial.expect(r"starting slot b[\s\S]*\(try", machine.deadline(30))
            machine.crash()
    with start(uefi(upgraded)) as machine:
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        assert (ready["version"], ready["slot"]) == ("5.0", "a")
        assert ready["fell_back_from"]
