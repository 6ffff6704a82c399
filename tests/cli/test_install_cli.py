"""``mediakit detect`` and ``install`` as somebody types them: documents, statuses, refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from mediakit.block.target import open_target
from mediakit.cli.main import main
from mediakit.install import windows
from tests.install import fakes

ANSWERS = """schema = 1
action = "fresh"
licence = "accepted"
[system]
host_name = "lab-9"
admin_password_hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"
"""


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.make_medium(tmp_path_factory.mktemp("cli-medium"))


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_fresh_install_detect_already_and_the_confirmation_of_what_is_destroyed(
    medium: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk, answers = tmp_path / "disk.img", tmp_path / "answers.toml"
    answers.write_text(ANSWERS)
    base = ["install", str(medium), str(disk), "--yes", "--json"]
    assert main([*base, "--action", "fresh", "--answers", str(answers), "--size", "8G"]) == 0
    document = shown(capsys)
    assert document["result"] == "done" and document["plan"]["action"] == "fresh"  # type: ignore[index]

    assert main(["detect", str(disk), "--image", str(medium), "--json"]) == 0
    engine = shown(capsys)["disks"][0]["engines"][0]  # type: ignore[index]
    assert (engine["version"], engine["state"], engine["layout"]) == ("5.0", "never_booted", 2)
    assert {o["action"]: o["allowed"] for o in engine["offers"]} == {
        "upgrade": False, "repair": True, "reinstall": True, "rollback": False,
    }  # fmt: skip

    assert main([*base, "--action", "upgrade"]) == 0
    assert shown(capsys)["result"] == "already"

    assert main([*base, "--action", "fresh"]) == 4
    assert shown(capsys)["result"] == "refused"
    assert main([*base, "--action", "fresh", "--wipe", "other"]) == 4
    capsys.readouterr()
    assert main([*base, "--action", "reinstall", "--wipe", "disk.img", "--dry-run"]) == 0
    assert "result" not in shown(capsys)


def test_a_disk_that_is_too_small_is_refused_with_numbers(
    medium: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "small.img"
    assert main(["install", str(medium), str(disk), "--action", "fresh", "--yes", "--size", "2G"]) == 4
    assert "2.00 GiB" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--action", "fresh"], 2),  # nobody to confirm
        (["--yes"], 2),  # no action, no answers
        (["--action", "upgrade", "--yes"], 4),  # no Engine there
        (["--action", "rollback", "--yes"], 4),
    ],
)
def test_what_cannot_be_done_has_its_documented_status(
    medium: Path, tmp_path: Path, words: list[str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    disk = fakes.sparse_disk(tmp_path / "disk.img")
    assert main(["install", str(medium), str(disk), *words]) == status
    assert not any(disk.open("rb").read(1 << 20))


def test_a_disk_that_is_not_there_needs_a_size(medium: Path, tmp_path: Path) -> None:
    assert main(["install", str(medium), str(tmp_path / "none.img"), "--action", "fresh", "--yes"]) == 2


def test_detect_reports_the_other_disks_when_one_is_no_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = fakes.sparse_disk(tmp_path / "disk.img", 1 << 20)
    assert main(["detect", str(tmp_path), str(disk), "--json"]) == 3
    assert [one["path"] for one in shown(capsys)["disks"]] == [str(disk)]  # type: ignore[index,attr-defined]


class Terminal(io.StringIO):
    """Somebody who types these lines."""

    def isatty(self) -> bool:
        return True


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "typed", "status"),
    [
        (["--yes"], "", 6),
        ([], "disk.img\nno\n", 130),
        ([], "disk.img\nTRUST\n", 0),
    ],
)
def test_keys_that_cannot_be_read_cost_a_typed_word_and_yes_is_not_enough(
    medium: Path,
    tmp_path: Path,
    words: list[str],
    typed: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    disk = tmp_path / "disk.img"
    base = ["install", str(medium), str(disk), "--action"]
    assert main([*base, "fresh", "--size", "8G", "--yes"]) == 0
    with open_target(disk) as target:
        windows.partitions(target)["engine-a"][1].zero(0, 1 << 20)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert main([*base, "repair", *words]) == status
    said = capsys.readouterr().err
    if typed:
        assert "is signed with the key" in said and "TRUST" in said
    else:
        assert "keys of the installed Engine cannot be read" in said
