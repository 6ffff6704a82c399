"""The demo that is stopped: evidence, machines and children end with it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mediakit import run
from mediakit.reference import demo
from mediakit.vm import evidence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_says_where_things_are(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(demo, "play", lambda _: signal.raise_signal(number))
    assert demo.main(["--out", str(tmp_path / "out")]) == 130
    assert str(tmp_path / "out" / "machines") in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_machine_under_way_leaves_its_evidence_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    class Fake:
        def __init__(self, spec: object, folder: Path) -> None:
            self.accelerator = demo.Machine  # only its name and why are printed
            self.accelerator.name, self.accelerator.why = "tcg", "a test"

        def __enter__(self) -> Fake:
            return self

        def __exit__(self, *_: object) -> None:
            said.append("ended")

    monkeypatch.setattr(demo, "Machine", Fake)
    monkeypatch.setattr(evidence, "leave", lambda machine, folder: said.append("evidence") or folder)
    with pytest.raises(KeyboardInterrupt), demo.running(demo.Demo(tmp_path), None, "one"):  # type: ignore[arg-type]
        raise KeyboardInterrupt
    assert said == ["evidence", "ended"]


def gone(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/stat")
    return not status.exists() or status.read_text().split()[2] == "Z"


def wait_for(process: subprocess.Popen[bytes], path: Path) -> int:
    """The process id that ``path`` is given."""
    while not (path.is_file() and path.read_text().endswith("\n")):
        assert process.poll() is None, "it ended before"
    return int(path.read_text())


def python(code: str) -> subprocess.Popen[bytes]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return run.start([sys.executable, "-c", code], env=environment)


def test_what_dies_with_us_does_even_when_we_are_killed(tmp_path: Path) -> None:
    """A demo that is killed cannot end its QEMU; the kernel does."""
    pid = tmp_path / "pid"
    parent = python(
        "import time; from mediakit import run; "
        f"run.start(['sh', '-c', 'echo $$ > {pid}; exec sleep 1000'], dies_with_us=True); time.sleep(1000)"
    )
    child = os.pidfd_open(wait_for(parent, pid))
    parent.kill()
    parent.wait()
    ended, _, _ = select.select([child], [], [], 20)
    os.close(child)
    assert ended


def test_a_command_of_ours_that_is_interrupted_ends_its_own_children(tmp_path: Path) -> None:
    """Each command runs in a session of its own: killing it alone would leave what it had started."""
    pid = tmp_path / "pid"
    inner = (
        f"from mediakit import run; run.run(['sh', '-c', 'echo $$ > {pid}; exec sleep 1000'], timeout=1000)"
    )
    outer = python(
        f"import sys; from mediakit import run; run.run([sys.executable, '-c', {inner!r}], timeout=1000)"
    )
    child = wait_for(outer, pid)
    outer.send_signal(signal.SIGINT)
    outer.wait()
    assert gone(child)
