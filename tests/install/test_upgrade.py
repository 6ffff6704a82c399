"""An upgrade 5.0 → 5.1 on a file: what changes, what does not, and what a cut at every step leaves."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.target import open_target
from mediakit.engine.manifest import SYSTEM_PATH
from mediakit.errors import RefusedError, TrustError
from mediakit.install import bootenv, filesystems, journal, room, windows
from mediakit.install.choice import Choice
from mediakit.install.detect import detect
from mediakit.install.execute import Result, execute, run_upgrade
from mediakit.install.machine import DetectedEngine, Detection, Interrupted
from mediakit.install.plan import make_plan
from mediakit.install.upgrade import Places, Upgrade, copy_state
from mediakit.progress import Cancel, ignore

from . import fakes

pytestmark = pytest.mark.root


def engine_on(disk: Path, medium: Path | None = None) -> DetectedEngine:
    if medium is None:
        return detect([disk]).disks[0].engines[0]
    with fakes.open_medium(medium) as image:
        return detect([disk], image).disks[0].engines[0]


def act(disk: Path, medium: Path, action: str = "upgrade", **more: object) -> Result:
    with fakes.open_medium(medium) as image:
        found = detect([disk], image)
        return execute(make_plan(found, Choice(action, str(disk), **more), image), image)  # type: ignore[arg-type]


def environment(disk: Path) -> dict[str, str]:
    with open_target(disk, writable=False) as target:
        esp = windows.partitions(target)["engine-esp"][1]
        return bootenv.read(esp.reader, 0, esp.size_bytes)


def window(disk: Path, name: str) -> tuple[int, int]:
    with open_target(disk, writable=False) as target:
        found = windows.partitions(target)[name][1]
        return found.start, found.size_bytes


def hash_of(disk: Path, name: str) -> str:
    return fakes.digest(disk, *window(disk, name))


def set_environment(disk: Path, **changes: str) -> None:
    with open_target(disk) as target:
        bootenv.update(target, windows.partitions(target)["engine-esp"][1].start, **changes)


def test_an_upgrade_writes_the_other_slot_and_tries_it(installed: Path, medium_51: Path) -> None:
    kept = {name: hash_of(installed, name) for name in ("engine-a", "engine-vms", "engine-bios")}
    assert act(installed, medium_51).result == "done"
    assert kept == {name: hash_of(installed, name) for name in kept}
    assert environment(installed) == {
        "good": "a", "try": "b", "tries": "3", "engine_a": "gpt3", "engine_b": "gpt4",
        "whole_a": "1", "whole_b": "1", "booting": "", "mode": "normal",
    }  # fmt: skip
    system = (medium_51 / SYSTEM_PATH.lstrip("/")).read_bytes()
    start, _ = window(installed, "engine-b")
    with installed.open("rb") as file:
        file.seek(start)
        assert file.read(len(system)) == system
    engine = engine_on(installed)
    assert engine.state == "trial"
    assert [(s.name, s.version, s.state) for s in engine.slots] == [
        ("a", "5.0", "good"),
        ("b", "5.1", "trial"),
    ]


def test_the_settings_are_copied_and_the_file_system_stays_clean(
    installed: Path, medium_51: Path, tmp_path: Path
) -> None:
    act(installed, medium_51)
    start, size = window(installed, "engine-state")
    image = tmp_path / "state.img"
    run.run(["dd", f"if={installed}", f"of={image}", "bs=1M", f"skip={start >> 20}", f"count={size >> 20}", "conv=sparse"], timeout=60)  # fmt: skip
    run.run(["e2fsck", "-f", "-n", str(image)], timeout=60)
    shown = run.run(["debugfs", "-R", "cat /slots/b/state.json", str(image)], timeout=30)
    assert json.loads(shown.stdout)["host_name"] == "lab-7"
    listed = run.run(["debugfs", "-R", "ls -p /slots", str(image)], timeout=30).text
    assert ".b.new" not in listed and ".b.old" not in listed


def test_on_the_boot_partition_only_the_boot_choice_and_the_journal_change(
    installed: Path, medium_51: Path
) -> None:
    start, size = window(installed, "engine-esp")
    before = installed.read_bytes()[start : start + 64 << 20] if False else _read(installed, start, size)
    act(installed, medium_51)
    after = _read(installed, start, size)
    with open_target(installed, writable=False) as target:
        esp = windows.partitions(target)["engine-esp"][1]
        place = bootenv.locate(esp.reader, 0, esp.size_bytes)
    book = before.find(b"ENGPLAN1")
    allowed = {place // 512} | set(range(book // 512, (book + journal.SIZE_BYTES) // 512))
    changed = {
        n for n in range(size // 512) if before[n * 512 : n * 512 + 512] != after[n * 512 : n * 512 + 512]
    }
    assert changed and changed <= allowed


def _read(disk: Path, start: int, size: int) -> bytes:
    with disk.open("rb") as file:
        file.seek(start)
        return file.read(size)


def test_the_next_upgrade_goes_into_the_slot_that_is_not_good(
    installed: Path, medium_51: Path, medium_50: Path
) -> None:
    act(installed, medium_51)
    set_environment(installed, good="b", try_="", tries="0")
    assert engine_on(installed).version == "5.1"
    offer = engine_on(installed, medium_50).offer("upgrade")
    assert not offer.allowed and "older" in offer.reason and offer.way_forward


def test_the_same_version_again_is_already_there(installed: Path, medium_50: Path) -> None:
    before = environment(installed)
    assert act(installed, medium_50).result == "already"
    assert environment(installed) == before


def test_a_rollback_is_a_trial_of_the_other_slot(installed: Path, medium_51: Path) -> None:
    act(installed, medium_51)
    set_environment(installed, good="b", try_="", tries="0")
    found = detect([installed])
    result = execute(make_plan(found, Choice("rollback", str(installed)), None), None)
    assert result.result == "done"
    now = environment(installed)
    assert (now["good"], now["try"], now["tries"]) == ("b", "a", "3")


def test_a_repair_writes_the_same_version_into_the_other_slot(installed: Path, medium_50: Path) -> None:
    assert act(installed, medium_50, "repair").result == "done"
    assert environment(installed)["try"] == "b"
    assert engine_on(installed).slots[1].version == "5.0"


class PlugPulled(Exception):
    pass


STEPS = ("unmark", "slot", "verify", "state", "whole", "try_")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_cut_at_any_step_leaves_the_old_engine_and_the_next_run_continues(
    installed: Path, medium_51: Path, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(Upgrade, step)

    def cut(self: Upgrade) -> None:
        if when == "after":
            original(self)
        raise PlugPulled

    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, step, cut)
        with pytest.raises(PlugPulled):
            act(installed, medium_51)
    now = environment(installed)
    assert now["good"] == "a" and now["whole_a"] == "1"
    assert now["try"] == ("b" if (step, when) == ("try_", "after") else "")
    engine = engine_on(installed, medium_51)
    if (step, when) == ("try_", "after"):
        assert engine.state == "trial"
        return
    assert engine.state == "interrupted"
    assert engine.interrupted == Interrupted("upgrade", False, "5.1", 5100, engine.install_id)
    assert engine.offer("continue").allowed and engine.offer("rollback").allowed
    assert act(installed, medium_51, "continue").result == "done"
    assert environment(installed)["try"] == "b" and environment(installed)["whole_b"] == "1"
    assert engine_on(installed).state == "trial"


def test_settings_changed_between_cut_and_continuation_are_taken_along(
    installed: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Upgrade) -> None:
        raise PlugPulled

    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "whole", cut)
        with pytest.raises(PlugPulled):
            act(installed, medium_51)
    with open_target(installed) as target:
        state_window = windows.partitions(target)["engine-state"][1]
        with filesystems.mounted(state_window) as folder:
            (folder / "slots/a/ssh/changed-later").write_text("yes")
    assert act(installed, medium_51).result == "done"
    with open_target(installed) as target:
        state_window = windows.partitions(target)["engine-state"][1]
        with filesystems.mounted(state_window, read_only=True) as folder:
            assert (folder / "slots/b/ssh/changed-later").read_text() == "yes"


def test_a_slot_in_use_is_not_marked_as_broken(installed: Path, medium_51: Path) -> None:
    with fakes.open_medium(medium_51) as image:
        plan = make_plan(detect([installed], image), Choice("upgrade", str(installed)), image)
        with open_target(installed) as target:
            found = windows.partitions(target)
            slots = {"a": found["engine-a"][1]}  # what a running Engine has when b is the one it runs from
            work = Upgrade(Places(found["engine-esp"][1], slots, None), plan, image, ignore, Cancel())
            esp = fakes.digest(installed, found["engine-esp"][1].start, found["engine-esp"][1].size_bytes)
            with pytest.raises(RefusedError, match="runs from"):
                run_upgrade(work)
    assert hash_of(installed, "engine-esp") == esp


def test_an_interrupted_upgrade_can_be_taken_back(
    installed: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Upgrade) -> None:
        raise PlugPulled

    with monkeypatch.context() as patched:
        patched.setattr(Upgrade, "state", cut)
        with pytest.raises(PlugPulled):
            act(installed, medium_51)
    found = detect([installed])
    execute(make_plan(found, Choice("rollback", str(installed)), None), None)
    engine = engine_on(installed)
    assert engine.state in ("ok", "never_booted") and environment(installed)["try"] == ""


def test_a_forged_system_image_is_refused_and_the_old_engine_stays(installed: Path, tmp_path: Path) -> None:
    folder = fakes.make_medium(tmp_path / "medium", "5.1", 5100)
    system = folder / SYSTEM_PATH.lstrip("/")
    data = bytearray(system.read_bytes())
    data[len(data) // 2] ^= 1
    system.write_bytes(bytes(data))
    with pytest.raises(TrustError, match=r"system\.squashfs"):
        act(installed, folder)
    now = environment(installed)
    assert now["try"] == "" and now["whole_b"] == "0" and now["good"] == "a"


@pytest.mark.parametrize("signed", ["no", "other data"])
def test_an_upgrade_without_a_good_signature_writes_nothing(
    installed: Path, tmp_path: Path, signed: str
) -> None:
    folder = fakes.make_medium(tmp_path / "medium", "5.1", 5100, signed=False)
    if signed == "other data":
        with fakes.open_medium(fakes.make_medium(tmp_path / "other", "5.1", 5101)) as image:
            (folder / "engine/manifest.json.minisig").write_text(str(image.signature_text))
    before = hash_of(installed, "engine-esp")
    with pytest.raises(TrustError):
        act(installed, folder)
    assert hash_of(installed, "engine-esp") == before


def test_a_disk_that_was_changed_since_it_was_confirmed_is_refused(installed: Path, medium_51: Path) -> None:
    with fakes.open_medium(medium_51) as image:
        plan = make_plan(detect([installed], image), Choice("upgrade", str(installed)), image)
        assert plan.device is not None and plan.device.number
        before = hash_of(installed, "engine-esp")
        for words in (
            {"size_bytes": 1},
            {"serial": "X"},
            {"diskseq": 9},
            {"sysfs_path": "/x"},
            {"number": "8:0"},
        ):
            other = replace(plan, device=replace(plan.device, **words))
            with pytest.raises(RefusedError, match="not the disk that was confirmed"):
                execute(other, image)
        with pytest.raises(RefusedError, match="recorded machine"):
            execute(replace(plan, device=None), image)
        twin = installed.with_name("twin")
        # same size, same contents, no serial: and yet another disk
        run.run(["cp", "--sparse=always", str(installed), str(twin)], timeout=60)
        installed.rename(installed.with_name("pulled out"))
        twin.rename(installed)
        with pytest.raises(RefusedError, match="not the disk that was confirmed"):
            execute(plan, image)
        assert hash_of(installed, "engine-esp") == before


@pytest.mark.parametrize("good", ["a", "b"])
def test_the_only_whole_system_is_never_written_over(installed: Path, medium_51: Path, good: str) -> None:
    act(installed, medium_51)
    set_environment(installed, good=good, try_="", tries="0")
    start, _ = window(installed, f"engine-{good}")
    with open_target(installed) as target:
        target.zero(start, 4096)
    other = "b" if good == "a" else "a"
    found = engine_on(installed, medium_51)
    assert not found.offer("repair").allowed and not found.offer("upgrade").allowed
    assert found.offer("rollback").allowed
    for action in ("upgrade", "repair"):
        with pytest.raises(RefusedError):
            act(installed, medium_51, action)
    plan = make_plan(detect([installed]), Choice("rollback", str(installed)), None)
    assert plan.slot == other


def test_a_copy_of_the_settings_that_fails_leaves_nothing_behind(tmp_path: Path, medium_51: Path) -> None:
    settings = tmp_path / "a"
    settings.mkdir()
    (settings / "state.json").write_text("{ no JSON")
    with fakes.open_medium(medium_51) as image, pytest.raises(ValueError):
        copy_state(tmp_path, "a", "b", image)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def fill_state(disk: Path, leave_bytes: int) -> None:
    """Logs until only so much of the state partition is free."""
    with open_target(disk) as target:
        state = windows.partitions(target)["engine-state"][1]
        with filesystems.mounted(state) as folder:
            found = os.statvfs(folder)
            with (folder / "logs" / "engine.log").open("wb") as log:
                os.posix_fallocate(
                    log.fileno(),
                    0,
                    room.usable_bytes(found.f_bfree, found.f_blocks, found.f_frsize) - leave_bytes,
                )


def test_a_full_state_partition_is_refused_with_numbers_and_a_way_out(
    installed: Path, medium_51: Path
) -> None:
    fill_state(installed, 100 * 1024)
    before = fakes.digest(installed, 0, fakes.DISK_BYTES)
    offer = engine_on(installed, medium_51).offer("upgrade")
    assert not offer.allowed and "free" in offer.reason and "KiB" in offer.reason
    assert "/engine/state/logs" in offer.way_forward
    with pytest.raises(RefusedError, match="state partition"):
        act(installed, medium_51)
    assert fakes.digest(installed, 0, fakes.DISK_BYTES) == before
    assert engine_on(installed, medium_51).offer("reinstall").allowed


def test_what_fits_is_not_refused(installed: Path, medium_51: Path) -> None:
    fill_state(installed, 600 * 1024)
    assert act(installed, medium_51).result == "done"


def test_an_older_recording_without_room_and_interruption_still_loads(
    installed: Path, medium_51: Path
) -> None:
    with fakes.open_medium(medium_51) as image:
        document = detect([installed], image).to_json()
        for key in ("room", "interrupted"):
            del document["disks"][0]["engines"][0][key]
        older = Detection.loads(json.dumps(document))
        assert make_plan(older, Choice("upgrade", str(installed)), image).steps
        with pytest.raises(RefusedError):
            make_plan(older, Choice("continue", str(installed)), image)


@pytest.mark.parametrize(
    ("name", "offset", "says"), [("engine-esp", 0, "boot choice"), ("engine-state", 1024, "settings")]
)
def test_an_engine_whose_settings_or_boot_choice_are_lost_is_not_begun_with(
    installed: Path, medium_51: Path, name: str, offset: int, says: str
) -> None:
    """It would stop midway, with the other slot written over."""
    with open_target(installed) as target:
        windows.partitions(target)[name][1].zero(offset, 65536)
    before = fakes.digest(installed, 0, fakes.DISK_BYTES)
    engine = engine_on(installed, medium_51)
    offer = engine.offer("upgrade")
    assert not offer.allowed and offer.way_forward
    assert says in offer.reason or "which version" in offer.reason
    with pytest.raises(RefusedError):
        act(installed, medium_51)
    assert fakes.digest(installed, 0, fakes.DISK_BYTES) == before
    assert engine.offer("reinstall").allowed
