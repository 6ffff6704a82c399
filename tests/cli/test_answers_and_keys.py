"""The verbs answers and keys: statuses, streams, files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mediakit import run
from mediakit.cli.main import main


def test_the_example_passes_its_own_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "example"]) == 0
    file = tmp_path / "a.toml"
    file.write_text(capsys.readouterr().out)
    assert main(["answers", "check", str(file)]) == 0
    assert "valid" in capsys.readouterr().out


def test_a_wrong_file_is_status_1_with_all_lines_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_text('schema = 1\naction = "go"\n[end]\naction = "stay"\n')
    assert main(["answers", "check", str(file)]) == 1
    out, err = capsys.readouterr()
    assert not out and f"{file}:2: " in err and f"{file}:4: " in err
    file.write_bytes(b"schema = 1\n# \xff\n")
    assert main(["answers", "check", str(file)]) == 1
    assert f"{file}:2: This is not UTF-8." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_status_3(tmp_path: Path, name: str) -> None:
    assert main(["answers", "check", str(tmp_path / name)]) == 3


def test_generated_keys_sign_and_minisign_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, data = tmp_path / "mine", tmp_path / "data"
    data.write_bytes(b"payload")
    assert main(["keys", "generate", str(base), "--secure-boot", "Mine"]) == 0
    assert stat.S_IMODE((tmp_path / "mine.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "mine-sb.key").stat().st_mode) == 0o600
    assert main(["keys", "sign", str(data), "--key", f"{base}.key", "--comment", "hello"]) == 0
    done = run.run(["minisign", "-V", "-p", f"{base}.pub", "-m", data], timeout=20)
    assert "hello" in done.text
    shown = run.run(
        ["openssl", "x509", "-inform", "DER", "-in", f"{base}-sb.cer", "-noout", "-subject"], timeout=20
    )
    assert "Mine" in shown.text
    assert main(["keys", "generate", str(base)]) == 4
    assert "exists already" in capsys.readouterr().err
    assert main(["keys", "sign", str(data), "--key", f"{base}.pub"]) == 3
