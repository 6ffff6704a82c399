"""``mediakit write`` as people and scripts call it: documents, exit statuses, confirmation, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso
from mediakit.cli.main import main
from mediakit.stick import trust
from mediakit.stick.source import open_source
from mediakit.units import MIB

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mediakit(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_an_engine_stick_is_made_and_described(isos: dict[str, Path], tmp_path: Path, mediakit: Run) -> None:
    stick = tmp_path / "stick.img"
    status, out, err = mediakit("write", isos["engine"], stick, "--size", "256M", "--yes", "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert (document["schema"], document["image"]) == (1, "engine-5.0.iso")
    (target,) = document["targets"]
    assert set(target) == {
        "path", "serial", "result", "bytes_total", "bytes_written", "bytes_compared", "seconds", "audit",
        "data_partition", "reason",
    }  # fmt: skip
    assert target["result"] == "done"
    assert set(target["audit"]) == {"bios_cd", "bios_usb", "uefi_cd", "uefi_usb", "secure_boot"}
    status, out, _err = mediakit("write", isos["engine"], stick, "--yes", "--json")
    assert (status, json.loads(out)["targets"][0]["result"]) == (0, "already")


def test_several_sticks_at_once_with_progress_as_json(
    isos: dict[str, Path], tmp_path: Path, mediakit: Run
) -> None:
    sticks = [tmp_path / f"{n}.img" for n in range(3)]
    status, out, _err = mediakit(
        "write", isos["grub"], *sticks, "--size", "128M", "--yes", "--progress", "json"
    )
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert events[-1]["event"] == "result"
    assert [t["result"] for t in events[-1]["targets"]] == ["done"] * 3
    assert {e["target"] for e in events[:-1]} == {str(s) for s in sticks}
    assert len({s.read_bytes()[MIB : 8 * MIB] for s in sticks}) == 1


def test_one_refused_stick_stops_all_unless_skipped(
    isos: dict[str, Path], tmp_path: Path, stick: Callable[..., Path], mediakit: Run
) -> None:
    good, small = stick(128 * MIB, "good.img"), stick(2 * MIB, "small.img")
    status, out, err = mediakit("write", isos["grub"], good, small, "--yes", "--json")
    assert status == 4 and "small.img" in err
    assert [t["result"] for t in json.loads(out)["targets"]] == ["refused"]
    assert good.read_bytes() == bytes(128 * MIB), "none is written"
    status, out, err = mediakit("write", isos["grub"], good, small, "--yes", "--json", "--skip-refused")
    assert status == 0
    assert {t["result"] for t in json.loads(out)["targets"]} == {"refused", "done"}
    assert mediakit("write", isos["grub"], small, "--yes", "--skip-refused")[0] == 4, "unless all are"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["{missing}", "{stick}", "--yes"], 3),
        (["{stick}", "{stick}", "--yes"], 3),
        (["{iso}", "{missing}", "--yes"], 2),
        (["{iso}", "{stick}"], 2),
        (["{iso}", "{stick}", "--size", "1G", "--yes"], 4),
        (["{iso}", "{stick}", "{stick}", "--yes"], 2),
        (["{iso}", "{iso}", "--yes"], 4),
        (["{iso}", "{missing}", "--size", "lots", "--yes"], 2),
    ],
)
def test_each_mistake_has_its_exit_status_and_writes_nothing(
    isos: dict[str, Path],
    tmp_path: Path,
    stick: Callable[..., Path],
    mediakit: Run,
    words: list[str],
    status: int,
) -> None:
    names = {"iso": isos["grub"], "stick": stick(128 * MIB), "missing": tmp_path / "missing"}
    before = isos["grub"].read_bytes()
    got, _out, err = mediakit("write", *(word.format(**names) for word in words))
    assert (got, err.startswith("mediakit: ")) == (status, True)
    assert names["stick"].read_bytes() == bytes(128 * MIB)
    assert isos["grub"].read_bytes() == before


def test_a_forged_payload_is_noticed_while_it_is_written(
    isos: dict[str, Path], tmp_path: Path, mediakit: Run
) -> None:
    image, stick = tmp_path / "forged.iso", tmp_path / "stick.img"
    image.write_bytes(isos["engine"].read_bytes())
    with iso.open_image(image) as opened:
        flip(image, opened.extents("/engine/system.squashfs")[0].offset_bytes + 3 * MIB)
    status, _out, err = mediakit("write", image, stick, "--size", "128M", "--yes")
    assert status == 6 and "system.squashfs" in err
    assert stick.read_bytes()[:MIB] == bytes(MIB)


def test_a_bad_signature_stops_before_anything_is_written(
    isos: dict[str, Path], tmp_path: Path, stick: Callable[..., Path], mediakit: Run
) -> None:
    image, target = tmp_path / "forged.iso", stick(128 * MIB)
    image.write_bytes(isos["engine"].read_bytes())
    with iso.open_image(image) as opened:
        place = opened.extents("/engine/manifest.json")[0].offset_bytes
    at = image.read_bytes().index(b'"version":', place)
    flip(image, at + 13)
    status, _out, err = mediakit("write", image, target, "--yes")
    assert status == 6 and "signature" in err
    assert target.read_bytes() == bytes(128 * MIB)


def test_every_byte_of_the_image_has_its_file(isos: dict[str, Path]) -> None:
    with open_source(isos["grub"]) as source, iso.open_image(isos["grub"]) as image:
        judge = trust.examine(source)
        for extent in image.extents("/payload.bin"):
            assert judge.locate(extent.offset_bytes) == judge.locate(sum(extent) - 1) == "payload.bin"
        assert judge.locate(0) == ""


@pytest.mark.parametrize(("typed", "status"), [("stick.img\n", 0), ("yes\n", 130), ("\n", 130)])
def test_on_a_terminal_the_identity_is_typed(
    isos: dict[str, Path], stick: Callable[..., Path], typed: str, status: int
) -> None:
    path = stick(128 * MIB)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "mediakit", "write", str(isos["grub"]), str(path), "--json"]
    process = subprocess.Popen(words, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(theirs)
    os.write(ours, typed.encode())
    _out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == status
    assert "Type “stick.img”" in err.decode()
    assert (path.read_bytes() == bytes(128 * MIB)) == (status != 0)


def test_control_c_stops_within_a_second_and_leaves_it_unbootable(
    tmp_path: Path, isos: dict[str, Path]
) -> None:
    image = tmp_path / "large.iso"
    image.write_bytes(isos["mbr"].read_bytes())
    os.truncate(image, 3 << 30)
    path = tmp_path / "stick.img"
    words = [sys.executable, "-m", "mediakit", "write", str(image), str(path), "--size", "4G", "--yes"]
    words += ["--progress", "json", "--no-delta"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    last = [json.loads(line) for line in process.stdout][-1]
    assert process.wait(10) == 130
    assert time.monotonic() - asked < 2, "one second, and one for a busy machine"
    assert last["event"] == "result" and last["targets"][0]["result"] == "cancelled"
    with path.open("rb") as file:
        assert file.read(MIB) == bytes(MIB)
