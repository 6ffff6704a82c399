"""Compacted images of every kind: the same trees and boot facts, no history, nothing of what was replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import RefusedError
from mediakit.iso import edit
from mediakit.iso.compacting import anew
from mediakit.iso.compacting.compact import compact
from mediakit.iso.implanting import RENEWED, WRONG
from mediakit.units import MIB
from tests.iso.edit import judges
from tests.iso.edit.test_kinds import KINDS, apply, copied
from tests.isos import make

Isos = Callable[[str], Path]
SECRET = b"a password that must not be left over"
LOADERS = {"/isolinux/isolinux.bin", "/boot/grub/eltorito.img"}
"""They are told where they lie."""
MARKS = (b"mediakit edit", b"mediakit tail", SECRET)


def tables(path: Path) -> tuple[object, ...]:
    """Ids, types and names in MBR and GPT, and the boot code: what is the medium's own."""
    with iso.open_image(path) as image:
        found = image.facts().structures
        mbr, gpt = found.mbr, found.gpt.primary
        entries = [(p.index, p.type, p.active) for p in mbr.partitions] if mbr else []
        parts = [(p.index, p.name, p.type_guid, p.guid, p.attributes) for p in gpt.partitions] if gpt else []
        dates = [(v.kind, v.volume_id, v.created) for v in image.descriptors.volumes]
        return (
            found.mbr_kind, mbr and mbr.disk_id, entries, gpt and gpt.disk_guid, parts, found.filesystems,
            dates, image.read_at(0, 432) if mbr else b"", sorted(f.severity for f in image.facts().findings),
        )  # fmt: skip


def boot_facts(path: Path) -> list[list[str]]:
    """What xorriso says of the boot catalog but places, whatever the width of its columns."""
    lines = [str(line).split() for line in judges.boot_facts(path) if "catalog" not in str(line)]
    return [line[:-1] if "img" in line and "blks" not in line else line for line in lines]


def names(path: Path) -> dict[str, dict[str, tuple[object, ...]]]:
    """Every name of every tree, with what it says of its file but the place."""
    with iso.open_image(path) as image:
        return {
            tree.kind: {
                name: (node.kind, node.mode, node.moment, node.target, node.size_bytes)
                for name, node in tree.walk()
            }
            for tree in image.trees
        }


def edited(isos: Isos, kind: str, tmp_path: Path) -> tuple[Path, Path]:
    """An image after several edits, some of which replace others; and one with what is left of them as one."""
    path, once = copied(isos, kind, tmp_path), Path(shutil.copy(isos(kind), tmp_path / "once.iso"))
    with iso.open_image(path) as image:
        old = [name for name, node in image.tree.walk() if node.kind == "file" and "FILE" in name.upper()]
    folder = "/NEW" if kind == "plain" else "/new/deep folder"
    added = folder + "/ADDED.TXT"
    apply(path, edit.Put(added, SECRET * 2000), edit.Put(f"{folder}/GONE.TXT", SECRET))
    apply(path, edit.Put(added, SECRET), *(edit.Put(name, SECRET) for name in old[5:6]))
    apply(path, edit.Remove(f"{folder}/GONE.TXT"), edit.SetVolumeId("OTHER"))
    left: list[edit.Change] = [edit.Put(added, b"added"), *(edit.Put(name, b"new") for name in old[5:6])]
    left += [edit.Remove(name) for name in old[6:7]]
    apply(path, *left)
    apply(once, *left, edit.SetVolumeId("OTHER"))
    return path, once


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_image_loses_its_history_and_nothing_else(isos: Isos, tmp_path: Path, kind: str) -> None:
    path, once = edited(isos, kind, tmp_path)
    out = tmp_path / "out.iso"
    assert compact(path, out).way == "rebased"
    assert names(out) == names(path)
    assert judges.xorriso_tree(out, tmp_path / "a") == judges.xorriso_tree(path, tmp_path / "b")
    assert boot_facts(out) == boot_facts(path)
    assert judges.routes(out) == judges.routes(path)
    assert judges.sgdisk_problems(out) <= judges.sgdisk_problems(path)
    assert tables(out) == tables(path)
    assert out.stat().st_size <= once.stat().st_size
    data = out.read_bytes()
    assert [mark for mark in MARKS if mark in data] == []
    with iso.open_image(out) as image:
        assert edit.history(image) == ()


def test_edits_that_took_back_each_other_leave_the_original(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    apply(path, edit.Put("/x", SECRET), edit.SetVolumeId("OTHER"))
    apply(path, edit.Remove("/x"), edit.SetVolumeId("TEST"))
    assert compact(path, tmp_path / "out.iso").way == "rebased"
    assert (tmp_path / "out.iso").read_bytes() == isos("isohybrid_gpt").read_bytes()


def test_a_compacted_image_is_edited_and_compacted_again(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "grub_gpt", tmp_path)
    for number in range(3):
        apply(path, edit.Put("/counted", b"%d" % number), edit.Put("/boot/vmlinuz", b"new" * 900))
        compact(path, tmp_path / "out.iso")
        shutil.move(tmp_path / "out.iso", path)
        assert judges.sgdisk_problems(path) == 0 and judges.routes(path) == judges.routes(isos("grub_gpt"))
    assert path.stat().st_size < isos("grub_gpt").stat().st_size + 700_000


def test_folders_stay_when_what_was_in_them_goes(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "grub_gpt", tmp_path)
    apply(path, edit.Put("/empty folder/in it/x", b"x"))
    apply(path, edit.Remove("/empty folder/in it/x"))
    compact(path, tmp_path / "out.iso")
    assert names(tmp_path / "out.iso") == names(path)
    assert judges.isoinfo_names(tmp_path / "out.iso", "-J").keys() == judges.isoinfo_names(path, "-J").keys()


def test_replaced_boot_images_know_their_new_places(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    for mark in (b"1", b"2"):
        loader = make.ISOLINUX.read_bytes() + mark * 100
        apply(path, edit.Put("/isolinux/isolinux.bin", loader), edit.Put("/boot/grub/efi.img", make.esp()))
    compact(path, tmp_path / "out.iso")
    assert judges.routes(tmp_path / "out.iso") == judges.routes(isos("isohybrid_gpt"))
    assert boot_facts(tmp_path / "out.iso") == boot_facts(path)


def test_patches_stay_where_edits_moved_the_partition(isos: Isos, tmp_path: Path) -> None:
    """The appended EFI partition makes room for the first edit; the second one writes into it there."""
    path = copied(isos, "grub_appended", tmp_path)
    apply(path, edit.Put("/x", b"x"))
    with iso.open_image(path) as image:
        (start,) = (boot.offset_bytes for boot in image.facts().boot_images if boot.entry.is_efi)
    assert start > isos("grub_appended").stat().st_size
    apply(path, edit.Patch(start + 200_000, b"patched in its new place", "test"))
    compact(path, tmp_path / "out.iso")
    data = (tmp_path / "out.iso").read_bytes()
    with iso.open_image(tmp_path / "out.iso") as image:
        (start,) = (boot.offset_bytes for boot in image.facts().boot_images if boot.entry.is_efi)
    assert data[start + 200_000 :].startswith(b"patched in its new place")


@pytest.mark.parametrize(
    "kind",
    [
        "isohybrid_gpt",
        "isohybrid_apm",
        "grub_appended",
        "grub_gpt",
        "grub_bootable_flag",
        "el_torito",
    ],
)
def test_the_room_of_what_was_removed_is_given_back(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "large.iso"
    tree = shutil.copytree(isos(kind).parent / "tree", tmp_path / "tree", symlinks=True)
    (tree / "large").write_bytes(os.urandom(3 * MIB))
    make.KINDS[kind](tree, path)
    routes = judges.routes(path)
    apply(path, edit.Remove("/large"), edit.Put("/added", b"added"))
    out = tmp_path / "out.iso"
    assert compact(path, out).way == "anew"
    assert out.stat().st_size < path.stat().st_size - 2.9 * MIB
    assert judges.routes(out) == routes
    assert boot_facts(out) == boot_facts(path) and tables(out) == tables(path)
    old, new = (judges.xorriso_tree(image, tmp_path / "x") for image in (path, out))
    assert {name for name in old | new if old.get(name) != new.get(name)} <= LOADERS
    assert judges.sgdisk_problems(out) <= judges.sgdisk_problems(path)


@pytest.mark.parametrize("kind", ["udf_bridge", "windows", "hfs", "hfsplus", "level_4", "zisofs", "zisofs2"])
def test_what_would_be_lost_is_named_with_a_way_forward(isos: Isos, tmp_path: Path, kind: str) -> None:
    with pytest.raises(RefusedError, match="would lose") as refused:
        compact(isos(kind), tmp_path / "out.iso")
    assert "use it as it is" in (refused.value.hint or "")
    assert list(tmp_path.glob("out*")) == []


def test_several_sessions_become_one(isos: Isos, tmp_path: Path) -> None:
    out = tmp_path / "out.iso"
    done = compact(isos("multi_session"), out)
    assert done.way == "anew" and "became one" in done.notes[0]
    assert judges.xorriso_tree(out, tmp_path / "a") == judges.xorriso_tree(
        isos("multi_session"), tmp_path / "b"
    )


def test_a_worse_image_is_never_kept(isos: Isos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(image: iso.Image, out: Path) -> None:
        shutil.copy(image.path, out)
        with out.open("r+b") as file:
            file.seek(image.extents("/boot/File-09.module")[0].offset_bytes)
            file.write(b"spoilt")

    monkeypatch.setattr(anew, "write", spoilt)
    with pytest.raises(RefusedError, match=r"File-09\.module would have other content"):
        compact(isos("grub_gpt"), tmp_path / "out.iso")
    assert not (tmp_path / "out.iso").exists()


def test_a_worse_partition_is_never_kept(isos: Isos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An appended EFI image is no file: a byte of it that is another is seen all the same."""

    def spoilt(image: iso.Image, out: Path) -> None:
        shutil.copy(image.path, out)
        (boot,) = (boot for boot in image.facts().boot_images if boot.entry.is_efi)
        with out.open("r+b") as file:
            file.seek(boot.offset_bytes + boot.size_bytes - 512)
            file.write(b"spoilt")

    monkeypatch.setattr(anew, "write", spoilt)
    with pytest.raises(RefusedError, match="partition 2 would have other content"):
        compact(isos("grub_gpt"), tmp_path / "out.iso")


def test_an_edit_that_was_cut_off_comes_first(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "data_only", tmp_path)
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, [edit.Put("/x", b"x")], now=0)
    with path.open("r+b") as file:
        for region in plan.regions[:-1]:
            assert isinstance(region.source, bytes)
            file.seek(region.offset_bytes)
            file.write(region.source)
    with pytest.raises(RefusedError, match="cut off"):
        compact(path, tmp_path / "out.iso")


@pytest.mark.parametrize("room_bytes", [0, 3 * MIB])
def test_an_implanted_checksum_is_made_anew(isos: Isos, tmp_path: Path, room_bytes: int) -> None:
    """In the image as it was, and in one that was written anew; of the same bytes as isomd5sum's own."""
    tree = shutil.copytree(isos("isohybrid_gpt").parent / "tree", tmp_path / "tree", symlinks=True)
    (tree / "large").write_bytes(os.urandom(3 * MIB))
    path, out = tmp_path / "image.iso", tmp_path / "out.iso"
    make.KINDS["isohybrid_gpt"](tree, path)
    run.run(["implantisomd5", "--supported-iso", path], timeout=30)
    apply(path, edit.Put("/added", b"added"), *([edit.Remove("/large")] if room_bytes else []))
    done = compact(path, out)
    assert done.notes[-1] == RENEWED and done.way == ("anew" if room_bytes else "rebased")
    run.run(["checkisomd5", out], timeout=30)
    data = out.read_bytes()
    run.run(["implantisomd5", "--force", "--supported-iso", out], timeout=30)
    assert out.read_bytes() == data and b"RHLISOSTATUS=1" in data[:40000]


def test_damage_does_not_become_right_by_being_compacted(isos: Isos, tmp_path: Path) -> None:
    path, out = copied(isos, "isohybrid_gpt", tmp_path), tmp_path / "out.iso"
    run.run(["implantisomd5", path], timeout=30)
    with iso.open_image(path) as image:
        place = image.extents("/boot/vmlinuz")[0].offset_bytes
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"damage")
    apply(path, edit.Put("/added", b"added"))
    assert compact(path, out).notes[-1] == WRONG
    assert b"ISO MD5SUM" not in out.read_bytes()


def test_a_compressed_file_that_was_replaced_stays_so(isos: Isos, tmp_path: Path) -> None:
    path, out = copied(isos, "zisofs", tmp_path), tmp_path / "out.iso"
    apply(path, edit.Remove("/numbers.txt"), edit.Put("/numbers.txt", b"plain"))
    assert compact(path, out).way == "rebased"
    assert names(out) == names(path)
    with iso.open_image(out) as image:
        assert image.read("/numbers.txt") == b"plain" and image.read("/sub/zeros.bin")[-3:] == b"end"


def test_what_something_else_changed_is_written_anew(isos: Isos, tmp_path: Path) -> None:
    """The edits cannot be taken back then; they need not be."""
    path, out = copied(isos, "isohybrid_gpt", tmp_path), tmp_path / "out.iso"
    apply(path, edit.Put("/added", SECRET), edit.SetVolumeId("OTHER"))
    apply(path, edit.Put("/added", b"added"))
    with path.open("r+b") as file:
        file.seek(16 * 2048 + 40)
        file.write(b"ANOTHER ")
    assert compact(path, out).way == "anew"
    assert names(out)["rockridge"].keys() == names(path)["rockridge"].keys()
    assert b"ANOTHER" in out.read_bytes() and SECRET not in out.read_bytes()


def test_bytes_behind_the_image_are_not_carried_over(isos: Isos, tmp_path: Path) -> None:
    path, out = copied(isos, "data_only", tmp_path), tmp_path / "out.iso"
    with path.open("ab") as file:
        file.write(SECRET.ljust(8 * MIB))
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="no table names"):
        edit.make_plan(image, [edit.Put("/x", b"x")], now=0)
    assert "They were left out." in compact(path, out).notes[-1]
    assert SECRET not in out.read_bytes() and out.stat().st_size < 2 * MIB


def test_new_contents_take_the_places_of_old_ones(isos: Isos, tmp_path: Path) -> None:
    """However often an image is edited and compacted, it does not grow by what was replaced."""
    path, out = copied(isos, "grub_gpt", tmp_path), tmp_path / "out.iso"
    sizes = []
    for number in range(4):
        apply(
            path, edit.Put("/logo", bytes([number + 1]) * 400_000), edit.Put("/text", b"%d" % number * 9000)
        )
        assert compact(path, out).way == "rebased"
        sizes.append(out.stat().st_size)
        assert names(out) == names(path)
        shutil.move(out, path)
    assert sizes[3] - sizes[0] < 400_000 and bytes([1]) * 2048 not in path.read_bytes()
