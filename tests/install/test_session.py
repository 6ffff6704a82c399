"""One installation from a medium: probe, plan, execute, report on a real FAT partition, and the keys' rule."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediakit.block.target import open_target
from mediakit.cli import main as cli
from mediakit.errors import FormatError
from mediakit.install import detect as detecting
from mediakit.install import report, session, windows
from mediakit.install.choice import Choice
from mediakit.install.execute import Result
from mediakit.install.session import Installation

from . import fakes

pytestmark = pytest.mark.root


@pytest.fixture
def installation(installed: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """The medium 5.1 on a machine whose only disk is ``installed``."""
    real = detecting.detect
    monkeypatch.setattr(detecting, "detect", lambda disks, *rest: real([installed], *rest))
    with Installation.open(medium_51) as opened:
        yield opened


def break_good_slot(disk: Path) -> None:
    with open_target(disk) as target:
        windows.partitions(target)["engine-a"][1].zero(0, 1 << 20)


def test_an_upgrade_and_its_report(
    installation: Installation, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the report is put is a folder here: not every kernel that runs the tests can mount a FAT."""
    monkeypatch.setattr(report, "save", lambda document, log: report.write(tmp_path, document, log))
    installation.probe()
    plan = installation.plan(Choice("upgrade", str(installed)))
    assert not installation.needs_medium_keys(plan)
    result = installation.execute(plan)
    assert result.result == "done"
    name = installation.write_report(plan, result)
    document = json.loads((tmp_path / "reports" / f"{name}.json").read_text())
    assert set(document) == {
        "schema", "machine", "action", "found", "target", "result", "reason", "started", "seconds", "install_id"
    }  # fmt: skip
    known = (document["action"], document["result"], document["install_id"])
    assert known == ("upgrade", "done", plan.install_id)
    assert [engine["version"] for engine in document["found"]] == ["5.0"]
    assert "Write Engine 5.1 into slot b" in (tmp_path / "reports" / f"{name}.log").read_text()


def test_a_stick_that_cannot_be_mounted_is_a_sentence(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "garbage").write_bytes(bytes(1 << 20))
    monkeypatch.setattr(report, "find_data", lambda: str(tmp_path / "garbage"))
    assert "could not be saved on the stick" in installation.write_report(None, Result("failed", "why"))
    assert "engine-data-" not in Path("/proc/mounts").read_text()


def test_a_repair_with_unreadable_keys_takes_a_confirmation(
    installed: Path, medium_50: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = detecting.detect
    monkeypatch.setattr(detecting, "detect", lambda disks, *rest: real([installed], *rest))
    break_good_slot(installed)
    with Installation.open(medium_50) as opened:
        plan = opened.plan(Choice("repair", str(installed)))
        before = fakes.digest(installed, 0, fakes.DISK_BYTES)
        assert opened.needs_medium_keys(plan)
        refused = opened.execute(plan)
        assert refused.result == "failed" and "keys of the installed Engine" in refused.reason
        assert fakes.digest(installed, 0, fakes.DISK_BYTES) == before
        assert opened.execute(plan, trust_medium=True).result == "done"


def test_what_goes_wrong_is_a_result(
    installation: Installation, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = installation.plan(Choice("upgrade", str(installed)))

    def fails(*_: object, **__: object) -> Result:
        raise FormatError("The table is torn.", "Repair.")

    monkeypatch.setattr(session, "execute", fails)
    result = installation.execute(plan)
    assert (result.result, result.install_id) == ("failed", plan.install_id)
    assert "The table is torn." in result.reason


def test_a_recorded_machine_is_planned_for_and_never_written(medium_51: Path, tmp_path: Path) -> None:
    recorded = fakes.ROOT / "tests/machines/engine-5.0.json"
    with Installation.open(medium_51, recorded) as opened:
        disk = opened.probe().disks[0]
        plan = opened.plan(Choice("upgrade", disk.path))
        assert opened.execute(plan).result == "refused"
        assert "no report" in opened.write_report(plan, Result("refused"))


def test_without_a_stick_the_report_says_so(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "find_data", lambda: "")
    assert "was not saved" in installation.write_report(None, Result("refused", "why"))


@pytest.mark.parametrize(
    ("serial", "uuid", "expected"),
    [
        ("ABC 12/3", "u-1", "ABC_12_3"),
        ("To be filled by O.E.M.", "4c4c-9", "4c4c_9"),
        ("00000000", "ffffffff-ffff", "52_54_00_aa"),
    ],
)
def test_junk_serials_fall_back(serial: str, uuid: str, expected: str) -> None:
    document = {"machine": {"serial": serial, "uuid": uuid}, "started": "2024-05-06T07:08:09Z"}
    name = report.file_name(document, "52:54:00:aa")
    assert name.rpartition("-")[0] == f"20240506T070809Z-{expected}"


def test_detect_saves_a_machine_that_can_be_loaded(
    installed: Path, medium_51: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "machine.json"
    words = ["detect", str(installed), "--image", str(medium_51), "--save", str(saved), "--json"]
    assert cli.main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(saved.read_text()) == printed
    with Installation.open(medium_51, saved) as opened:
        assert opened.plan(Choice("upgrade", str(installed))).steps


def test_detect_verify_names_a_slot_that_is_not_its_manifests(
    installed: Path, medium_50: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["detect", str(installed), "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["disks"][0]["engines"][0]["state"] != "damaged"
    middle = (medium_50 / "engine/system.squashfs").stat().st_size // 2
    with open_target(installed) as target:
        windows.partitions(target)["engine-a"][1].write(middle, b"flipped")
    assert cli.main(["detect", str(installed), "--verify", "--json"]) == 0
    disk = json.loads(capsys.readouterr().out)["disks"][0]
    assert disk["engines"][0]["state"] == "damaged"
    assert any("Slot a is not what its manifest says" in finding["what"] for finding in disk["findings"])
