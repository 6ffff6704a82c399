"""Names, folders and path tables after an edit, in each tree, as isoinfo and xorriso read them."""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import RefusedError, UsageError
from mediakit.formats import iso9660, iso9660_build
from mediakit.iso import edit
from tests.iso.edit import judges
from tests.iso.edit.test_kinds import NOW, apply, copied, sha

Isos = Callable[[str], Path]
VARIED = [
    "isohybrid_gpt",
    "isohybrid_apm",
    "isohybrid_tool",
    "grub_gpt",
    "grub_offset_gpt",
    "joliet_only",
    "plain",
]
LONG = "a name of " + "x" * 180 + " ü.conf"


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "isohybrid_tool", "joliet_only", "data_only"])
def test_isoinfo_sees_the_same_names_in_every_tree(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    before = {option: judges.isoinfo_names(path, option) for option in ("", "-R", "-J")}
    apply(
        path,
        edit.Put("/boot/brand new.cfg", b"n" * 5000),
        edit.Put("/boot/File-11.module", b"replaced" * 300),
        edit.Put("/New Folder/x.txt", b"x"),
        edit.Put("/zero", b""),
        edit.Remove("/boot/File-05.module"),
    )
    for option, old in before.items():
        now = judges.isoinfo_names(path, option)
        changed = {
            n for n in now.keys() | old.keys() if now.get(n) != old.get(n) and old.get(n, (0, 1))[1] != 0
        }
        folders = {n for n in changed if n in ("/boot", "/BOOT")}
        if option == "" or (kind == "joliet_only" and option == "-R"):
            added = {"/BOOT/BRAND_NE.CFG;1", "/NEW_FOLD", "/NEW_FOLD/X.TXT;1", "/ZERO.;1"}
        else:
            added = {"/boot/brand new.cfg", "/New Folder", "/New Folder/x.txt", "/zero"}
        assert added <= changed
        rest = changed - added - folders
        assert len(rest) == 2, rest  # the one that is replaced, and the one that is gone
        (gone,) = rest - now.keys()
        (other,) = rest & now.keys()
        assert now[other][1] == 2400 and "05" in gone.replace("005", "05")


@pytest.mark.parametrize("kind", VARIED)
def test_twenty_edits_in_a_row_and_back(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    original = path.read_bytes()
    before = judges.xorriso_tree(path, tmp_path / "tree")
    upper = (lambda name: name.upper().replace("-", "_")) if kind == "plain" else str
    for number in range(20):
        apply(path, edit.Put(f"/dir{number % 3}/sub/f-{number}.bin", bytes([number]) * 3000))
    wanted = dict(before)
    for number in range(20):
        folder = upper(f"/dir{number % 3}")
        wanted |= {folder: "folder", upper(f"{folder}/sub"): "folder"}
        wanted[upper(f"{folder}/sub/f-{number}.bin")] = sha(bytes([number]) * 3000)
    assert judges.xorriso_tree(path, tmp_path / "tree") == wanted
    assert judges.routes(path) == judges.routes(isos(kind))
    assert judges.sgdisk_problems(path) <= judges.sgdisk_problems(isos(kind))
    for _ in range(20):
        with edit.FileMedium(path) as medium:
            edit.undo(medium)
    assert path.read_bytes() == original


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "joliet_only", "plain", "isohybrid_tool"])
def test_path_tables_name_every_folder_in_order(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    with iso.open_image(path) as image:
        known = set(range(image.size_bytes // 2048)) if kind == "isohybrid_gpt" else set()
    apply(path, edit.Put("/zz/b/c/d.txt", b"d"), edit.Put("/aa/y.txt", b"y"), edit.Put("/zz/a/e.txt", b"e"))
    with iso.open_image(path) as image:
        for volume in image.descriptors.volumes:
            block = image.read_at(volume.lba * 2048, 2048)
            little, big = struct.unpack_from("<I", block, 140)[0], struct.unpack_from(">I", block, 148)[0]
            size = volume.path_table_bytes
            entries = iso9660_build.parse_path_table(image.read_at(little * 2048, size))
            assert entries == iso9660_build.parse_path_table(image.read_at(big * 2048, size), big_endian=True)
            assert [e.parent for e in entries] == sorted(e.parent for e in entries)
            lbas = folders(image, volume, known)
            assert sorted(e.lba for e in entries) == sorted(lbas)
            for entry in entries[1:]:
                assert lbas[entry.lba] == entries[entry.parent - 1].lba


def folders(image: iso.Image, volume: iso9660.VolumeDescriptor, lax: set[int]) -> dict[int, int]:
    """Block of each folder → block of the one it lies in; “.” and “..” must agree, but in ``lax`` ones:
    xorriso's Joliet trees name the wrong parent in deep folders."""
    found = {volume.root.lba: volume.root.lba}
    queue = [(volume.root.lba, volume.root.size_bytes)]
    while queue:
        lba, size = queue.pop()
        records = list(iso9660.parse_directory(image.read_at(lba * 2048, size)))
        assert (records[0].lba, records[0].size_bytes) == (lba, size)
        assert records[1].lba == found[lba] or lba in lax
        for record in records[2:]:
            if record.is_directory:
                found[record.lba] = lba
                queue.append((record.lba, record.size_bytes))
    return found


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "isohybrid_tool"])
def test_many_and_long_names_fill_folders_and_continuations(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    before = judges.xorriso_tree(path, tmp_path / "tree")
    names = [f"/many/{number:03} {LONG}" for number in range(40)] + [f"/many/f{n}" for n in range(100)]
    random.Random(1).shuffle(names)
    apply(path, *(edit.Put(name, name.encode()) for name in names))
    wanted = before | {"/many": "folder"} | {name: sha(name.encode()) for name in names}
    assert judges.xorriso_tree(path, tmp_path / "tree") == wanted
    joliet = judges.isoinfo_names(path, "-J")
    assert sum(name.startswith("/many/") for name in joliet) == len(names)
    with iso.open_image(path) as image:
        for tree in image.trees:
            many = tree.find("/many") or tree.find("/MANY")
            assert many is not None
            raws = iso9660_build.split_directory(image.read_at(*many.extents[0]))[2:]
            keys = [iso9660_build.sort_key(iso9660_build.record_name(r), tree.kind == "joliet") for r in raws]
            assert keys == sorted(keys) and len(set(keys)) == len(names)


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "joliet_only"])
def test_a_removed_folder_is_gone_from_every_tree(isos: Isos, tmp_path: Path, kind: str) -> None:
    """One of the image and one that an edit made; with all that is in them."""
    path = copied(isos, kind, tmp_path)
    apply(path, edit.Put("/made/in/x.txt", b"x"))
    apply(path, edit.Remove("/made"), edit.Remove("/deep"))
    for option in ("", "-R", "-J"):
        names = [name.lower() for name in judges.isoinfo_names(path, option)]
        assert names and not [name for name in names if name.startswith(("/made", "/deep"))]


def test_relocated_folders_stay_where_they_are(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_tool", tmp_path)
    before = judges.xorriso_tree(path, tmp_path / "tree")
    apply(path, edit.Put("/deep/a/b/c/d/e/beside", b"1"), edit.Put("/deep/a/b/c/d/e/f/beside", b"2"))
    wanted = before | {"/deep/a/b/c/d/e/beside": sha(b"1"), "/deep/a/b/c/d/e/f/beside": sha(b"2")}
    assert judges.xorriso_tree(path, tmp_path / "tree") == wanted
    with iso.open_image(path) as image:
        assert image.read("/deep/a/b/c/d/e/f/g/h/i/j/file.txt") == b"deep"
        logical = image.tree.find("/deep/a/b/c/d/e/f")
        moved = image.tree.find("/deep/a/b/c/d/e/f/g")
        assert logical is not None and moved is not None
        up = iso9660_build.split_directory(image.read_at(*moved.extents[0]))[1]
        at = up.index(b"PL\x0c\x01") + 4  # RRIP 4.1.5.2: where the folder lies logically
        assert struct.unpack_from("<I", up, at)[0] * 2048 == logical.extents[0].offset_bytes
        for name in ("/deep", "/deep/a/b/c/d/e/f/g"):
            with pytest.raises(RefusedError, match="relocation"):
                edit.make_plan(image, [edit.Remove(name)], now=NOW)


def test_a_relocated_folder_itself_is_edited(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "relocated", tmp_path)
    original = path.read_bytes()
    before = judges.xorriso_tree(path, tmp_path / "tree")
    deep = [name for name in before if name.endswith("level-23") and "rr_moved" not in name]
    middle = deep[0].split("/level-16")[0]
    assert deep and middle
    apply(
        path,
        edit.Put(f"{deep[0]}/in/new.txt", b"1"),
        edit.Put(f"{middle}/file.txt", b"2"),
        edit.Put(f"{middle}/x", b"3"),
    )
    wanted = before | {
        f"{deep[0]}/in": "folder",
        f"{deep[0]}/in/new.txt": sha(b"1"),
        f"{middle}/file.txt": sha(b"2"),
        f"{middle}/x": sha(b"3"),
    }
    assert judges.xorriso_tree(path, tmp_path / "tree") == wanted
    apply(path, edit.Put(f"{deep[0]}/again", b"4"))
    assert judges.xorriso_tree(path, tmp_path / "tree") == wanted | {f"{deep[0]}/again": sha(b"4")}
    names = judges.isoinfo_names(path, "-R")
    assert any(name.endswith("level-23/in/new.txt") for name in names)
    for _ in range(2):
        with edit.FileMedium(path) as medium:
            edit.undo(medium)
    assert path.read_bytes() == original


def test_a_file_above_4_gib_gets_several_extents(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    source = tmp_path / "large"
    with source.open("wb") as file:
        file.truncate((4 << 30) + 5000)
        file.seek((4 << 30) + 100)
        file.write(b"behind")
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, [edit.Put("/large", source)], now=NOW)
        planned = edit.planned_image(image, plan)
        node = planned.file("/large")
        assert node.size_bytes == (4 << 30) + 5000 and len(node.records) == 2
        (extent,) = planned.extents("/large")
        assert planned.read_at(extent.offset_bytes + (4 << 30) + 100, 6) == b"behind"
        joliet = planned.trees[1].find("/large")
        assert joliet is not None and joliet.extents == node.extents


def test_permissions_follow_the_neighbours(isos: Isos, tmp_path: Path) -> None:
    for kind, kernel in (("isohybrid_gpt", "-r--r--r--"), ("isohybrid_tool", "-rw-r--r--")):
        path = copied(isos, kind, tmp_path)
        put = [edit.Put("/run.sh", b"#!", mode=0o755), edit.Put("/dir/plain", b"p")]
        apply(path, *put, edit.Put("/boot/vmlinuz", b"k"))
        words = ["xorriso", "-no_rc", "-indev", path, "-find", "/", "-exec", "lsdl"]
        report = run.run(words, timeout=30).text.splitlines()
        modes = {line.split("'")[1]: line.split()[0] for line in report if line.count("'") == 2}
        assert modes["/run.sh"] == "-rwxr-xr-x"
        assert modes["/dir/plain"] == "-r--r--r--" and modes["/boot/vmlinuz"] == kernel
        assert modes["/dir"] == modes["/boot"]


def test_requests_that_make_no_sense(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("isohybrid_gpt")) as image:
        for change in (
            edit.Put("relative", b""),
            edit.Put("/", b""),
            edit.Put("/a/../b", b""),
            edit.Put("/boot", b"a folder"),
            edit.Put("/boot/vmlinuz/inside", b"a file"),
            edit.Remove("/nothing"),
            edit.SetVolumeId(""),
            edit.SetVolumeId("x" * 33),
            edit.Patch(image.size_bytes - 1, b"xx", "outside"),
        ):
            with pytest.raises(UsageError):
                edit.make_plan(image, [change], now=NOW)
        for change in (
            edit.Overwrite("/boot/vmlinuz", b"x" * 601, "too large"),
            edit.Remove("/isolinux"),
            edit.Put("/isolinux/boot.cat", b"x"),
            edit.Put("/isolinux/isolinux.bin", b"no boot loader at all" * 100),
        ):
            with pytest.raises(RefusedError):
                edit.make_plan(image, [change], now=NOW)
        forced = edit.make_plan(image, [edit.Remove("/isolinux")], now=NOW, force=True)
        assert any(note.startswith("It no longer boots by BIOS from disc: ") for note in forced.notes)
        again = [
            edit.Put("/isolinux/isolinux.bin", image.read("/isolinux/isolinux.bin")),
            edit.Remove("/isolinux"),
        ]
        edit.make_plan(image, again, now=NOW, force=True)
        with pytest.raises(UsageError, match="at once"):
            both = [edit.Overwrite("/boot/vmlinuz", b"x", "kernel"), edit.Put("/boot/vmlinuz", b"y")]
            edit.make_plan(image, both, now=NOW)


def test_a_link_on_the_way_is_followed_and_one_at_the_end_replaced(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    before = judges.xorriso_tree(path, tmp_path / "tree")
    apply(path, edit.Put("/link/new", b"n"))
    assert judges.xorriso_tree(path, tmp_path / "tree") == before | {"/deep/a/b/new": sha(b"n")}
    apply(path, edit.Put("/link", b"a file now"))
    assert judges.xorriso_tree(path, tmp_path / "tree")["/link"] == sha(b"a file now")


def test_boot_images_are_replaced_with_all_that_names_them(isos: Isos, tmp_path: Path) -> None:
    for kind, name in (("isohybrid_gpt", "/isolinux/isolinux.bin"), ("grub_gpt", "/boot/grub/eltorito.img")):
        path = copied(isos, kind, tmp_path)
        original = path.read_bytes()
        with iso.open_image(path) as image:
            longer = image.read(name) + b"and a bit more"
        apply(path, edit.Put(name, longer))
        assert judges.routes(path) == judges.routes(isos(kind))
        words = ["xorriso", "-no_rc", "-indev", path, "-report_el_torito", "plain"]
        report = run.run(words, timeout=60).text
        assert f"El Torito img path :   1  {name}" in report and "boot-info-table" in report
        with edit.FileMedium(path) as medium:
            edit.undo(medium)
        assert path.read_bytes() == original
    path = Path(shutil.copy(isos("isohybrid_gpt"), tmp_path / "image.iso"))
    with iso.open_image(path) as image:
        larger = image.read("/boot/grub/efi.img") + bytes(64 << 10)
    apply(path, edit.Put("/boot/grub/efi.img", larger))
    assert judges.routes(path) == judges.routes(isos("isohybrid_gpt"))
    assert judges.sgdisk_problems(path) <= judges.sgdisk_problems(isos("isohybrid_gpt"))


def test_hidden_and_associated_records_are_kept_as_they_are(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "isohybrid_gpt", tmp_path)
    flags = {"/boot/File-11.module": iso9660.FLAG_HIDDEN, "/boot/File-12.module": iso9660.FLAG_ASSOCIATED}
    with iso.open_image(path) as image:
        places = {image.file(name).records[0].offset_bytes: flag for name, flag in flags.items()}
    with path.open("r+b") as file:
        for offset, flag in places.items():
            file.seek(offset + 25)
            file.write(bytes([flag]))
    before = records(path, "/boot")
    apply(path, edit.Put("/boot/new", b"n"), edit.Put("/boot/File-13.module", b"r"))
    after = records(path, "/boot")
    assert [raw for raw in before if raw not in after][2:] == [raw for raw in before if b"File-13" in raw]
    assert {raw[25] for raw in after} >= set(flags.values())


def records(path: Path, folder: str) -> list[bytes]:
    with iso.open_image(path) as image:
        node = image.tree.find(folder)
        assert node is not None
        return iso9660_build.split_directory(image.read_at(*node.extents[0]))


def test_only_a_compressed_file_itself_cannot_be_replaced(isos: Isos, tmp_path: Path) -> None:
    path = copied(isos, "zisofs", tmp_path)
    with iso.open_image(path) as image:
        packed = next(name for name, node in image.tree.walk() if node.is_zisofs)
        with pytest.raises(RefusedError, match="zisofs"):
            edit.make_plan(image, [edit.Put(packed, b"x")], now=NOW)
        with pytest.raises(RefusedError):
            edit.make_plan(image, [edit.Overwrite(packed, b"x", "a room")], now=NOW)
        contents = image.read(packed)
    apply(path, edit.Put("/new", b"n"))
    with iso.open_image(path) as image:
        assert image.read(packed) == contents and image.read("/new") == b"n"


@pytest.mark.parametrize("kind", ["grub_gpt", "isohybrid_tool", "relocated"])
def test_grub_reads_the_new_files_and_isovfy_finds_no_fault(isos: Isos, tmp_path: Path, kind: str) -> None:
    path = copied(isos, kind, tmp_path)
    for number in range(3):
        apply(path, edit.Put(f"/boot/new dir/{number} {LONG}", b"long %d" % number), edit.Put("/short", b"s"))
    for name, contents in (("/short", b"s"), (f"/boot/new dir/2 {LONG}", b"long 2")):
        assert run.run(["grub-fstest", path, "cat", f"(loop0){name}"], timeout=20).stdout == contents
    assert "No errors found" in run.run(["isovfy", path], timeout=20).text
