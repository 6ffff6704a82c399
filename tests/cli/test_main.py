"""The front door of the command line: verbs, errors as sentences, exit statuses, nothing imported too early."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from mediakit.cli import main as front
from mediakit.run import run
from tests.isos import make

MEDIAKIT = [sys.executable, "-m", "mediakit"]


@pytest.mark.parametrize("verb", sorted(front.VERBS))
def test_every_verb_has_a_module_that_parses_and_executes(verb: str) -> None:
    module = importlib.import_module("mediakit.cli." + verb.replace("-", "_"))
    assert callable(module.configure)
    assert callable(module.execute)


@pytest.mark.parametrize("verb", sorted(front.VERBS))
def test_every_verb_explains_itself(verb: str) -> None:
    done = run([*MEDIAKIT, verb, "--help"], timeout=30)
    assert f"usage: mediakit {verb}" in done.text


def test_help_lists_the_verbs_and_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom mediakit.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'rich', 'textual', 'parted', 'pyudev', 'pycdlib', 'nacl', 'subprocess', 'mediakit.iso', 'mediakit.block'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = run([sys.executable, "-c", code], timeout=30)
    assert "HEAVY []" in done.text
    for verb in front.VERBS:
        assert f"    {verb}" in done.text


def test_wrong_usage_is_status_2() -> None:
    assert run([*MEDIAKIT, "no-such-verb"], timeout=30, check=False).status == 2
    assert run([*MEDIAKIT, "inspect"], timeout=30, check=False).status == 2
    assert run([*MEDIAKIT, "inspect", "--no-such-flag", "x"], timeout=30, check=False).status == 2


def test_a_reader_that_leaves_is_no_traceback(tmp_path: Path) -> None:
    script = f"{sys.executable} -m mediakit --help | true"
    assert b"Traceback" not in run(["sh", "-c", script], timeout=30, check=False).stderr


@pytest.mark.parametrize("make", ["missing", "folder", "pipe", "empty", "text"])
@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_what_is_no_image_is_status_3_and_a_sentence(verb: str, make: str, tmp_path: Path) -> None:
    path = tmp_path / "image.iso"
    if make == "folder":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "empty":
        path.touch()
    elif make == "text":
        path.write_text("this is a shopping list\n" * 10_000)
    done = run([*MEDIAKIT, verb, path], timeout=30, check=False)
    assert done.status == 3, done.error_text
    assert done.error_text.startswith("mediakit: ")
    assert "Traceback" not in done.error_text
    assert done.stdout == b""


@pytest.fixture
def odd_names(tmp_path: Path) -> Path:
    return make.make("odd_names", tmp_path)


@pytest.mark.parametrize("verb", [["inspect", "--files"], ["rewrite", "--dry-run", "--add", "{}=/ü “x”"]])
def test_a_standard_output_of_ascii_is_no_reason_to_fail(verb: list[str], odd_names: Path) -> None:
    words = [word.format(__file__) for word in verb]
    done = run(
        [*MEDIAKIT, words[0], odd_names, *words[1:]],
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.status == 0, done.error_text
    assert b"?" in done.stdout and done.stdout.isascii()


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "2>&-"])
@pytest.mark.parametrize("json", ["", "--json"])
def test_a_closed_standard_output_is_no_reason_to_fail(closed: str, json: str, odd_names: Path) -> None:
    script = f"{sys.executable} -m mediakit inspect {json} {odd_names} {closed}"
    done = run(["sh", "-c", script], timeout=30, check=False)
    assert done.status == 0, done.error_text
