"""What comes out of an image is what xorriso extracts; what is hostile in it touches nothing outside the folder."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.cli.main import main
from mediakit.errors import CancelledError, DeviceError, MediakitError, RefusedError, SourceError
from mediakit.formats.iso9660 import moment_seconds
from mediakit.iso.extraction import Extraction, extract
from mediakit.iso.outdir import NameRefusedError, OutputFolder
from mediakit.progress import Cancel
from tests.isos import make

Isos = Callable[[str], Path]
LINKS = {"good": "folder/file", "up": "../folder", "dot": ".", "away": "/etc/passwd", "outside": "../../x"}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with all that is no plain file, as mkisofs -R writes it: modes and owners as they are."""
    root = tmp_path_factory.mktemp("odd") / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "folder/file").write_bytes(b"content" * 1000)
    (root / "tool").write_bytes(b"#!/bin/sh\n")
    (root / "tool").chmod(0o6755)
    (root / "private").write_bytes(b"")
    (root / "private").chmod(0o600)
    (root / "sparse").write_bytes(b"x" + bytes(300_000) + b"y" + bytes(200_000))
    (root / "zeros").write_bytes(bytes(1 << 20))
    (root / "two\nlines\x1b[31m").write_bytes(b"1")
    os.mkfifo(root / "pipe")
    (root / "readonly").mkdir()
    (root / "readonly/inside").write_bytes(b"in")
    for name, target in LINKS.items():
        (root / ("folder" if name == "up" else ".") / name).symlink_to(target)
    for path in root.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    (root / "readonly").chmod(0o1555)
    out = root.parent / "odd.iso"
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", out, root], timeout=60)
    return out


def unpack(image: Path, folder: Path, *paths: str, force: bool = False) -> Extraction:
    with iso.open_image(image) as opened:
        return extract(opened, paths or ("/",), folder, force=force)


def patched(image: Path, copy: Path, *changes: tuple[bytes, bytes]) -> Path:
    """A copy in which every occurrence of some bytes is replaced by others of the same length."""
    data = image.read_bytes()
    for old, new in changes:
        assert len(old) == len(new) and old in data
        data = data.replace(old, new)
    copy.write_bytes(data)
    return copy


def hostile(tmp_path: Path, links: dict[str, str], *changes: tuple[bytes, bytes]) -> Path:
    """A small image with links, then patched."""
    root = tmp_path / "hostile"
    (root / "d/e").mkdir(parents=True)
    (root / "d/e/file").write_bytes(b"file")
    (root / "plain").write_bytes(b"plain")
    for name, target in links.items():
        (root / name).symlink_to(target)
    out = tmp_path / "hostile.iso"
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", out, root], timeout=60)
    return patched(out, tmp_path / "patched.iso", *changes)


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "joliet_only", "plain", "udf_bridge", "grub_offset"])
def test_xorriso_extracts_the_same(isos: Isos, kind: str, tmp_path: Path) -> None:
    found = unpack(isos(kind), tmp_path / "ours")
    assert found.exit_status == 0 and not (found.skipped or found.failed or found.damaged)
    argv = ["xorriso", "-no_rc", "-osirrox", "on", "-indev", isos(kind), "-extract", "/", tmp_path / "theirs"]
    run.run(argv, timeout=60)
    run.run(["diff", "-r", "--no-dereference", tmp_path / "ours", tmp_path / "theirs"], timeout=60)
    ours = {str(p.relative_to(tmp_path / "ours")) for p in (tmp_path / "ours").rglob("*")}
    assert ours == {record.path[1:] for record in found.extracted}
    if kind == "isohybrid_gpt":
        for name in ours:
            mine, other = (tmp_path / side / name for side in ("ours", "theirs"))
            if mine.is_file() and not mine.is_symlink():
                assert mine.stat().st_mode == other.stat().st_mode, name
                assert mine.stat().st_mtime == other.stat().st_mtime, name


@pytest.mark.parametrize("kind", ["windows", "zisofs"])
def test_udf_and_compressed_files_come_out_as_they_went_in(isos: Isos, kind: str, tmp_path: Path) -> None:
    found = unpack(isos(kind), tmp_path / "out")
    with iso.open_image(isos(kind)) as image:
        sizes = {record.path: record.size_bytes for record in image.files() if record.kind == "file"}
        contents = {path: b"".join(image.stream(path)) for path in sizes}
        moments = {path: moment_seconds(image.file(path).moment) for path in sizes}
    assert {one.path: one.size_bytes for one in found.extracted if one.kind == "file"} == sizes
    for path, content in contents.items():
        assert (tmp_path / f"out{path}").read_bytes() == content
        assert (tmp_path / f"out{path}").stat().st_mtime == moments[path]
    assert found.exit_status == 0 and len(sizes) > 3


def test_what_comes_out_shorter_than_its_folder_says_is_damage(
    isos: Isos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iso.Image, "stream", lambda image, path: iter([b"short"]))
    found = unpack(isos("zisofs"), tmp_path / "out")
    assert found.exit_status == 3 and "length" in found.damaged[0].cause
    assert not (tmp_path / f"out{found.damaged[0].path}").exists()


def test_modes_times_holes_and_links_are_kept_and_what_is_dangerous_is_not(odd: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = unpack(odd, out)
    assert stat.S_IMODE((out / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "private").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "readonly").stat().st_mode) == 0o755, "a folder can be deleted again"
    assert {p.lstat().st_mtime for p in out.rglob("*")} == {1_000_000_000}
    assert (out / "sparse").read_bytes() == b"x" + bytes(300_000) + b"y" + bytes(200_000)
    assert (out / "sparse").stat().st_blocks * 512 <= 16384
    assert ((out / "zeros").stat().st_size, (out / "zeros").stat().st_blocks) == (1 << 20, 0)
    assert (out / "two\nlines\x1b[31m").read_bytes() == b"1"
    assert (out / "good").readlink() == Path("folder/file")
    assert (out / "folder/up").readlink() == Path("../folder")
    assert (out / "dot").readlink() == Path()
    assert not any(os.path.lexists(out / name) for name in ("away", "outside", "pipe"))
    why = {one.path: one.why for one in found.skipped}
    assert set(why) == {"/away", "/outside", "/pipe"}
    assert "/etc/passwd" in why["/away"] and "pipe" in why["/pipe"]
    assert found.exit_status == 0


def test_names_and_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    image = hostile(tmp_path, {"zz": "plain", "a_b": "plain", "ok": "plain"}, (b"zz", b".."))
    found = unpack(image, tmp_path / "out")
    assert found.exit_status == 3 and "no system allows" in found.damaged[0].cause
    image = patched(tmp_path / "hostile.iso", tmp_path / "patched.iso", (b"a_b", b"a/b"))
    assert unpack(image, tmp_path / "out2").exit_status == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "hostile", "hostile.iso", "out", "out2", "patched.iso"
    ]  # fmt: skip


def test_a_chain_of_links_does_not_lead_out_either(tmp_path: Path) -> None:
    """“up” is the folder itself, so “sly” would be above it; “late” would be, once somebody adds a link."""
    links = {"d/e/up": "../..", "sly": "d/e/up/../x", "late": "none/../../x", "fine": "d/e/../e/file"}
    found = unpack(hostile(tmp_path, links), tmp_path / "out")
    assert {one.path for one in found.skipped} == {"/sly", "/late"}
    assert (tmp_path / "out/fine").read_bytes() == b"file"
    for path in (tmp_path / "out").rglob("*"):
        assert path.resolve().is_relative_to(tmp_path / "out"), path


def test_nothing_is_written_through_a_link_of_the_image(tmp_path: Path) -> None:
    """Two records of one name in a folder: a link to elsewhere, then a folder with a file in it."""
    image = hostile(tmp_path, {"c": "plain"})
    with iso.open_image(image) as opened:
        folder = opened.tree.find("/d")
        assert folder
        record = folder.records[0]
    data = bytearray(image.read_bytes())
    at = data.index(b"NM\x06\x01\x00d", record.offset_bytes)
    data[at + 5] = ord("c")
    image.write_bytes(data)
    found = unpack(image, tmp_path / "out")
    kinds = {r.path: r.kind for r in found.extracted}
    assert kinds.get("/c") in ("symlink", "directory")
    assert len([p for p in kinds if p == "/c"]) == 1


def test_a_link_that_lies_in_the_folder_is_never_followed(isos: Isos, tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    out.mkdir()
    (out / "boot").symlink_to(outside)
    (out / "empty").symlink_to(outside / "new")
    with pytest.raises(RefusedError, match="/boot"):
        unpack(isos("data_only"), out)
    assert sorted(p.name for p in out.iterdir()) == ["boot", "empty"], "nothing was written"
    found = unpack(isos("data_only"), out, force=True)
    assert found.exit_status == 0
    assert list(outside.iterdir()) == []
    assert (out / "boot/vmlinuz").read_bytes() == b"kernel" * 100 and not (out / "boot").is_symlink()
    assert not (out / "empty").is_symlink()


def test_existing_files_are_refused_or_replaced_not_written_into(isos: Isos, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "boot").mkdir(parents=True)
    (out / "boot/vmlinuz").write_text("mine")
    (out / "boot/other").write_text("mine too")
    os.link(out / "boot/vmlinuz", tmp_path / "second name")
    os.link(out / "boot/vmlinuz", out / "empty")
    with pytest.raises(RefusedError, match="/boot/vmlinuz"):
        unpack(isos("data_only"), out, "/boot/vmlinuz")
    assert unpack(isos("data_only"), out, "/deep").exit_status == 0, "beside them is no harm"
    assert unpack(isos("data_only"), out, "/boot", "/empty", force=True).exit_status == 0
    assert (out / "boot/vmlinuz").read_bytes() == b"kernel" * 100 and (out / "empty").read_bytes() == b""
    assert (tmp_path / "second name").read_text() == "mine" and (out / "boot/other").read_text() == "mine too"
    (out / "empty").unlink()
    (out / "empty").mkdir()
    with pytest.raises(RefusedError, match="is a folder"):
        unpack(isos("data_only"), out, "/empty", force=True)
    assert not list(out.rglob(".mediakit*"))


def test_one_file_a_tree_and_several_keep_their_paths(isos: Isos, tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpack(isos("data_only"), out, "/boot/vmlinuz", "deep/a/b", "/link/c", "/boot/vmlinuz")
    assert (out / "boot/vmlinuz").is_file() and not (out / "boot/grub").exists()
    assert (out / make.DEEP / "file.txt").read_text() == "deep"
    assert (out / "link/c/d/e/f/g/h/i/j/file.txt").read_text() == "deep" and not (out / "link").is_symlink()
    for path in ("/no", "/boot/vmlinuz/x"):
        with pytest.raises(SourceError, match="is not in the image"):
            unpack(isos("data_only"), tmp_path / "none", "/boot", path)
    assert not (tmp_path / "none").exists(), "nothing is made before all paths are known"


def test_a_truncated_image_names_file_and_range_and_leaves_no_part(isos: Isos, tmp_path: Path) -> None:
    image = tmp_path / "short.iso"
    image.write_bytes(isos("data_only").read_bytes())
    with iso.open_image(image) as opened:
        extent = opened.extents("/boot/File-59.module")[0]
    os.truncate(image, extent.offset_bytes + 1000)
    found = unpack(image, tmp_path / "out")
    damage = {d.path: d for d in found.damaged}["/boot/File-59.module"]
    assert (damage.offset_bytes, damage.size_bytes) == (extent.offset_bytes + 1000, extent.size_bytes - 1000)
    assert found.exit_status == 3 and not (tmp_path / "out/boot/File-59.module").exists()
    assert (tmp_path / "out/boot/File-58.module").stat().st_size == 5800


def test_a_folder_inside_itself_ends_there(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("plain")) as image:
        node, parent = image.tree.find("/boot/grub"), image.tree.find("/boot")
        assert node and parent
    data = bytearray(isos("plain").read_bytes())
    struct.pack_into("<I", data, node.records[0].offset_bytes + 2, parent.extents[0].offset_bytes // 2048)
    (tmp_path / "loop.iso").write_bytes(data)
    found = unpack(tmp_path / "loop.iso", tmp_path / "out")
    assert "/BOOT/GRUB" in [d.path for d in found.damaged] and found.exit_status == 3
    assert (tmp_path / "out/BOOT/VMLINUZ").is_file()


def test_several_extents_are_joined(tmp_path: Path) -> None:
    """Two records of one name with the multi-extent flag, apart from each other."""
    (tmp_path / "tree").mkdir()
    for name, content in (("A.BIN", b"a" * 2048), ("B.BIN", b"between"), ("C.BIN", b"c" * 3000)):
        (tmp_path / "tree" / name).write_bytes(content)
    image = tmp_path / "two.iso"
    run.run(["genisoimage", "-quiet", "-o", image, tmp_path / "tree"], timeout=60)
    with iso.open_image(image) as opened:
        records = {name: opened.file(f"/{name}.BIN").records[0] for name in "ABC"}
    data = bytearray(image.read_bytes())
    first, second, third = (records[name].offset_bytes for name in "ABC")
    data[first + 25] |= 0x80
    data[second + 33], data[third + 33] = b"AB"
    data[second + 2 : second + 18], data[third + 2 : third + 18] = (
        data[third + 2 : third + 18],
        data[second + 2 : second + 18],
    )
    image.write_bytes(data)
    unpack(image, tmp_path / "out")
    assert (tmp_path / "out/A.BIN").read_bytes() == b"a" * 2048 + b"c" * 3000
    assert (tmp_path / "out/B.BIN").read_bytes() == b"between"


def test_a_full_disk_is_said_and_the_part_removed(
    isos: Isos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def full(descriptor: int, data: bytes, position: int) -> int:
        if len(data) > 5000:
            real(descriptor, data[:100], position)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DeviceError, match="is full") as caught:
        unpack(isos("data_only"), tmp_path / "out", "/boot")
    assert caught.value.exit_status == 5
    assert all(p.stat().st_size <= 5000 for p in (tmp_path / "out/boot").iterdir() if p.is_file())


class Soon(Cancel):
    """Somebody presses Ctrl-C after a few files, while a block is being written."""

    left = 8

    def check(self) -> None:
        self.left -= 1
        if not self.left:
            raise CancelledError


def test_cancelling_leaves_no_part(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("data_only")) as image:
        with pytest.raises(CancelledError):
            extract(image, ["/boot"], tmp_path / "out", cancel=Soon())
        left = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
        sizes = {record.path[1:]: record.size_bytes for record in image.files()}
    assert [p.stat().st_size for p in left] == [sizes[str(p.relative_to(tmp_path / "out"))] for p in left]
    assert 0 < len([p for p in left if p.stat().st_size]) < 10


def test_a_name_that_equals_another_to_the_filesystem_does_not_replace_it(tmp_path: Path) -> None:
    with OutputFolder(tmp_path / "out") as out:
        assert out.write_file("/name", 0o644, [b"first"], None) == 5
        with pytest.raises(NameRefusedError):
            out.write_file("/name", 0o644, [b"other"], None)
        out.allow_replacing("/name")
        out.write_file("/name", 0o644, [b"second"], 1_000_000_000)
        with pytest.raises(NameRefusedError):
            out.write_file("/name", 0o644, [b"third"], None)
        with pytest.raises(NameRefusedError):
            out.write_file("/" + "n" * 300, 0o644, [b""], None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["name"]
    assert (tmp_path / "out/name").read_bytes() == b"second"


def test_the_command_prints_sentences_or_json(
    odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["extract", str(odd), "/", "-o", out]) == 0
    shown = capsys.readouterr()
    assert "7 files, 2 folders, 3 links" in shown.out and "/pipe was left out" in shown.err
    assert main(["extract", str(odd), "/folder/file", "-o", out]) == 4
    assert "--force" in capsys.readouterr().err
    assert main(["extract", str(odd), "/folder/file", "/away", "-o", out, "--force", "--json"]) == 3
    assert main(["extract", str(odd), "/folder/file", "-o", out, "--force", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["extracted"] == [
        {"path": "/folder", "size_bytes": 0, "kind": "directory"},
        {"path": "/folder/file", "size_bytes": 7000, "kind": "file"},
    ]
    assert (document["schema"], document["skipped"], document["failed"], document["damaged"]) == (
        1,
        [],
        [],
        [],
    )
    assert main(["extract", str(odd), "/private", "-o", out + "2", "--progress", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["phase"] == "extract" and lines[-1]["event"] == "result"
    assert main(["extract", str(odd), "../x", "-o", out]) == 2
    assert main(["extract", str(tmp_path / "missing"), "/", "-o", out]) == 3
    (tmp_path / "file").touch()
    assert main(["extract", str(odd), "/", "-o", str(tmp_path / "file")]) == 4


def test_mutated_images_stay_inside_the_folder(odd: Path, tmp_path: Path) -> None:
    """Bytes of folders and descriptors changed at random, names and links among them (seeded)."""
    rng = random.Random(4)
    whole = odd.read_bytes()
    image, out = tmp_path / "image.iso", tmp_path / "below/out"
    statuses = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 4, 16])):
            data[rng.randrange(16 * 2048, 64 * 2048)] = rng.choice([0, 1, 255, 46, 47, rng.randrange(256)])
        if rng.random() < 0.5:
            data = data.replace(rng.choice([b"folder", b"readon", b"privat"]), b"../../")
        image.write_bytes(data)
        try:
            statuses.add(unpack(image, out).exit_status)
        except MediakitError as error:
            statuses.add(error.exit_status)
        if out.exists():
            for path in out.rglob("*"):
                assert path.resolve().is_relative_to(out) and not path.lstat().st_mode & 0o7000, path
            assert list(out.parent.iterdir()) == [out]
            shutil.rmtree(out.parent)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["image.iso"]
    assert statuses >= {0, 3} and statuses <= {0, 3, 5}


def test_sigterm_ends_it_between_two_blocks(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.pwrite

    def terminated(descriptor: int, data: bytes, position: int) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", terminated)
    assert main(["extract", str(odd), "/", "-o", str(tmp_path / "out")]) == 130
    assert "Cancelled" in capsys.readouterr().err
    assert len([p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.stat().st_size]) == 1
