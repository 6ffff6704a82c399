"""libparted's opinion, and tables on empty disks only; sfdisk is the judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block import tables
from mediakit.block.tables import TablePartition
from mediakit.block.target import create_file
from mediakit.errors import FormatError, RefusedError
from mediakit.units import MIB


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_libparted_sees_what_sfdisk_made(tmp_path: Path, label: str) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 64 * MIB)
    run.run(["sfdisk", "-q", str(path)], stdin=f"label: {label}\nsize=8M\nsize=16M\n".encode(), timeout=20)
    before = path.read_bytes()
    found = tables.read(path)
    assert path.read_bytes() == before
    rows = json.loads(run.run(["sfdisk", "-J", str(path)], timeout=20).text)["partitiontable"]["partitions"]
    assert found is not None and found.kind == {"dos": "msdos", "gpt": "gpt"}[label]
    assert [(p.start_lba, p.end_lba) for p in found.partitions] == [
        (row["start"], row["start"] + row["size"] - 1) for row in rows
    ]


def test_no_table_is_none_and_a_torn_one_is_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 64 * MIB)
    assert tables.read(path) is None
    run.run(["sfdisk", "-q", str(path)], stdin=b"label: gpt\nsize=8M\n", timeout=20)
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"torn")
    before = path.read_bytes()
    with pytest.raises(FormatError):
        tables.read(path)
    assert path.read_bytes() == before


def test_a_table_is_made_only_where_there_is_nothing_to_lose(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 64 * MIB)
    wanted = (TablePartition(1, 2048, 4095, name="one"), TablePartition(2, 8192, 16383, name="two"))
    assert tables.make_gpt(path, wanted).partitions == wanted
    assert "No problems found" in run.run(["sgdisk", "-v", str(path)], timeout=20).text
    before = path.read_bytes()
    with pytest.raises(RefusedError, match="not empty"):
        tables.make_gpt(path, wanted)
    assert path.read_bytes() == before
