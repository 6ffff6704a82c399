"""Remove and reinstall: with and without the VM store, and what a cut in the middle leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mediakit.block.target import open_target
from mediakit.errors import RefusedError
from mediakit.formats import gpt, mbr
from mediakit.install import windows
from mediakit.install.choice import Choice, Settings
from mediakit.install.detect import detect
from mediakit.install.execute import execute
from mediakit.install.fresh import Fresh
from mediakit.install.machine import DetectedEngine
from mediakit.install.plan import make_plan

from . import fakes


def hash_of(disk: Path, name: str) -> str:
    with open_target(disk, writable=False) as target:
        found = windows.partitions(target)[name][1]
        return fakes.digest(disk, found.start, found.size_bytes)


def reinstall(disk: Path, medium: Path, *, keep_vms: bool = False, wipe: str = "disk.img") -> str:
    with fakes.open_medium(medium) as image:
        found = detect([disk], image)
        choice = Choice(
            "reinstall", str(disk), keep_vms=keep_vms, wipe=wipe, settings=Settings(host_name="new")
        )
        return execute(make_plan(found, choice, image), image).install_id


def engine_on(disk: Path) -> DetectedEngine:
    return detect([disk]).disks[0].engines[0]


def can_boot(disk: Path) -> bool:
    """Whether BIOS code or a UEFI loader can be found: what law 4 forbids before the end."""
    from mediakit.formats.fat import Fat

    with open_target(disk, writable=False) as target:
        sector = target.read(0, 512)
        if mbr.has_signature(sector) and mbr.parse(sector).has_boot_code:
            return True
        try:
            esp = windows.partitions(target)["engine-esp"][1]
            return bool(Fat(esp.reader).read("/EFI/BOOT/BOOTX64.EFI"))
        except Exception:
            return False


def test_the_vm_store_is_kept_byte_for_byte_and_the_rest_is_new(installed: Path, medium_51: Path) -> None:
    before, old_id = hash_of(installed, "engine-vms"), engine_on(installed).install_id
    new_id = reinstall(installed, medium_51, keep_vms=True)
    engine = engine_on(installed)
    assert hash_of(installed, "engine-vms") == before
    assert engine.install_id == new_id != old_id
    assert (engine.version, engine.state) == ("5.1", "never_booted")
    assert can_boot(installed)


def test_vms_that_were_to_be_kept_are_never_destroyed_by_another_way(
    installed: Path, medium_51: Path
) -> None:
    with fakes.open_medium(medium_51) as image:
        choice = Choice("fresh", str(installed), keep_vms=True, wipe="disk.img")
        with pytest.raises(RefusedError, match="VMs were to be kept"):
            make_plan(detect([installed], image), choice, image)
        with open_target(installed) as target:  # the Engine cannot be recognised any more
            target.zero(512, 40 * 512)
            target.zero(target.size_bytes - 40 * 512, 40 * 512)
        assert not detect([installed], image).disks[0].engines
    with pytest.raises(RefusedError, match="VMs were to be kept"):
        reinstall(installed, medium_51, keep_vms=True)


def overlap(disk: Path, name: str) -> None:
    """Let partition ``name`` begin where the VM store begins, in a table whose checksums are right."""
    with open_target(disk) as target:
        state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
        assert state.primary and state.backup
        for side in (state.backup, state.primary):
            start = next(p.start_lba for p in side.partitions if p.name == "engine-vms")
            moved = tuple(
                replace(p, start_lba=start, end_lba=start + p.sectors - 1) if p.name == name else p
                for p in side.partitions
            )
            built = replace(side, partitions=moved).build(target.sector_bytes)
            target.write(built.array_offset, built.array)
            target.write(built.header_offset, built.header)


@pytest.mark.root
@pytest.mark.parametrize(("name", "action"), [("engine-b", "upgrade"), ("engine-a", "reinstall")])
def test_a_slot_that_overlaps_the_vm_store_is_not_written(
    installed: Path, medium_51: Path, name: str, action: str
) -> None:
    overlap(installed, name)
    before = fakes.digest(installed, 0, installed.stat().st_size)
    with fakes.open_medium(medium_51) as image:
        choice = Choice(action, str(installed), keep_vms=action == "reinstall", wipe="disk.img")
        plan = make_plan(detect([installed], image), choice, image)
        with pytest.raises(RefusedError, match="overlap"):
            execute(plan, image)
    assert fakes.digest(installed, 0, installed.stat().st_size) == before


def test_the_install_id_names_what_is_destroyed_as_well(installed: Path, medium_51: Path) -> None:
    reinstall(installed, medium_51, wipe=engine_on(installed).install_id)
    assert engine_on(installed).version == "5.1"


@pytest.mark.parametrize("wipe", ["", "other.img"])
def test_nothing_is_destroyed_that_was_not_named(installed: Path, medium_51: Path, wipe: str) -> None:
    before = hash_of(installed, "engine-esp")
    with pytest.raises(RefusedError, match=r"disk\.img"):
        reinstall(installed, medium_51, wipe=wipe)
    assert hash_of(installed, "engine-esp") == before


class PlugPulled(Exception):
    pass


STEPS = ("clear", "table", "make_esp", "slot", "verify", "state", "whole", "boot")


@pytest.mark.parametrize("keep_vms", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_a_cut_never_leaves_a_half_engine_that_boots_nor_loses_kept_vms(
    installed: Path, medium_51: Path, step: str, keep_vms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hash_of(installed, "engine-vms")
    original = getattr(Fresh, step)

    def cut(self: Fresh) -> None:
        if step != "boot":
            original(self)
        raise PlugPulled

    with monkeypatch.context() as patched:
        patched.setattr(Fresh, step, cut)
        with pytest.raises(PlugPulled):
            reinstall(installed, medium_51, keep_vms=keep_vms)
    assert not can_boot(installed)
    if keep_vms:
        assert hash_of(installed, "engine-vms") == before
    if step in STEPS[STEPS.index("make_esp") :]:
        assert engine_on(installed).state == "interrupted"
    found = detect([installed]).disks[0]
    if found.engines:
        reinstall(installed, medium_51, keep_vms=keep_vms)
        assert can_boot(installed) and engine_on(installed).version == "5.1"
