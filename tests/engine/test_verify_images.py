"""verify of ISO files and FAT sticks: byte ranges are those of the image, other makers' checksums are honoured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mediakit import run
from mediakit.cli.main import main
from mediakit.engine.image import open_engine
from mediakit.engine.verify import verify
from mediakit.errors import SourceError
from mediakit.formats import fat
from mediakit.progress import Event
from mediakit.units import MIB
from tests.engine import isos, medium

SYSTEM = "/engine/system.squashfs"


def test_an_engine_iso_is_ok_though_windows_wrote_its_disk_id(tmp_path: Path) -> None:
    path = isos.make_engine(tmp_path)
    events: list[Event] = []
    found = verify(path, observer=events.append)
    assert (found.result, found.signature, found.damaged) == ("ok", "good", ())
    assert events[-1].done_bytes == sum(map(len, medium.FILES.values())) + 32768 - 6
    with open_engine(path) as image:
        assert image.read_checked(SYSTEM) == medium.FILES[SYSTEM]
        assert b"".join(image.stream(SYSTEM, 1000, 2 * MIB)) == medium.FILES[SYSTEM][1000 : 1000 + 2 * MIB]


def test_one_flipped_byte_is_found_wherever_it_is(tmp_path: Path) -> None:
    path = isos.make_engine(tmp_path)
    start, size = isos.place(path, SYSTEM), len(medium.FILES[SYSTEM])
    isos.flip(path, start + size - 1)
    isos.flip(path, 32767)
    found = verify(path)
    assert [(d.path, d.offset_bytes, d.size_bytes) for d in found.damaged] == [
        ("system-area", 0, 32768),
        (SYSTEM, start, size),
    ]
    assert found.exit_status == 1


def test_a_truncated_iso_names_what_is_cut_off(tmp_path: Path) -> None:
    path = isos.make_engine(tmp_path)
    start, size = isos.place(path, SYSTEM), len(medium.FILES[SYSTEM])
    with path.open("r+b") as file:
        file.truncate(start + 5000)
    damaged = {d.path: d for d in verify(path).damaged}
    assert (damaged[SYSTEM].offset_bytes, damaged[SYSTEM].size_bytes) == (start + 5000, size - 5000)
    assert "ends" in damaged[SYSTEM].cause


def test_implanted_md5_is_judged_as_checkisomd5_does(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/data").write_bytes(b"data" * 100_000)
    path = isos.make(tmp_path / "tree", tmp_path / "other.iso")
    assert verify(path).result == "unchecked"
    run.run(["implantisomd5", path], timeout=60)
    assert run.run(["checkisomd5", path], timeout=60, check=False).status == 0
    assert (verify(path).result, verify(path).checked_by) == ("ok", "md5")
    isos.flip(path, isos.place(path, "/data") + 77)
    assert run.run(["checkisomd5", path], timeout=60, check=False).status != 0
    assert verify(path).result == "damaged"


@pytest.mark.parametrize("loader", ["isolinux", "isolinux-zeros", "grub"])
def test_a_boot_image_summed_before_its_table_was_filled_in_is_no_damage(tmp_path: Path, loader: str) -> None:
    """As in Ubuntu's images: the list is made of the folder, then xorriso patches the boot image."""
    tree = tmp_path / "tree"
    tree.mkdir()
    words: list[str] = []
    if loader == "grub":
        argv = ["grub-mkimage", "-O", "i386-pc-eltorito", "-p", "/boot/grub", "biosdisk", "iso9660"]
        run.run([*argv, "-o", tree / "boot.img"], timeout=60)
        words = ["--grub2-boot-info"]
    else:
        raw = Path("/usr/lib/ISOLINUX/isolinux.bin").read_bytes()
        raw = raw[:8] + bytes(56) + raw[64:] if loader.endswith("zeros") else raw
        (tree / "boot.img").write_bytes(raw)
    original = (tree / "boot.img").read_bytes()
    (tree / "md5sum.txt").write_text(f"{hashlib.md5(original).hexdigest()}  ./boot.img\n")
    path = tmp_path / "x.iso"
    words += ["-b", "boot.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", *words, "-o", path, tree], timeout=60)
    start = isos.place(path, "/boot.img")
    assert path.read_bytes()[start : start + len(original)] != original
    assert verify(path).result == "ok"
    isos.flip(path, start + 3000)
    assert [d.path for d in verify(path).damaged] == ["/boot.img"]


def test_sums_inside_an_iso_name_the_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "data").write_bytes(b"data" * 1000)
    (tree / "SHA256SUMS").write_text(
        f"{hashlib.sha256(b'data' * 1000).hexdigest()}  ./data\n{'0' * 64}  gone\n"
    )
    path = isos.make(tree, tmp_path / "other.iso")
    assert [(d.path, d.cause) for d in verify(path).damaged] == [("/gone", "it is missing")]
    start = isos.place(path, "/data")
    isos.flip(path, start)
    assert ("/data", start, 4000) in [(d.path, d.offset_bytes, d.size_bytes) for d in verify(path).damaged]


@pytest.mark.parametrize("table", ["none", "gpt", "mbr"])
def test_files_copied_to_a_fat_stick_are_found_and_checked(tmp_path: Path, table: str) -> None:
    tree = medium.make(tmp_path / "tree")
    files = [
        fat.FatFile("/" + str(f.relative_to(tree)), f.read_bytes())
        for f in sorted(tree.rglob("*"))
        if f.is_file()
    ]
    volume = fat.build(40 * MIB, files, label="STICK").to_bytes()
    stick = tmp_path / "stick"
    start = 0 if table == "none" else MIB
    with stick.open("wb") as file:
        file.truncate(start + 42 * MIB)
    if table == "gpt":
        run.run(["sgdisk", "-n", "1:2048:+40M", "-t", "1:0700", stick], timeout=30)
    elif table == "mbr":
        run.run(["sfdisk", "--no-reread", stick], stdin=b"label: dos\n2048,81920,c\n", timeout=30)
    with stick.open("r+b") as file:
        file.seek(start)
        file.write(volume)
    found = verify(stick)
    assert (found.result, found.signature) == ("ok", "good")
    with open_engine(stick) as image:
        assert image.read_checked(SYSTEM) == medium.FILES[SYSTEM]
        offset = image.source.spans(SYSTEM)[0][0]
    isos.flip(stick, offset + 9)
    assert [(d.path, d.offset_bytes) for d in verify(stick).damaged] == [(SYSTEM, offset)]


def test_what_is_no_image_is_status_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junk, empty, pipe = tmp_path / "junk", tmp_path / "empty", tmp_path / "missing"
    junk.write_bytes(hashlib.sha256(b"junk").digest() * 100_000)
    empty.touch()
    for path in (junk, empty, pipe):
        with pytest.raises(SourceError):
            open_engine(path)
        assert main(["verify", str(path), "--json"]) == 3
        out, err = capsys.readouterr()
        assert not out and str(path) in err
