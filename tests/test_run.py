"""The subprocess gate: deadlines, sentences, missing tools."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from mediakit import run
from mediakit.errors import MissingToolError


def test_output_and_status_come_back() -> None:
    done = run.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10, check=False)
    assert (done.status, done.text, done.error_text) == (3, "out\n", "err")


def test_a_failure_is_a_sentence_with_the_tools_last_words() -> None:
    with pytest.raises(run.ToolError, match=r"“sh” failed \(status 4\): no such moon") as caught:
        run.run(["sh", "-c", "echo no such moon >&2; exit 4"], timeout=10)
    assert caught.value.completed is not None
    assert caught.value.completed.status == 4


def test_a_tool_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(run.ToolError, match="did not finish within"):
        run.run(["sh", "-c", f"sleep 1000 & echo $! > {pid_file}; wait"], timeout=0.5)
    try:
        child = os.pidfd_open(int(pid_file.read_text()))
    except ProcessLookupError:
        return
    ended, _, _ = select.select([child], [], [], 60)
    os.close(child)
    assert ended


def test_a_missing_tool_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(run, "_SBIN", ())
    with pytest.raises(MissingToolError, match="xorriso") as caught:
        run.run(["xorriso", "-version"], timeout=10)
    assert "apt install xorriso" in caught.value.hint
    with pytest.raises(MissingToolError) as other:
        run.find_tool("sgdisk")
    assert "gdisk" in other.value.hint


def test_standard_input_is_not_ours() -> None:
    assert run.run(["cat"], timeout=10).stdout == b""
    assert run.run(["cat"], timeout=10, stdin=b"fed").stdout == b"fed"


def test_tools_speak_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    assert "LC_ALL=C.UTF-8" in run.run(["env"], timeout=10).text


def test_a_path_is_never_an_option() -> None:
    assert run.safe_path("-rf") == str(Path.cwd() / "-rf")


def test_a_started_tool_is_stopped() -> None:
    process = run.start(["sleep", "1000"])
    assert run.stop(process) != 0


def test_every_listed_tool_is_in_exactly_one_package() -> None:
    lines = [line.split() for line in (Path(run.__file__).parent / "packages.txt").read_text().splitlines()]
    entries = [words for words in lines if words and words[0] != "#"]
    names = [words[0] for words in entries]
    assert len(names) == len(set(names))
    tools = [tool for words in entries for tool in words[2:] if tool != "-"]
    assert len(tools) == len(set(tools))
    assert {words[1] for words in entries} <= {"setup", "run", "build", "test", "vm"}


def test_the_readme_shows_the_one_list_of_packages() -> None:
    root = Path(run.__file__).parent
    lines = [line.split() for line in (root / "packages.txt").read_text().splitlines()]
    wanted = {words[0] for words in lines if words and words[0] != "#"}
    table = (root.parent / "README.md").read_text().split("## Packages")[1].split("## ")[0]
    shown = {
        word.strip("`")
        for line in table.splitlines()
        if line.startswith("| to ")
        for word in line.split()
        if word[0] == "`"
    }
    assert shown == wanted
