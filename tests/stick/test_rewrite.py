"""``mediakit rewrite`` as people call it, on every kind of image; judged by xorriso, sgdisk and GRUB's own check."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.block.target import open_target
from mediakit.cli.main import main
from mediakit.iso.edit import record
from mediakit.iso.edit.undo import history
from mediakit.stick import tables
from mediakit.units import MIB
from tests.isos import make

Run = Callable[..., tuple[int, str, str]]
EDITABLE = [
    "isohybrid_mbr", "isohybrid_gpt", "isohybrid_tool", "grub_appended", "grub_offset", "grub_gpt",
    "grub_bootable_flag", "el_torito",
]  # fmt: skip
MENUS = {"isolinux/isolinux.cfg", "boot/grub/grub.cfg"}


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("kinds")
    return lambda kind: make.make(kind, folder)


@pytest.fixture
def mediakit(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_it(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_it


def extract(path: Path, folder: Path) -> dict[str, str]:
    """Every file as xorriso reads it: path → SHA-256."""
    shutil.rmtree(folder, ignore_errors=True)
    run.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", "/", folder], timeout=60)
    run.run(["chmod", "-R", "u+rwX", folder], timeout=60)
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and not p.is_symlink()
    }


def table_problems(path: Path) -> int:
    """How many problems sgdisk counts."""
    text = run.run(["sgdisk", "-v", path], timeout=30, check=False).text
    return text.count("\nProblem:")


def boot(path: Path) -> dict[str, bool]:
    with iso.open_image(path) as image:
        return {name: route.ok for name, route in image.facts().boot.items()}


@pytest.mark.parametrize("kind", EDITABLE)
def test_every_kind_is_edited_into_a_new_file(
    kind: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path, out = kinds(kind), tmp_path / "new.iso"
    (tmp_path / "added").write_bytes(b"added")
    before = path.read_bytes()
    status, text, err = mediakit(
        "rewrite", path, "-o", out, "--add", f"{tmp_path / 'added'}=/boot/", "--remove", "/boot/File-00.module",
        "--kernel-arg", "console=ttyS0", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    document = json.loads(text)
    assert document["schema"] == 1 and document["result"] == "done" and document["undo"]["edits"] == 1
    assert document["bytes_written"] == sum(r["size_bytes"] for r in document["regions"]) < 512 << 10
    assert path.read_bytes() == before
    old, new = extract(path, tmp_path / "a"), extract(out, tmp_path / "b")
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    loaders = {name for name in changed if name.endswith(("eltorito.img", "isolinux.bin", "boot.cat"))}
    assert changed - loaders == MENUS | {"boot/added", "boot/File-00.module"}
    assert "console=ttyS0" in (tmp_path / "b/isolinux/isolinux.cfg").read_text()
    run.run(["grub-script-check", tmp_path / "b/boot/grub/grub.cfg"], timeout=30)
    assert boot(out) == boot(path)
    assert table_problems(out) <= table_problems(path)


def test_the_same_file_again_is_no_edit(kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run) -> None:
    path, note = Path(shutil.copy(kinds("grub_gpt"), tmp_path / "x.iso")), tmp_path / "note.txt"
    note.write_text("hello")
    add = ("rewrite", path, "--in-place", "--add", f"{note}=/note.txt", "--json")
    assert json.loads(mediakit(*add)[1])["result"] == "done"
    before = path.read_bytes()
    again = json.loads(mediakit(*add)[1])
    assert again["result"] == "already" and "there already" in again["notes"][0]
    assert path.read_bytes() == before
    note.write_text("hullo")
    assert json.loads(mediakit(*add)[1])["result"] == "done"
    note.write_text("hullo!")
    assert json.loads(mediakit(*add)[1])["undo"]["edits"] == 3


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt", "grub_offset"])
def test_edits_in_place_are_taken_back_to_the_original(
    kind: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path = Path(shutil.copy(kinds(kind), tmp_path / "x.iso"))
    assert mediakit("rewrite", path, "--in-place", "--menu-timeout", 3, "--label", "FRESH")[0] == 0
    with iso.open_image(path) as image:
        assert image.facts().volume_id == "FRESH"
    assert mediakit("rewrite", path, "--in-place", "--kernel-arg", "a=1", "--kernel-arg", "b")[0] == 0
    assert boot(path) == boot(kinds(kind))
    status, text, _ = mediakit("rewrite", path, "--in-place", "--kernel-arg", "a=1 b", "--json")
    assert status == 0 and json.loads(text)["result"] == "already" and not json.loads(text)["regions"]
    status, text, _ = mediakit("rewrite", path, "--undo", "--in-place", "--json")
    assert status == 0 and json.loads(text)["undo"]["edits"] == 1
    assert mediakit("rewrite", path, "--undo", "-o", tmp_path / "back.iso")[0] == 0
    assert (tmp_path / "back.iso").read_bytes() == kinds(kind).read_bytes()
    assert mediakit("rewrite", path, "--undo", "--in-place")[0] == 0
    assert path.read_bytes() == kinds(kind).read_bytes()
    assert mediakit("rewrite", path, "--undo", "--in-place")[0] == 4


def test_the_label_is_followed_into_the_menus(tmp_path: Path, mediakit: Run) -> None:
    tree = tmp_path / "tree"
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/grub/grub.cfg").write_text(
        "search --set=root --label TEST\nmenuentry x { linux /k root=live:CDLABEL=TEST }\n"
    )
    path = tmp_path / "x.iso"
    make.xorriso(tree, path, "-J")
    assert mediakit("rewrite", path, "--in-place", "--label", "BRAND_NEW_LABEL_17")[0] == 0
    menu = extract(path, tmp_path / "out") and (tmp_path / "out/boot/grub/grub.cfg").read_text()
    assert menu == (
        "search --set=root --label BRAND_NEW_LABEL_17\n"
        "menuentry x { linux /k root=live:CDLABEL=BRAND_NEW_LABEL_17 }\n"
    )
    assert (
        run.run(["blkid", "-p", "-o", "value", "-s", "LABEL", path], timeout=30).text.strip()
        == "BRAND_NEW_LABEL_17"
    )
    assert "Volume id: BRAND_NEW_LABEL_17" in run.run(["isoinfo", "-d", "-i", path], timeout=30).text


@pytest.mark.parametrize("kind", ["el_torito", "uefi_only"])
def test_a_disc_becomes_bootable_from_usb(
    kind: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    out = tmp_path / "usb.iso"
    assert mediakit("rewrite", kinds(kind), "-o", out, "--usb-bootable", "--kernel-arg", "x")[0] == 0
    found = boot(out)
    assert found["bios_usb"] == found["bios_cd"] and found["uefi_usb"] == found["uefi_cd"]
    assert found["bios_usb"] or found["uefi_usb"]
    status, _, err = mediakit("rewrite", kinds("floppy"), "-o", tmp_path / "no.iso", "--usb-bootable")
    assert status == 4 and "floppy" in err and not (tmp_path / "no.iso").exists()


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt", "el_torito", "data_only"])
def test_compact_drops_the_history_and_keeps_the_rest(
    kind: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path = Path(shutil.copy(kinds(kind), tmp_path / "x.iso"))
    path.chmod(0o640)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 * MIB))
    assert mediakit("rewrite", path, "--in-place", "--add", f"{big}=/big")[0] == 0
    grown = path.stat().st_size
    status, text, err = mediakit("rewrite", path, "--in-place", "--remove", "/big", "--compact", "--json")
    assert (status, err) == (0, "") and json.loads(text)["undo"]["edits"] == 0
    assert path.stat().st_size < grown - 2 * MIB and path.stat().st_mode & 0o777 == 0o640
    assert boot(path) == boot(kinds(kind))
    old, new = extract(kinds(kind), tmp_path / "a"), extract(path, tmp_path / "b")
    assert {n for n in old.keys() | new.keys() if old.get(n) != new.get(n)} <= {
        n for n in new if n.endswith(("eltorito.img", "isolinux.bin", "boot.cat", "boot.catalog"))
    }
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".x")] == []


def test_a_dry_run_writes_nothing(kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run) -> None:
    path = Path(shutil.copy(kinds("grub_gpt"), tmp_path / "x.iso"))
    status, text, _ = mediakit("rewrite", path, "--in-place", "--menu-timeout", 1, "--dry-run", "--json")
    assert status == 0 and json.loads(text)["result"] == "planned" and json.loads(text)["regions"]
    status, text, _ = mediakit("rewrite", path, "--menu-timeout", 1, "--dry-run")
    assert status == 0 and "volume descriptor" in text
    assert path.read_bytes() == kinds("grub_gpt").read_bytes()


def test_added_folders_and_names_with_equals_signs(
    kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    folder = tmp_path / "a=b"
    (folder / "in").mkdir(parents=True)
    (folder / "in/run=1").write_text("1")
    (folder / "in/run=1").chmod(0o755)
    out = tmp_path / "x.iso"
    words = ["--add", f"{folder}=/one", "--add", f"{folder}=/two/", "--add", f"{folder}/in/run=1=x=y"]
    assert mediakit("rewrite", kinds("data_only"), "-o", out, *words)[0] == 0
    new = extract(out, tmp_path / "out")
    assert {"one/in/run=1", "two/a=b/in/run=1", "x=y"} <= set(new)
    assert "-r-xr-xr-x" in run.run(["xorriso", "-indev", out, "-lsl", "/one/in"], timeout=30).text


def test_an_entry_is_added_made_the_default_and_removed(
    kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path = Path(shutil.copy(kinds("grub_gpt"), tmp_path / "x.iso"))
    title = "It's the “serial” one"
    add = ("--in-place", "--menu-entry", f"{title}=console=ttyS0,115200 text", "--json")
    status, text, err = mediakit("rewrite", path, *add, "--menu-default", title)
    assert (status, err, json.loads(text)["result"]) == (0, "", "done")
    with iso.open_image(path) as image:
        facts = image.facts()
        assert boot(path) == boot(kinds("grub_gpt"))
        menu = facts.menus.of("bios_cd")
        assert menu is not None
        (entry,) = (entry for entry in menu.entries if entry.title == title)
        assert entry.is_default and not entry.is_broken and "ttyS0,115200 text" in entry.arguments[0][0]
    assert json.loads(mediakit("rewrite", path, *add)[1])["result"] == "already"
    assert mediakit("rewrite", path, "--in-place", "--menu-remove", title)[0] == 4
    words = ("--menu-remove", title, "--menu-default", "0")
    assert mediakit("rewrite", path, "--in-place", *words)[0] == 0
    assert mediakit("rewrite", path, "--in-place", "--kernel-arg-remove", "quiet")[0] == 0
    while path.read_bytes() != kinds("grub_gpt").read_bytes():
        assert mediakit("rewrite", path, "--undo", "--in-place")[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "Nothing to change"),
        (["--menu-timeout", "3"], 2, "Where to"),
        (["--in-place", "--undo", "--label", "X"], 2, "nothing else"),
        (["--in-place", "--add", "nothing=/x"], 3, "does not exist"),
        (["--in-place", "--add", "/etc/passwd"], 2, "where to"),
        (["--in-place", "--remove", "/not/there"], 2, "/not/there"),
        (["--in-place", "--remove", "/"], 2, "whole image"),
        (["--in-place", "--menu-default", "nobody"], 2, "nobody"),
        (["--in-place", "--menu-timeout", "99999"], 2, "99999"),
        (["--in-place", "--kernel-arg", ""], 2, "no kernel argument"),
        (["--in-place", "--menu-entry", "no arguments"], 2, "TITLE=ARGUMENTS"),
        (["--in-place", "--menu-remove", "nobody"], 2, "nobody"),
        (["--in-place", "--kernel-arg-remove", "initrd="], 2, "boot loader's"),
        (["--in-place", "--label", "x" * 33], 2, "33 characters"),
        (["--in-place", "--answers", "/etc/hostname"], 2, "answers"),
        (["--in-place", "--branding", "/etc"], 4, "Engine media"),
        (["-o", "/nowhere/x.iso", "--label", "X"], 3, "/nowhere"),
        (["-o", "/dev/null", "--label", "X"], 4, "ordinary file"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_why_and_changes_nothing(
    words: list[str], status: int, says: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path = Path(shutil.copy(kinds("isohybrid_gpt"), tmp_path / "x.iso"))
    found, out, err = mediakit("rewrite", path, *words)
    assert (found, out) == (status, "") and says in err
    assert path.read_bytes() == kinds("isohybrid_gpt").read_bytes()


def test_the_output_is_never_the_image_and_never_half_made(
    kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    path = Path(shutil.copy(kinds("udf_bridge"), tmp_path / "x.iso"))
    (tmp_path / "link.iso").hardlink_to(path)
    assert mediakit("rewrite", path, "-o", tmp_path / "link.iso", "--label", "X")[0] == 4
    kept = tmp_path / "kept.iso"
    kept.write_bytes(b"kept")
    status, _, err = mediakit("rewrite", path, "-o", kept, "--add", "/etc/hostname=/x")
    assert status == 4 and "UDF" in err and kept.read_bytes() == b"kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.iso", "link.iso", "x.iso"]
    assert mediakit("rewrite", kinds("data_only"), "-o", kept, "--add", "/etc/hostname=/x")[0] == 0
    assert kept.stat().st_size > MIB // 2


def test_a_file_in_use_is_refused(kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run) -> None:
    path = Path(shutil.copy(kinds("grub_gpt"), tmp_path / "x.iso"))
    with open_target(path):
        status, _, err = mediakit("rewrite", path, "--in-place", "--label", "X")
    assert status == 4 and "in use" in err


def test_an_engine_stick_is_customised_before_engine_data(
    isos: dict[str, Path], tmp_path: Path, mediakit: Run
) -> None:
    stick = tmp_path / "stick.img"
    assert mediakit("write", isos["engine"], stick, "--size", "4G", "--yes", "--no-probe")[0] == 0
    with open_target(stick, writable=False) as target, iso.open_image(stick) as image:
        found = tables.find_data(image.facts().structures.gpt, target.read(0, 512))
    assert found is not None
    span = found.span

    def ends() -> tuple[bytes, ...]:
        """The image with what an edit may append, the head of ENGINE-DATA, the end of the stick."""
        with open_target(stick, writable=False) as target:
            places = ((0, 32 * MIB), (span.offset_bytes, 8 * MIB), (target.size_bytes - MIB, MIB))
            return tuple(target.read(*place) for place in places)

    before, problems = ends(), table_problems(stick)
    (tmp_path / "logo").write_bytes(b"logo" * 1000)
    logo = f"{tmp_path / 'logo'}=/custom/branding/logo"
    status, text, err = mediakit("rewrite", stick, "--in-place", "--add", logo, "--by", "ACME", "--json")
    assert (status, err) == (0, "")
    assert json.loads(text)["bytes_written"] < 4 * MIB  # the EFI image moves behind the new end
    assert ends()[1] == before[1]
    assert boot(stick) == boot(isos["engine"]) and table_problems(stick) <= problems
    assert mediakit("verify", stick)[0] == 0
    engine = json.loads(mediakit("inspect", stick, "--json")[1])["engine"]
    assert (engine["customised"], engine["customised_by"]) == (["/custom/branding/logo"], "ACME")
    assert "customised by ACME (not signed)" in mediakit("inspect", stick)[1]
    assert mediakit("rewrite", stick, "--in-place", "--undo")[0] == 0
    assert ends()[1:] == before[1:]
    size = isos["engine"].stat().st_size
    assert ends()[0][:size] == before[0][:size]


def test_a_stick_without_room_behind_the_image_is_left_alone(
    isos: dict[str, Path], tmp_path: Path, mediakit: Run
) -> None:
    stick = tmp_path / "small.img"
    assert mediakit("write", isos["engine"], stick, "--size", "256M", "--yes")[0] == 0
    before = stick.read_bytes()
    status, _, err = mediakit("rewrite", stick, "--in-place", "--add", "/etc/hostname=/custom/x")
    assert status == 4 and "no room" in err
    assert stick.read_bytes() == before


@pytest.mark.parametrize("kind", ["el_torito", "uefi_only"])
def test_write_makes_a_disc_image_bootable_on_its_way(
    kind: str, kinds: Callable[[str], Path], tmp_path: Path, mediakit: Run
) -> None:
    before, plain, stick = kinds(kind).read_bytes(), tmp_path / "plain.img", tmp_path / "stick.img"
    status, _, err = mediakit("write", kinds(kind), plain, "--size", "8M", "--yes", "--no-data")
    assert status == 0 and "add --usb-bootable" in err
    words = ["--size", "8M", "--yes", "--no-data", "--usb-bootable"]
    status, _, err = mediakit("write", kinds(kind), stick, *words)
    assert (status, err) == (0, "")
    found = boot(stick)
    assert found["bios_usb"] == found["bios_cd"] and found["uefi_usb"] == found["uefi_cd"]
    assert boot(plain)["bios_usb"] is boot(plain)["uefi_usb"] is False
    assert kinds(kind).read_bytes() == before
    assert mediakit("write", kinds("floppy"), plain, "--yes", "--usb-bootable")[0] == 4


def test_names_are_utf8_in_the_image_whatever_the_locale(
    kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "é"
    folder.mkdir()
    (folder / "ü.txt").write_text("x")
    out = tmp_path / "out.iso"
    words = [sys.executable, "-m", "mediakit", "rewrite", kinds("grub_gpt"), "-o", out]
    plain = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    run.run([*words, "--add", f"{folder}=/é"], timeout=60, env=plain)
    with iso.open_image(out) as image:
        assert image.read("/é/ü.txt") == b"x"
    run.run([*words[:4], out, "--in-place", "--remove", "/é/ü.txt"], timeout=60, env=plain)
    with iso.open_image(out) as image:
        assert not image.exists("/é/ü.txt")


@pytest.mark.parametrize("written", [512, 2048, 10_000])
@pytest.mark.parametrize("again", [["--undo"], ["--add", f"{__file__}=/t"]])
def test_a_cut_while_the_tail_begins_is_taken_back(
    written: int, again: list[str], mediakit: Run, kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    """The head is the first that lies on the medium; what it speaks of may lie behind the end of the file."""
    path = Path(shutil.copy(kinds("grub_gpt"), tmp_path / "cut.iso"))
    old = path.read_bytes()
    assert mediakit("rewrite", path, "--in-place", "--add", f"{__file__}=/t")[0] == 0
    with iso.open_image(path) as image:
        (found,) = history(image)
        head = record.head_sector(image.reader, found.with_state("begun"))
    tail = path.read_bytes()[found.head : found.head + written]
    path.write_bytes(old.ljust(found.head, b"\0") + head + tail[512:])
    status, out, err = mediakit("rewrite", path, "--in-place", *again)
    assert status == 0, err
    if again == ["--undo"]:
        assert path.read_bytes() == old
    else:
        assert "cut off before it began to count" in out
        with iso.open_image(path) as image:
            assert len(history(image)) == 1 and image.exists("/t")
