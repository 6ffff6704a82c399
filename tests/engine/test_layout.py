"""Layouts: aligned, gapless, inside the disk; sgdisk agrees that they fit."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import run
from mediakit.engine import layout
from mediakit.errors import RefusedError, UsageError
from mediakit.units import GIB, MIB

sectors = st.sampled_from(layout.SECTOR_SIZES)


@given(st.integers(0, 2 * GIB), st.integers(0, 1 << 42), sectors)
def test_layout_2_covers_the_disk_aligned_and_in_order(image: int, extra: int, sector: int) -> None:
    disk = layout.minimum_disk_bytes(image) + extra // sector * sector
    parts = layout.layout_2(disk, image, sector)
    assert [p.name for p in parts] == [
        "engine-esp",
        "engine-bios",
        "engine-a",
        "engine-b",
        "engine-state",
        "engine-vms",
    ]
    assert [p.index for p in parts] == [1, 2, 3, 4, 5, 6]
    assert parts[0].start_bytes == MIB
    for before, after in itertools.pairwise(parts):
        assert before.end_bytes == after.start_bytes
    assert all(p.start_bytes % MIB == 0 and p.size_bytes % MIB == 0 for p in parts)
    assert parts[2].size_bytes == parts[3].size_bytes >= max(2 * GIB, 3 * image)
    assert parts[-1].size_bytes >= layout.VMS_LEAST_BYTES
    assert disk - 33 * max(sector, 512) >= parts[-1].end_bytes > disk - 3 * MIB


@pytest.mark.parametrize("parts", [layout.layout_2(16 * GIB, 300 * MIB), layout.layout_1(16 * GIB)])
def test_sgdisk_takes_the_partitions_as_they_are(parts: tuple[layout.Partition, ...], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    with disk.open("r+b") as file:
        file.truncate(16 * GIB)
    words: list[str | Path] = ["sgdisk", "-a", "2048"]
    for p in parts:
        words += ["-n", f"{p.index}:{p.start_lba(512)}:{p.end_lba(512)}", "-t", f"{p.index}:{p.type_guid}"]
    run.run([*words, disk], timeout=30)
    assert "No problems found" in run.run(["sgdisk", "-v", disk], timeout=30).text


def test_a_byte_too_few_is_refused_with_numbers() -> None:
    least = layout.minimum_disk_bytes(0)
    with pytest.raises(RefusedError, match=f"{least - 1} bytes.*{least} bytes"):
        layout.layout_2(least - 1, 0)
    with pytest.raises(RefusedError):
        layout.layout_1(8 * GIB)
    with pytest.raises(UsageError, match="520"):
        layout.layout_2(1 << 40, 0, 520)


def test_the_migration_fits_into_the_old_swap_and_says_so_if_not() -> None:
    swap = layout.layout_1(20 * GIB)[3]
    parts = layout.migration(swap.start_bytes, swap.size_bytes, 300 * MIB)
    assert [(p.index, p.name) for p in parts] == [
        (6, "engine-esp"),
        (7, "engine-bios"),
        (8, "engine-a"),
        (9, "engine-state"),
    ]
    assert parts[0].start_bytes == swap.start_bytes and parts[-1].end_bytes <= swap.end_bytes
    with pytest.raises(RefusedError, match=r"1\.00 GiB.*needs"):
        layout.migration(swap.start_bytes, GIB, 300 * MIB)
