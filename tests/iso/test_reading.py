"""Trees of every kind of image, compared with xorriso and isoinfo."""

from __future__ import annotations

import os
import shlex
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import FormatError, SourceError
from tests.isos import make

Isos = Callable[[str], Path]


def xorriso_sizes(path: Path) -> dict[str, int]:
    """Path → size of every file, as xorriso sees the tree."""
    words = ["xorriso", "-no_rc", "-indev", path, "-find", "/", "-type", "f", "-exec", "lsdl", "--"]
    lines = run.run(words, timeout=60).text.splitlines()
    found = {}
    for line in lines:
        fields = line.split(maxsplit=8)
        found[shlex.split(fields[8])[0]] = int(fields[4])
    return found


# odd names break its listing into lines, and xorriso knows no UDF: test_kinds.py has both
@pytest.mark.parametrize("kind", sorted(set(make.KINDS) - {"joliet_only", "odd_names", "windows"}))
def test_xorriso_sees_the_same_files(isos: Isos, kind: str) -> None:
    with iso.open_image(isos(kind)) as image:
        ours = {f.path: f.size_bytes for f in image.files() if f.kind == "file"}
    ours = {path: size for path, size in ours.items() if "/boot.cat" not in path}  # xorriso: no ordinary file
    assert ours and ours == xorriso_sizes(isos(kind))


@pytest.mark.parametrize("kind", ["grub_gpt", "isohybrid_tool", "joliet_only", "plain", "udf_bridge"])
def test_every_file_has_the_bytes_that_went_in(isos: Isos, kind: str, iso_folder: Path) -> None:
    root = make.tree(iso_folder)
    names = [str(p.relative_to(root)) for p in sorted(root.rglob("*")) if p.is_file() and not p.is_symlink()]
    if kind in ("plain", "joliet_only"):  # cut or changed by these trees: the long one, and ISO 9660's own
        names = ["boot/vmlinuz", "boot/grub/grub.cfg", make.DEEP + "/file.txt"]
    for name in names:
        if "isolinux.bin" in name or "eltorito" in name:  # boot information tables were put in
            continue
        with iso.open_image(isos(kind)) as image:
            assert image.read("/" + name) == (root / name).read_bytes(), name
            assert sum(e.size_bytes for e in image.extents("/" + name)) == (root / name).stat().st_size


def test_plain_names_are_found_without_regard_to_capitals(isos: Isos) -> None:
    with iso.open_image(isos("plain")) as image:
        assert image.tree.kind == "iso9660"
        assert image.read("/boot/vmlinuz") == b"kernel" * 100


@pytest.mark.parametrize("kind", ["grub_gpt", "isohybrid_tool"])
def test_joliet_holds_the_same_as_isoinfo_lists(isos: Isos, kind: str) -> None:
    listed = run.run(["isoinfo", "-J", "-f", "-i", isos(kind)], timeout=20).text.splitlines()
    with iso.open_image(isos(kind)) as image:
        joliet = next(tree for tree in image.trees if tree.kind == "joliet")
        ours = {path.encode("ascii", "ignore") for path, _ in joliet.walk()}
    assert ours == {line.split(";")[0].encode("ascii", "ignore") for line in listed}


def test_links_deep_folders_and_long_names_are_followed(isos: Isos) -> None:
    for kind in ("grub_gpt", "isohybrid_tool"):  # genisoimage relocates deep folders, xorriso does not
        with iso.open_image(isos(kind)) as image:
            assert image.read("/" + make.DEEP + "/file.txt") == b"deep"
            assert image.read("/link/" + make.DEEP.removeprefix("deep/a/b/") + "/file.txt") == b"deep"
            assert image.read("/" + make.LONG, 2) == b"lo"
            assert image.extents("/empty") == () and image.read("/empty") == b""
            assert not image.exists("/no") and not image.exists("/boot/vmlinuz/x") and image.exists("/boot")
            with pytest.raises(SourceError):
                image.extents("/no")
            with pytest.raises(SourceError):
                image.read("/boot")


def test_a_file_above_4_gib_comes_back_whole(tmp_path: Path) -> None:
    """Two records of one name, the first with the multi-extent flag, as mkisofs writes them; sparse here."""
    (tmp_path / "tree").mkdir()
    for name in ("A.BIN", "B.BIN"):
        (tmp_path / "tree" / name).write_bytes(b"x")
    out = tmp_path / "big.iso"
    run.run(["genisoimage", "-quiet", "-iso-level", "3", "-o", out, tmp_path / "tree"], timeout=60)
    with iso.open_image(out) as image:
        first, second = (image.file(name).records[0] for name in ("/A.BIN", "/B.BIN"))
    lba, step = 300, 0xFFFFF800
    size = step + 3 * 2048 + 5
    with out.open("r+b") as file:
        for record, start, length, flags in (
            (first, lba, step, 0x80),
            (second, lba + step // 2048, size - step, 0),
        ):
            file.seek(record.offset_bytes + 2)
            file.write(struct.pack("<I", start) + struct.pack(">I", start))
            file.write(struct.pack("<I", length) + struct.pack(">I", length))
            file.seek(record.offset_bytes + 25)
            file.write(bytes([flags]))
            file.seek(record.offset_bytes + 33)
            file.write(b"A.BIN;1")
        file.seek(lba * 2048 + size - 5)
        file.write(b"end!!")
    with iso.open_image(out) as image:
        assert [(f.path, f.size_bytes) for f in image.files()] == [("/A.BIN", size)]
        assert image.extents("/A.BIN") == ((lba * 2048, size),)
        assert image.read_at(sum(image.extents("/A.BIN")[-1]) - 5, 5) == b"end!!"
    assert xorriso_sizes(out) == {"/A.BIN": size}


def damaged(path: Path, tmp_path: Path, offset: int, raw: bytes) -> Path:
    copy = tmp_path / "damaged.iso"
    data = bytearray(path.read_bytes())
    data[offset : offset + len(raw)] = raw
    copy.write_bytes(data)
    return copy


def test_a_folder_inside_itself_is_an_error_and_not_a_hang(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("plain")) as image:
        node = image.tree.find("/boot/grub")
        parent = image.tree.find("/boot")
        assert node and parent
        record = node.records[0].offset_bytes
        lba = (parent.extents[0].offset_bytes // 2048).to_bytes(4, "little")
    with (
        iso.open_image(damaged(isos("plain"), tmp_path, record + 2, lba)) as image,
        pytest.raises(FormatError),
    ):
        list(image.files())


def test_absurd_lengths_and_places_are_an_error(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("grub_gpt")) as image:
        node = image.tree.find("/boot")
        kernel = image.tree.find("/boot/vmlinuz")
        assert node and kernel
    for at, raw in ((10, b"\xff\xff\xff\xff"), (2, b"\xff\xff\xff\x7f")):
        copy = damaged(isos("grub_gpt"), tmp_path, node.records[0].offset_bytes + at, raw)
        with iso.open_image(copy) as image, pytest.raises(FormatError):
            list(image.files())
    copy = damaged(isos("grub_gpt"), tmp_path, kernel.records[0].offset_bytes + 10, b"\xff\xff\xff\xff")
    with iso.open_image(copy) as image, pytest.raises(FormatError):
        image.read("/boot/vmlinuz")


@pytest.mark.parametrize("content", [b"", b"x", bytes(100_000), b"\xfd7zXZ\0" + bytes(99_999)])
def test_what_is_no_disc_image_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.iso"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        iso.open_image(path)
    assert caught.value.exit_status == 3 and caught.value.hint and str(path) in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE HTML><html>404</html>", "is a web page"),
        (b"\n  <HTML><body>", "is a web page"),
        (b"\x1f\x8b\x08" + bytes(100), "compressed with gzip"),
        (b"QFI\xfb" + bytes(100_000), "a virtual disk (qcow2)"),
        (b"\0" + b"\xff" * 10 + b"\0" + bytes(100_000), "raw CD sectors"),
        (bytes(3 << 20), "begins with zeros: it is wiped, or writing it was cut off"),
        (bytes(100_000) + b"x" * 100, "is not a disc image"),
    ],
)
def test_what_is_no_disc_image_is_called_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.iso"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        iso.open_image(path)
    assert words in caught.value.message and caught.value.hint


def test_an_image_that_was_written_into_a_partition_is_found_there(isos: Isos, tmp_path: Path) -> None:
    path = tmp_path / "stick.img"
    start = 5000 * 512
    path.write_bytes(bytes(start) + isos("plain").read_bytes() + bytes(1 << 20))
    run.run(["sgdisk", "-a", "1", "-n", "1:5000:0", path], timeout=30)
    with pytest.raises(SourceError, match=f"disc image at byte {start}, not at its start"):
        iso.open_image(path)


def test_folders_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing", Path("/dev/null"), "a\0b"):
        with pytest.raises(SourceError):
            iso.open_image(path)
