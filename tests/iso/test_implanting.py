"""The implanted MD5 made anew is byte for byte what implantisomd5 makes; checkisomd5 judges."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mediakit import run
from mediakit.formats.reader import bytes_reader
from mediakit.iso import implanting
from tests.engine import isos


def implanted(tmp_path: Path, size: int) -> Path:
    tree = tmp_path / f"tree{size}"
    tree.mkdir()
    (tree / "data").write_bytes(random.Random(size).randbytes(size))
    path = isos.make(tree, tmp_path / f"{size}.iso")
    run.run(["implantisomd5", path], timeout=60)
    return path


@pytest.mark.parametrize("size", [1000, 300_000, 1_500_000, 7_654_321])
def test_the_field_is_what_implantisomd5_writes(tmp_path: Path, size: int) -> None:
    path = implanted(tmp_path, size)
    data = path.read_bytes()
    old = implanting.read(bytes_reader(data), len(data))
    assert old is not None
    total = implanting.Sum(old.end)
    for at in range(0, len(data), 100_003):
        total.update(at, data[at : at + 100_003])
    assert total.digest() == old.digest
    assert total.field(old) == old.field


def test_a_changed_image_gets_a_new_sum_and_a_damaged_one_none(tmp_path: Path) -> None:
    path = implanted(tmp_path, 1_500_000)
    data = path.read_bytes()
    old = implanting.read(bytes_reader(data), len(data))
    assert old is not None
    changed = data[:700_000] + b"edited" + data[700_006:]
    field = implanting.renew(old, bytes_reader(data), bytes_reader(changed), len(data) // 2048 * 2048)
    assert field is not None and len(field) == implanting.FIELD_BYTES
    at = implanting.FIELD_OFFSET
    path.write_bytes(changed)
    assert run.run(["checkisomd5", path], timeout=60, check=False).status != 0
    path.write_bytes(changed[:at] + field + changed[at + len(field) :])
    assert run.run(["checkisomd5", path], timeout=60, check=False).status == 0
    damaged = bytes_reader(data[:900_000] + b"x" + data[900_001:])
    assert implanting.renew(old, damaged, bytes_reader(changed), len(data) // 2048 * 2048) is None


def test_an_image_without_a_sum_has_none(tmp_path: Path) -> None:
    data = implanted(tmp_path, 1000).read_bytes()
    assert implanting.read(bytes_reader(data[:30000]), 30000) is None
    blank = data[: implanting.FIELD_OFFSET] + b" " * 512 + data[implanting.FIELD_OFFSET + 512 :]
    assert implanting.read(bytes_reader(blank), len(blank)) is None
