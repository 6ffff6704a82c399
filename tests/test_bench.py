"""``make bench`` works: every row that can be there is measured, tiny here; no time is judged."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mediakit import run

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "tools/bench"


def bench(folder: Path, *words: str) -> run.Completed:
    argv = [sys.executable, BENCH, "--tiny", "--repeats", "1", "--folder", folder, *words]
    return run.run(argv, timeout=300, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_every_row_is_measured_and_cleans_up(tmp_path: Path) -> None:
    done = bench(tmp_path)
    assert done.status == 0, done.text + done.error_text
    lines = done.text.split("target")[1].strip().splitlines()
    assert len(lines) == 10
    for line in lines:
        assert "  tiny" in line or "is not there yet" in line or "is not installed" in line
    assert list(tmp_path.iterdir()) == []


def test_one_row_can_run_alone(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "extract-small")
    assert done.status == 0 and "extract-small " in done.text and "reflash" not in done.text


def test_an_unknown_row_is_a_usage_error_and_make_help_names_the_target(tmp_path: Path) -> None:
    done = bench(tmp_path, "--only", "nonsense")
    assert done.status == 2 and "extract-small" in done.error_text
    assert "make bench" in run.run(["make", "help"], cwd=ROOT, timeout=30).text
