"""Into a new file, cancelled, on a full disk, on an image that changed meanwhile: nothing half-done remains."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import CancelledError, DeviceError, RefusedError, SourceError
from mediakit.iso import edit
from mediakit.progress import Cancel, Event
from tests.iso.edit import judges
from tests.iso.edit.test_kinds import NOW, apply, copied

Isos = Callable[[str], Path]


def test_a_new_file_is_what_an_edit_in_place_makes(isos: Isos, tmp_path: Path) -> None:
    source = isos("isohybrid_gpt")
    before = source.read_bytes()
    changes = [edit.Put("/a", b"a" * 5000), edit.Overwrite("/boot/vmlinuz", b"short", "kernel", secret=True)]
    events: list[Event] = []
    with iso.open_image(source) as image:
        plan = edit.make_plan(image, changes, now=NOW)
        edit.write_new(image, plan, tmp_path / "new.iso", events.append)
    path = copied(isos, "isohybrid_gpt", tmp_path)
    apply(path, *changes)
    assert (tmp_path / "new.iso").read_bytes() == path.read_bytes()
    assert source.read_bytes() == before and events[-1].done_bytes == events[-1].total_bytes
    assert not list(tmp_path.glob("*.part"))
    with iso.open_image(path) as image:
        assert image.read("/boot/vmlinuz") == b"short".ljust(600, b"\0")


def test_cancelling_before_the_commit_leaves_everything_as_it_was(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "grub_gpt", tmp_path)
    before = path.read_bytes()
    cancel = Cancel()
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, [edit.Put("/big", bytes(range(256)) * 40_000)], now=NOW)
        with pytest.raises(CancelledError):
            edit.write_new(image, plan, tmp_path / "new.iso", lambda _: cancel.set(), cancel)
    assert not list(tmp_path.glob("new*"))
    cancel = Cancel()
    with edit.FileMedium(path) as medium, pytest.raises(CancelledError):
        edit.apply_in_place(medium, plan, lambda _: cancel.set(), cancel)
    assert path.read_bytes() == before


def test_a_source_that_shrinks_leaves_the_image_as_it_was(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "grub_gpt", tmp_path)
    before = path.read_bytes()
    source = tmp_path / "source"
    source.write_bytes(b"s" * 100_000)
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, [edit.Put("/s", source)], now=NOW)
        source.write_bytes(b"less")
        with pytest.raises(DeviceError, match="shorter"):
            edit.write_new(image, plan, tmp_path / "new.iso")
        with pytest.raises(SourceError):
            edit.make_plan(image, [edit.Put("/s", tmp_path / "missing")], now=NOW)
        with pytest.raises(SourceError):
            edit.make_plan(image, [edit.Put("/s", tmp_path)], now=NOW)
    with edit.FileMedium(path) as medium, pytest.raises(DeviceError, match="shorter"):
        edit.apply_in_place(medium, plan)
    assert path.read_bytes() == before and not (tmp_path / "new.iso").exists()


def test_an_image_that_changed_since_the_plan_is_refused(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "grub_gpt", tmp_path)
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, [edit.Put("/x", b"x")], now=NOW)
    apply(path, edit.Put("/y", b"y"))
    before = path.read_bytes()
    with edit.FileMedium(path) as medium, pytest.raises(RefusedError, match="another size"):
        edit.apply_in_place(medium, plan)
    assert path.read_bytes() == before


def test_what_windows_writes_into_the_mbr_does_not_hinder_undo(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    original = bytearray(path.read_bytes())
    apply(path, edit.Put("/x", b"x"))
    with path.open("r+b") as file:
        file.seek(440)
        file.write(b"WIN!")
    original[440:444] = b"WIN!"
    with edit.FileMedium(path) as medium:
        edit.undo(medium)
    assert path.read_bytes() == original


def test_undo_refuses_where_its_own_bytes_were_changed(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    apply(path, edit.Put("/x", b"x"))
    with path.open("r+b") as file:
        file.seek(16 * 2048 + 158)
        file.write(b"\x77")
    before = path.read_bytes()
    with edit.FileMedium(path) as medium, pytest.raises(RefusedError, match="changed by something else"):
        edit.undo(medium)
    assert path.read_bytes() == before


def test_two_editors_exclude_each_other(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "data_only", tmp_path)
    with edit.FileMedium(path), pytest.raises(RefusedError, match="another program"):
        edit.FileMedium(path)


def test_an_implanted_checksum_is_taken_out_rather_than_left_wrong(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_mbr", tmp_path)
    run.run(["implantisomd5", path], timeout=30)
    implanted = path.read_bytes()
    assert b"ISO MD5SUM" in implanted
    plan = apply(path, edit.Put("/x", b"x"))
    assert b"ISO MD5SUM" not in path.read_bytes()[32768:36864] and any("isomd5sum" in n for n in plan.notes)
    with edit.FileMedium(path) as medium:
        edit.undo(medium)
    assert path.read_bytes() == implanted


def test_no_more_is_written_than_the_plan_says(isos: Isos) -> None:
    with iso.open_image(isos("isohybrid_gpt")) as image:
        plan = edit.make_plan(image, [edit.Put("/ten", bytes(10_240))], now=NOW)
    document = plan.to_json()
    assert document["bytes_written"] == sum(r["size_bytes"] for r in document["regions"]) <= 2 << 20
    assert judges.sgdisk_problems(isos("isohybrid_gpt")) == 2


def test_a_new_file_takes_nobody_elses_name(isos: Isos, tmp_path: Path) -> None:
    """A download that is under way has the name it has; a link leads on; permissions stay."""
    download = tmp_path / "new.iso.part"
    download.write_bytes(b"half of a download")
    real = tmp_path / "elsewhere" / "real.iso"
    real.parent.mkdir()
    real.write_bytes(b"old")
    real.chmod(0o600)
    link = tmp_path / "new.iso"
    link.symlink_to(real)
    with iso.open_image(isos("grub_gpt")) as image:
        plan = edit.make_plan(image, [edit.Put("/a", b"a")], now=NOW)
        edit.write_new(image, plan, link)
    assert download.read_bytes() == b"half of a download"
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o600
    with iso.open_image(real) as image:
        assert image.read("/a") == b"a"
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "elsewhere", "new.iso", "new.iso.part", "real.iso",
    ]  # fmt: skip


def test_a_name_as_long_as_names_can_be(isos: Isos, tmp_path: Path) -> None:
    out = tmp_path / ("n" * 251 + ".iso")
    with iso.open_image(isos("grub_gpt")) as image:
        edit.write_new(image, edit.make_plan(image, [edit.Put("/a", b"a")], now=NOW), out)
    assert out.stat().st_size


def test_a_disk_that_fills_up_is_named_not_the_scratch_file(
    isos: Isos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with iso.open_image(isos("grub_gpt")) as image:
        plan = edit.make_plan(image, [edit.Put("/a", b"a")], now=NOW)
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(RefusedError) as caught:
            edit.write_new(image, plan, tmp_path / "new.iso")
    assert caught.value.message == f"{tmp_path} is full."
    assert not list(tmp_path.iterdir())
