"""Remove and reinstall: with and without the VM store, and what a cut in the middle leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediakit.block.target import Target, open_target
from mediakit.engine.manifest import SYSTEM_PATH
from mediakit.errors import RefusedError, TrustError
from mediakit.formats import gpt, mbr
from mediakit.install import bootenv, journal, windows
from mediakit.install.choice import Choice, Settings
from mediakit.install.detect import detect
from mediakit.install.execute import execute
from mediakit.install.fresh import Fresh
from mediakit.install.machine import DetectedEngine, Interrupted
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
        found = detect([installed], image)
        (engine,) = found.disks[0].engines
        assert engine.state == "damaged"
        assert [o.action for o in engine.offers if o.allowed] == ["reinstall"]
        assert "overlap" in engine.offer("upgrade").reason
        choice = Choice(action, str(installed), keep_vms=action == "reinstall", wipe="disk.img")
        with pytest.raises(RefusedError, match="overlap"):
            execute(make_plan(found, choice, image), image)
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


STEPS = ("check", "clear", "table", "make_esp", "slot", "verify", "state", "whole", "boot")


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
    assert can_boot(installed) is (step == "check")
    if keep_vms or step == "check":
        assert hash_of(installed, "engine-vms") == before
    if step in STEPS[STEPS.index("make_esp") :]:
        assert engine_on(installed).state == "interrupted"
    found = detect([installed]).disks[0]
    if found.engines:
        reinstall(installed, medium_51, keep_vms=keep_vms)
        assert can_boot(installed) and engine_on(installed).version == "5.1"


def resize(disk: Path, name: str, size_bytes: int) -> None:
    """Let partition ``name`` end early, in a table whose checksums are right."""
    with open_target(disk) as target:
        state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
        assert state.primary and state.backup
        for side in (state.backup, state.primary):
            changed = tuple(
                replace(p, end_lba=p.start_lba + size_bytes // 512 - 1) if p.name == name else p
                for p in side.partitions
            )
            built = replace(side, partitions=changed).build(target.sector_bytes)
            target.write(built.array_offset, built.array)
            target.write(built.header_offset, built.header)


TOO_SMALL = [
    ("engine-esp", 1 << 20, "boot partition"),
    ("engine-bios", 4096, "engine-bios"),
    ("engine-a", 512, "slots"),
    ("engine-b", 512, "slots"),
    ("engine-state", 1 << 20, "new state needs"),
]


@pytest.mark.parametrize(("name", "size_bytes", "says"), TOO_SMALL)
def test_too_little_room_beside_kept_vms_is_refused_by_the_plan(
    installed: Path, medium_51: Path, name: str, size_bytes: int, says: str
) -> None:
    resize(installed, name, size_bytes)
    before = fakes.digest(installed, 0, installed.stat().st_size)
    with fakes.open_medium(medium_51) as image:
        found = detect([installed], image)
        choice = Choice("reinstall", str(installed), keep_vms=True, wipe="disk.img")
        with pytest.raises(RefusedError, match=says) as refused:
            make_plan(found, choice, image)
        assert any(unit in refused.value.message for unit in ("iB", "bytes")) and refused.value.hint
        engine = replace(found.disks[0].engines[0], room=None)  # an older recording does not tell
        older = replace(found, disks=(replace(found.disks[0], engines=(engine,)),))
        with pytest.raises(RefusedError, match=says):
            execute(make_plan(older, choice, image), image)
    assert fakes.digest(installed, 0, installed.stat().st_size) == before


def test_a_damaged_medium_is_found_while_the_old_engine_still_starts(installed: Path, tmp_path: Path) -> None:
    folder = fakes.make_medium(tmp_path / "medium", "5.1", 5100)
    system = folder / SYSTEM_PATH.lstrip("/")
    data = bytearray(system.read_bytes())
    data[-1] ^= 1
    system.write_bytes(bytes(data))
    before = fakes.digest(installed, 0, installed.stat().st_size)
    for keep_vms in (True, False):
        with pytest.raises(TrustError):
            reinstall(installed, folder, keep_vms=keep_vms)
    assert fakes.digest(installed, 0, installed.stat().st_size) == before


@pytest.mark.parametrize("keep_vms", [True, False])
@pytest.mark.parametrize("step", ["make_esp", "slot", "state", "whole"])
def test_continue_does_what_was_chosen_then_and_asks_for_no_new_confirmation(
    installed: Path, medium_51: Path, step: str, keep_vms: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old = hash_of(installed, "engine-vms"), engine_on(installed)
    original = getattr(Fresh, step)

    def cut(self: Fresh) -> None:
        original(self)
        raise PlugPulled

    with monkeypatch.context() as patched:
        patched.setattr(Fresh, step, cut)
        with pytest.raises(PlugPulled):
            reinstall(installed, medium_51, keep_vms=keep_vms)
    begun = engine_on(installed).interrupted
    assert begun == Interrupted("reinstall", keep_vms, "5.1", 5100, old.install_id)
    with fakes.open_medium(medium_51) as image:
        plan = make_plan(detect([installed], image), Choice("continue", str(installed)), image)
        assert (plan.action, plan.keep_vms) == ("reinstall", keep_vms)
        execute(plan, image)
    assert can_boot(installed) and engine_on(installed).interrupted is None
    if keep_vms:
        assert hash_of(installed, "engine-vms") == before


def test_the_same_action_again_continues_but_kept_vms_are_not_dropped_by_it(
    installed: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Fresh) -> None:
        raise PlugPulled

    old = engine_on(installed)
    with monkeypatch.context() as patched:
        patched.setattr(Fresh, "verify", cut)
        with pytest.raises(PlugPulled):
            reinstall(installed, medium_51, keep_vms=True)
    with pytest.raises(RefusedError, match="holds"):
        reinstall(installed, medium_51, keep_vms=False, wipe="")
    reinstall(installed, medium_51, keep_vms=True, wipe=old.install_id)
    assert can_boot(installed)


def test_a_fresh_install_that_was_cut_goes_on_by_the_same_answers(
    tmp_path: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = fakes.sparse_disk(tmp_path / "new.img")

    def fresh() -> None:
        with fakes.open_medium(medium_51) as image:
            execute(make_plan(detect([disk], image), Choice("fresh", str(disk)), image), image)

    for step in ("clear", "table", "make_esp", "slot", "vms", "whole"):
        original = getattr(Fresh, step)

        def cut(self: Fresh, original=original) -> None:  # type: ignore[no-untyped-def]
            original(self)
            raise PlugPulled

        with monkeypatch.context() as patched:
            patched.setattr(Fresh, step, cut)
            with pytest.raises(PlugPulled):
                fresh()
        assert not can_boot(disk)
    fresh()
    assert can_boot(disk)


def test_an_engine_that_has_run_is_never_said_to_be_half_installed(installed: Path) -> None:
    """UEFI starts it without the MBR's code; continuing then would erase what was made since."""
    with open_target(installed) as target:
        esp, state = (windows.partitions(target)[name][1] for name in ("engine-esp", "engine-state"))
        book = journal.Journal.locate(target, esp.start, esp.size_bytes)
        last = book.used_records() - 1
        target.zero(book._place + journal.PLAN_BYTES + last * 512, 512)
        target.zero(0, mbr.BOOT_CODE_BYTES)
    assert engine_on(installed).interrupted == Interrupted("fresh", False, "5.0", 5000, "")
    with open_target(installed) as target:
        target.write(state.start + 1024 + 0x88, b"/engine/state\0")
    assert engine_on(installed).interrupted is None


@pytest.mark.parametrize("used", [True, False])
def test_a_store_that_was_used_since_is_never_made_anew_by_going_on(installed: Path, used: bool) -> None:
    """The journal still says that a fresh install is under way; the VM store was mounted meanwhile."""
    with open_target(installed) as target:
        found = {name: place for name, (_, place) in windows.partitions(target).items()}
        esp, store = found["engine-esp"], found["engine-vms"]
        book = journal.Journal.locate(target, esp.start, esp.size_bytes)
        bootenv.update(target, esp.start, esp_size=esp.size_bytes, whole_a="0")
        for record in range(book.used_records() - 4, book.used_records()):
            target.zero(book._place + journal.PLAN_BYTES + record * 512, 512)
        target.zero(0, mbr.BOOT_CODE_BYTES)
        if used:
            target.write(store.start + 1024 + 0x88, b"/engine/vms\0")
    engine = engine_on(installed)
    assert (engine.interrupted is None) is used


@pytest.mark.parametrize("writes", [1, 2, 4, 7, 12, 20, 33])
def test_a_cut_after_any_write_leaves_the_old_engine_or_one_that_the_medium_goes_on_with(
    installed: Path, medium_51: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a step too: half a boot partition, half a slot."""
    before, left = hash_of(installed, "engine-vms"), [writes]

    def counted(original: Callable[..., None]) -> Callable[..., None]:
        def act(*words: Any) -> None:
            if left[0] == 0:
                raise PlugPulled
            left[0] -= 1
            original(*words)

        return act

    with monkeypatch.context() as patched:
        for name in ("write", "zero"):
            patched.setattr(Target, name, counted(getattr(Target, name)))
        with pytest.raises(PlugPulled):
            reinstall(installed, medium_51, keep_vms=True)
    assert hash_of(installed, "engine-vms") == before
    with fakes.open_medium(medium_51) as image:
        disk = detect([installed], image).disks[0]
    (engine,) = disk.engines
    assert engine.offer("reinstall").allowed
    assert not can_boot(installed) or engine.state != "damaged"
    reinstall(installed, medium_51, keep_vms=True)
    assert can_boot(installed) and engine_on(installed).version == "5.1"
    assert hash_of(installed, "engine-vms") == before
