"""Edits of every kind of image, judged by xorriso, isoinfo and sgdisk; and taken back byte for byte."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mediakit import iso
from mediakit.errors import RefusedError
from mediakit.iso import edit
from tests.iso.edit import judges
from tests.isos import make

Isos = Callable[[str], Path]
NOW = 1_700_000_000
REFUSED = {"udf_bridge", "windows", "hfs", "hfsplus", "multi_session", "multi_session_disc"}
KINDS = sorted(set(make.KINDS) - REFUSED)
PLAIN = {"plain"}


def apply(path: Path, *changes: edit.Change, force: bool = False) -> edit.EditPlan:
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, changes, now=NOW, force=force)
    with edit.FileMedium(path) as medium:
        edit.apply_in_place(medium, plan)
        assert edit.pending(medium) is None
    return plan


def copied(isos: Isos, kind: str, tmp_path: Path) -> Path:
    return Path(shutil.copy(isos(kind), tmp_path / "image.iso"))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_see_exactly_the_change(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    before = judges.xorriso_tree(path, tmp_path / "before")
    gone = [name for name in before if "FILE" in name.upper() and before[name] != "folder"][5:6]
    deep = "/NEW/DEEP" if kind == "plain" else "/new/deep folder"
    changes: Sequence[edit.Change] = (
        edit.Put(f"{deep}/hello.txt", b"hello" * 2000),
        edit.Put("/added.cfg", b"timeout 5\n"),
        *(edit.Remove(name) for name in gone),
    )
    apply(path, *changes)
    wanted = {name: what for name, what in before.items() if name not in gone}
    if kind == "plain":
        wanted |= {"/NEW": "folder", "/NEW/DEEP": "folder", "/NEW/DEEP/HELLO.TXT": sha(b"hello" * 2000)}
        wanted["/ADDED.CFG"] = sha(b"timeout 5\n")
    else:
        wanted |= {"/new": "folder", "/new/deep folder": "folder", "/added.cfg": sha(b"timeout 5\n")}
        wanted["/new/deep folder/hello.txt"] = sha(b"hello" * 2000)
    assert judges.xorriso_tree(path, tmp_path / "after") == wanted
    assert judges.routes(path) == judges.routes(isos(kind))
    assert judges.boot_facts(path) == judges.boot_facts(isos(kind))
    assert judges.sgdisk_problems(path) <= judges.sgdisk_problems(isos(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_undo_brings_back_every_byte(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    states = [path.read_bytes()]
    for number in range(3):
        apply(path, edit.Put(f"/f{number}.txt", bytes([number]) * 3000), edit.SetVolumeId(f"EDIT{number}"))
        states.append(path.read_bytes())
    with iso.open_image(path) as image:
        assert [record.sequence for record in edit.history(image)] == [3, 2, 1]
        assert image.descriptors.volumes[0].volume_id == "EDIT2"
    for state in reversed(states[:-1]):
        with edit.FileMedium(path) as medium:
            edit.undo(medium)
        assert path.read_bytes() == state
    with edit.FileMedium(path) as medium, pytest.raises(RefusedError, match="no edit"):
        edit.undo(medium)


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_cannot_be_kept_right_is_refused_and_untouched(isos: Isos, tmp_path: Path, kind: str) -> None:
    with iso.open_image(isos(kind)) as image, pytest.raises(RefusedError) as refused:
        edit.make_plan(image, [edit.Put("/x", b"x")], now=NOW)
    assert refused.value.hint


@pytest.mark.parametrize("kind", ["el_torito", "grub_rescue", "uefi_only"])
def test_the_end_cuts_no_piece_that_grub_reads(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    for number in range(3):
        apply(path, edit.Put(f"/new-{number}/x", b"x" * 3000))
        assert path.stat().st_size % (32 << 10) == 0
