"""An upgrade that did not hold is told once for each trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mediakit.engine.release import Release
from mediakit.install.running import fellback
from mediakit.install.running.boot import Boot
from mediakit.install.running.status import Status


def found(fell_back_from: str) -> Status:
    why = "fallback" if fell_back_from else "good"
    boot = Boot("/dev/sda", "/dev/sda1", "a", "/dev/sda3", why, fell_back_from, "normal", "id-1")
    return Status(Release("Engine", "5.0", 5000, "x86_64", 2), boot, "4.17", False, "ok", (), ())


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    (folder / "slots/b").mkdir(parents=True)
    (folder / "logs").mkdir()
    (folder / "slots/b/manifest.json").write_text('{"version": "5.1", "build": 5100}')
    return folder


def test_what_fell_back_is_noted_until_it_was_told(state: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.json"
    fellback.note(found("b"), state, request)
    values = json.loads(request.read_text())
    assert values == {"slot": "b", "version": "5.1", "build": 5100}
    request.unlink()
    (state / fellback.TOLD).write_text(json.dumps(values))
    fellback.note(found("b"), state, request)
    assert not request.exists()


def test_a_start_that_fell_back_from_nothing_lets_the_next_one_be_told(state: Path, tmp_path: Path) -> None:
    (state / fellback.TOLD).write_text("{}")
    fellback.note(found(""), state, tmp_path / "request.json")
    assert not (state / fellback.TOLD).exists()
    assert not (tmp_path / "request.json").exists()


def test_a_slot_without_a_manifest_is_told_by_its_letter(state: Path, tmp_path: Path) -> None:
    (state / "slots/b/manifest.json").write_text("[]")
    request, disk = tmp_path / "request.json", tmp_path / "disk.img"
    disk.write_bytes(bytes(4096))
    fellback.note(found("b"), state, request)
    values = json.loads(request.read_text())
    document = fellback.report(values, {"version": "5.0", "build": 5000}, str(disk), "id-1")
    assert document["result"] == "fell_back" and document["target"]["size_bytes"] == 4096
    assert document["reason"] == "The system in slot b did not call itself good; Engine 5.0 is back."


def test_without_a_request_there_is_nothing_to_do(state: Path, tmp_path: Path) -> None:
    assert fellback.main(state, tmp_path / "none.json") == 0
