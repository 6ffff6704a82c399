"""A technician comes home with the list of what is done."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import run
from mediakit.cli import reports as verb
from mediakit.errors import SourceError
from mediakit.stick import reports
from mediakit.units import MIB

REPORT = {
    "schema": 1,
    "machine": {"vendor": "ACME", "model": "Box", "serial": "=1+1"},
    "action": "upgrade",
    "found": {"version": "5.0"},
    "target": {"version": "5.1"},
    "result": "done",
    "reason": "",
    "started": "2026-01-02T03:04:05Z",
    "seconds": 61,
    "install_id": "x",
}


def put(path: Path, offset: int, folder: Path, name: str, text: str) -> None:
    (folder / "report").write_text(text)
    run.run(["mcopy", "-o", "-i", f"{path}@@{offset}", folder / "report", f"::/reports/{name}"], timeout=20)


def test_reports_come_from_sticks_and_folders_alike(
    isos: dict[str, Path], stick: Callable[..., Path], write: Callable[..., object], tmp_path: Path
) -> None:
    path = stick(96 * MIB)
    outcome = write(isos["grub"], path)
    offset = outcome.data_partition["offset_bytes"]  # type: ignore[attr-defined]
    put(path, offset, tmp_path, "2026-01-02-b.json", json.dumps(REPORT))
    put(path, offset, tmp_path, "2026-01-01-a.json", json.dumps(REPORT | {"result": "failed"}))
    put(path, offset, tmp_path, "2026-01-03-c.json", '{"schema": 1, "torn')
    put(path, offset, tmp_path, "2026-01-02-b.log", "log")
    folder = tmp_path / "home/reports"
    folder.mkdir(parents=True)
    (folder / "2026-02-01-d.json").write_text(json.dumps(REPORT))
    before = path.read_bytes()
    found = reports.collect([path, tmp_path / "home"])
    assert path.read_bytes() == before
    assert [r["result"] for r in found.reports] == ["failed", "done", "done"]
    assert found.damaged == ("2026-01-03-c.json",)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert rows[0]["vendor"] == "ACME"
    assert rows[0]["serial"] == "'=1+1", "a spreadsheet must not run it"
    assert rows[0]["found"] == "5.0"


def test_a_disk_without_engine_data_says_so(tmp_path: Path, isos: dict[str, Path]) -> None:
    for path in (isos["plain"], tmp_path / "missing"):
        with pytest.raises(SourceError):
            reports.collect([path])


def test_the_verb_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    (tmp_path / "a.json").write_text(json.dumps(REPORT))
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    assert verb.execute(parser.parse_args([str(tmp_path), "--json"])) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reports"] == [REPORT] and document["damaged"] == []
    assert verb.execute(parser.parse_args([str(tmp_path)])) == 0
    assert "ACME Box" in capsys.readouterr().out
