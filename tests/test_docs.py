"""What the documentation says is so: its Python runs and prints what it says, its command lines parse."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from mediakit.cli import engine_update
from mediakit.cli.main import VERBS, main
from tests.isos import make

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = re.compile(r"^```python\n(.*?)^```\n(?:^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:mediakit|engine-update) [a-z][^`]*)`")
LINE = re.compile(r"\s*(?:sudo )?(?:\.venv/bin/)?((?:mediakit|engine-update) .*)")


def command_lines(page: Path) -> Iterator[str]:
    """Every command line in a page's blocks, without the explanation behind it or a redirection."""
    for language, block in FENCE.findall(page.read_text()):
        if language in ("python", "text", "json", "toml"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if match := LINE.fullmatch(line):
                yield re.split(r" {2,}| > | # | \| ", match[1])[0].strip()


def parse(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The status of parsing alone: no verb does anything."""
    program, *words = shlex.split(line)
    run: Callable[[list[str]], int] = main if program == "mediakit" else engine_update.main
    if program == "mediakit" and words and words[0] in VERBS:
        module = f"mediakit.cli.{words[0].replace('-', '_')}"
        monkeypatch.setattr(f"{module}.execute", lambda arguments: 0)
    try:
        return run(words)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_a_block_parses(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in command_lines(page):
        if line.startswith("mediakit"):
            assert parse(line, monkeypatch) == 0, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_use_verbs_and_flags_that_exist(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in INLINE.findall(page.read_text()):
        program, verb, *rest = words.split()
        if program == "mediakit":
            assert verb in VERBS, f"{page.name}: {words}"
        with contextlib.suppress(SystemExit):
            (main if program == "mediakit" else engine_update.main)([verb, "--help"])
        known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        flags = {flag for word in rest for flag in re.findall(r"^--[a-z][a-z-]*", word)}
        assert flags <= known, f"{page.name}: {words}"


def test_a_wrong_flag_or_verb_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse("mediakit inspect a.iso --nonsense", monkeypatch) == 2
    assert parse("mediakit nonsense a.iso", monkeypatch) == 2
    assert parse("mediakit extract a.iso /", monkeypatch) == 2


@pytest.mark.parametrize("name", ["library.md"])
def test_the_examples_print_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(make.make("grub_gpt", tmp_path), tmp_path / "image.iso")
    monkeypatch.chdir(tmp_path)
    examples = EXAMPLES.findall((ROOT / "docs" / name).read_text())
    assert len(examples) >= 6
    names: dict[str, object] = {}
    for source, expected in examples:
        if "mediakit.iso import edit" in source and find_spec("mediakit.iso.edit") is None:
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, f"docs/{name}", "exec"), names)
        assert printed.getvalue() == expected, source
