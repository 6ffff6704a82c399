"""A stick is judged by its receipt, whatever its image was made by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.cli.main import main
from mediakit.engine.rewriting import Request
from mediakit.engine.verify import verify
from mediakit.errors import FormatError
from mediakit.iso.edit.changes import Put
from mediakit.progress import Cancel, ignore
from mediakit.stick import receipt, rewrite
from mediakit.stick.judge import judge
from mediakit.units import MIB
from tests.isos import make


def poke(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("kind", ["grub", "mbr", "isolinux"])
def test_a_stick_is_as_written_until_something_changes_it(
    isos: dict[str, Path], stick: Callable[..., Path], write: Callable[..., object], kind: str
) -> None:
    path = stick(96 * MIB)
    write(isos[kind], path)
    found = verify(path, judge=judge)
    assert (found.checked_by, found.result, found.damaged) == ("receipt", "ok", ())
    assert hashlib.sha256(isos[kind].read_bytes()).hexdigest() in found.notes[0]
    poke(path, 440, b"WINDOW")
    assert verify(path, judge=judge).result == "ok", "Windows' disk id is harmless"
    poke(path, 5 * MIB + 7, b"broken")
    found = verify(path, judge=judge)
    assert found.result == "damaged" and found.exit_status == 1
    assert [(d.offset_bytes, d.size_bytes) for d in found.damaged] == [
        (4 * MIB, min(4 * MIB, isos[kind].stat().st_size - 4 * MIB))
    ]


def test_a_stick_that_was_edited_is_judged_as_it_was_written(tmp_path: Path) -> None:
    """The edits' records say what they replaced; damage elsewhere, and in what they wrote, is still found."""
    image = make.make("isohybrid_gpt", tmp_path)
    path = tmp_path / "stick.img"
    assert main(["write", str(image), str(path), "--size", "4200M", "--yes"]) == 0
    rewrite.in_place(path, Request(label="FIRST"))
    rewrite.in_place(path, Request(files=(Put("/boot/vmlinuz", b"new kernel"),)))
    found = verify(path, judge=judge)
    assert (found.checked_by, found.result, found.damaged) == ("receipt", "ok", ())
    assert any("It was edited 2 times since" in note for note in found.notes)
    label = 16 * 2048 + 40
    poke(path, label, b"?")
    assert [d.offset_bytes for d in verify(path, judge=judge).damaged] == [16 * 2048]
    poke(path, label, b"F")
    poke(path, label + 9, b"?")  # beside the label's letters, in a sector that the edit wrote
    assert 0 in [d.offset_bytes for d in verify(path, judge=judge).damaged]
    poke(path, label + 9, b" ")
    assert verify(path, judge=judge).result == "ok"
    poke(path, 300_000, b"damage")
    assert [(d.path, d.offset_bytes) for d in verify(path, judge=judge).damaged] == [(image.name, 0)]
    poke(path, 300_000, image.read_bytes()[300_000:300_006])
    rewrite.undo_in_place(path)
    rewrite.undo_in_place(path)
    found = verify(path, judge=judge)
    assert found.result == "ok" and not any("edited" in note for note in found.notes)


def test_without_a_receipt_it_cannot_tell(isos: dict[str, Path], tmp_path: Path) -> None:
    assert judge(isos["plain"], ignore, Cancel()) is None
    assert judge(tmp_path, ignore, Cancel()) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"image":"x","size_bytes":1e999,"sha256":"","blocks":[],"holes":[]}',
        '{"image":"x","size_bytes":0,"sha256":"","blocks":[],"holes":[]}',
        '{"image":"x","size_bytes":-4194304,"sha256":"","blocks":[],"holes":[]}',
        '{"image":"x","size_bytes":1,"sha256":"","blocks":[],"holes":[{"offset_bytes":1,"size_bytes":-1e999}]}',
    ],
    ids=["deep", "endless", "empty", "negative", "endless hole"],
)
def test_a_forged_receipt_is_none(text: str) -> None:
    """An image of no bytes would be found as it was written, whatever lies there."""
    with pytest.raises(FormatError):
        receipt.parse(text.encode())
