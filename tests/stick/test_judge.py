"""A stick is judged by its receipt, whatever its image was made by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.engine.verify import verify
from mediakit.errors import FormatError
from mediakit.progress import Cancel, ignore
from mediakit.stick import receipt
from mediakit.stick.judge import judge
from mediakit.units import MIB


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
