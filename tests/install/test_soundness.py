"""Disks that contradict themselves: found, said, offered nothing that would be refused, and never written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.target import open_target
from mediakit.errors import RefusedError
from mediakit.formats import gpt
from mediakit.install import bootenv, online, soundness, windows
from mediakit.install.choice import Choice
from mediakit.install.detect import detect
from mediakit.install.execute import execute
from mediakit.install.machine import DetectedEngine, Detection
from mediakit.install.online import Online
from mediakit.install.plan import make_plan
from mediakit.units import MIB

from . import fakes

Entries = tuple[gpt.GptPartition, ...]


def edit(disk: Path, change: Callable[[Entries], Entries]) -> None:
    """Both sides of the table anew, with right checksums."""
    with open_target(disk) as target:
        state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
        assert state.primary and state.backup
        for side in (state.backup, state.primary):
            built = replace(side, partitions=change(side.partitions)).build(target.sector_bytes)
            target.write(built.array_offset, built.array)
            target.write(built.header_offset, built.header)


def engine_and_findings(disk: Path, medium: Path) -> tuple[DetectedEngine, str]:
    with fakes.open_medium(medium) as image:
        (found,) = detect([disk], image).disks
    (engine,) = found.engines
    return engine, " ".join(finding.what for finding in found.findings)


def swap_slots(entries: Entries) -> Entries:
    names = {"engine-a": "engine-b", "engine-b": "engine-a"}
    return tuple(replace(p, name=names.get(p.name, p.name)) for p in entries)


def two_stores(entries: Entries) -> Entries:
    return tuple(replace(p, name="engine-vms") if p.name == "engine-b" else p for p in entries)


def overlap(entries: Entries) -> Entries:
    return tuple(replace(p, end_lba=p.end_lba + 2048) if p.name == "engine-b" else p for p in entries)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swap_slots, "The boot choice says that slot a is “gpt3”, but engine-a is partition 4."),
        (two_stores, "Several partitions of this disk are called engine-vms"),
        (overlap, "overlap"),
    ],
)
def test_a_table_that_contradicts_itself_is_damage_and_nothing_is_written(
    installed: Path, medium_51: Path, change: Callable[[Entries], Entries], words: str
) -> None:
    with fakes.open_medium(medium_51) as image:  # planned while all was well
        plans = [
            make_plan(detect([installed], image), Choice("upgrade", str(installed)), image),
        ]
    edit(installed, change)
    engine, findings = engine_and_findings(installed, medium_51)
    assert engine.state == "damaged"
    assert words in findings
    for action in ("upgrade", "repair", "rollback"):
        offer = engine.offer(action)
        assert not offer.allowed and words in offer.reason and offer.way_forward
    assert engine.offer("reinstall").allowed
    before = fakes.digest(installed, 0, installed.stat().st_size)
    with fakes.open_medium(medium_51) as image:
        for plan in plans:
            with pytest.raises(RefusedError):
                execute(plan, image)
        with pytest.raises(RefusedError):
            make_plan(detect([installed], image), Choice("upgrade", str(installed)), image)
    assert fakes.digest(installed, 0, installed.stat().st_size) == before


def test_a_table_of_which_only_the_backup_is_whole_is_not_trusted(installed: Path, medium_51: Path) -> None:
    with open_target(installed) as target:
        target.write(512, bytes(512))
    engine, findings = engine_and_findings(installed, medium_51)
    assert engine.state == "damaged" and "Only the backup" in findings
    assert [offer.action for offer in engine.offers if offer.allowed] == ["reinstall"]


def test_a_partition_behind_the_store_is_odd_and_harmless(installed: Path, medium_51: Path) -> None:
    def behind(entries: Entries) -> Entries:
        last = entries[-1]
        shorter = replace(last, end_lba=last.end_lba - 4096)
        start = shorter.end_lba + 1
        other = replace(last, index=9, name="mine", start_lba=start, end_lba=start + 2047)
        return (*entries[:-1], shorter, other)

    edit(installed, behind)
    engine, findings = engine_and_findings(installed, medium_51)
    assert "behind the VM store" in findings
    assert engine.offer("upgrade").allowed


def test_slot_b_may_be_unknown_only_while_the_old_system_is_good() -> None:
    numbers = {"a": 3, "b": 4}
    sound = bootenv.initial(3, 4)
    assert soundness.boot_choice(sound, numbers) is None
    assert soundness.boot_choice(sound, {"a": 3}) is None
    assert soundness.boot_choice(sound | {"engine_b": ""}, numbers) is not None
    assert soundness.boot_choice(sound | {"engine_b": "", "good": "old"}, numbers) is None
    assert soundness.boot_choice(sound | {"engine_a": "", "good": "old"}, numbers) is not None


def test_what_a_plan_is_held_to_is_in_no_document(installed: Path, medium_51: Path) -> None:
    with fakes.open_medium(medium_51) as image:
        found = detect([installed], image)
        plan = make_plan(found, Choice("upgrade", str(installed)), image)
        assert plan.device == found.disks[0].device and plan.device is not None
        for document in (found.to_json(), plan.to_json(), plan.to_journal()):
            assert plan.device.number not in str(document)
        document = found.to_json()
        document["disks"][0]["device"] = dataclasses.asdict(plan.device)
        recorded = Detection.from_json(document)
        assert recorded == found and recorded.disks[0].device is None
        offline = make_plan(recorded, Choice("upgrade", str(installed)), image)
        assert offline.id == plan.id
        with pytest.raises(RefusedError, match="recorded"):
            execute(offline, image)


def test_an_image_on_the_disk_it_would_replace_is_refused(
    tmp_path: Path, medium_50: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = fakes.sparse_disk(tmp_path / "disk.img")
    with fakes.open_medium(medium_50) as image:
        plan = make_plan(detect([disk], image), Choice("fresh", str(disk)), image)
        monkeypatch.setattr(image.source, "path", disk)
        with pytest.raises(RefusedError, match="itself"):
            execute(plan, image)
    assert fakes.digest(disk, 0, fakes.DISK_BYTES) == fakes.digest(
        fakes.sparse_disk(tmp_path / "empty"), 0, fakes.DISK_BYTES
    )


@pytest.mark.root
@pytest.mark.parametrize("shift", [0, 2048])
def test_a_running_engine_writes_only_partitions_that_are_where_its_table_says(
    installed: Path, tmp_path: Path, shift: int
) -> None:
    node = run.run(["losetup", "-f", "--show", str(installed)], timeout=20).text.strip()
    (tmp_path / "boot.json").write_text(
        f'{{"kind": "slot", "disk": "{node}", "esp": "{node}p1", "slot": "a"}}'
    )
    numbers: list[str] = []
    try:
        with open_target(node, writable=False) as target:
            found = windows.partitions(target)
        for name in ("engine-esp", "engine-b"):
            number, window = found[name]
            start = window.start // 512 + (shift if name == "engine-b" else 0)
            run.run(["addpart", node, str(number), str(start), str(window.size_bytes // 512)], timeout=20)
            numbers.append(str(number))
        running = Online(tmp_path / "boot.json", tmp_path)
        if shift:
            with pytest.raises(RefusedError, match="another size or place"):
                running._partitions()
        else:
            assert set(running._partitions()) == {"engine-esp", "engine-b"}
            with open_target(node) as target:
                bootenv.update(target, found["engine-esp"][1].start, esp_size=300 * MIB, engine_b="gpt5")
            with pytest.raises(RefusedError, match="slot b is “gpt5”"):
                running._partitions()
            assert online.partition_path(node, 4) == f"{node}p4"
    finally:
        for number in numbers:
            run.run(["delpart", node, number], timeout=20)
        run.run(["losetup", "-d", node], timeout=20)
