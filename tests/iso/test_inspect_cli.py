"""``mediakit inspect`` as people and programs call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.cli import main as cli

Isos = Callable[[str], Path]


def test_json_is_one_document_with_every_key(isos: Isos, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(isos("grub_gpt")), "--json", "--files"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == [
        "schema", "path", "size_bytes", "volume_id", "filesystems", "el_torito", "mbr", "gpt", "boot",
        "findings", "engine", "files",
    ]  # fmt: skip
    assert document["engine"] is None and document["volume_id"] == "TEST"
    assert {"path": "/boot/vmlinuz", "size_bytes": 600, "kind": "file"} in document["files"]


def test_people_see_how_it_boots_and_why_not(isos: Isos, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(isos("el_torito"))]) == 0
    shown = capsys.readouterr().out
    assert "yes  BIOS from disc" in shown and "no   BIOS from a stick" in shown
    assert "no MBR" in shown


def test_a_truncated_image_is_shown_and_status_3(
    isos: Isos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "cut.iso"
    copy.write_bytes(isos("grub_gpt").read_bytes()[: -(600 << 10)])
    assert cli.main(["inspect", str(copy)]) == 3
    shown = capsys.readouterr()
    assert "truncated" in shown.out and "truncated" in shown.err


@pytest.mark.parametrize("name", ["missing.iso", "folder", "garbage"])
def test_what_is_no_image_is_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(b"\x00\x01" * 100_000)
    assert cli.main(["inspect", str(tmp_path / name), "--json"]) == 3
    shown = capsys.readouterr()
    assert not shown.out and shown.err.startswith("mediakit: ")


def test_an_image_that_claims_to_be_an_engine_and_is_none_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mediakit import run

    (tmp_path / "tree/engine").mkdir(parents=True)
    (tmp_path / "tree/engine/manifest.json").write_text("{nonsense")
    out = tmp_path / "x.iso"
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", "-o", out, tmp_path / "tree"], timeout=60)
    assert cli.main(["inspect", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engine"] is None and [f["severity"] for f in document["findings"]] == ["error"]
