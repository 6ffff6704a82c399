"""The initrd: an archive that cpio reads, the modules that it needs, and its own reading of a FAT."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from mediakit.errors import SourceError
from mediakit.formats import grubenv
from mediakit.install import bootenv
from mediakit.reference import cpio, initrd, recipe
from mediakit.reference.recipe import FILES

SCRIPTS = FILES / "initrd"
KERNEL = "6.1.0-1-amd64"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    modules = tmp_path / "tree/usr/lib/modules" / KERNEL
    for name in ("a", "b-c", "d"):
        path = modules / "kernel/drivers" / f"{name}.ko"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    (modules / "modules.dep").write_text(
        "kernel/drivers/a.ko: kernel/drivers/b-c.ko\nkernel/drivers/b-c.ko:\nkernel/drivers/d.ko:\n"
    )
    (modules / "modules.alias").write_text("alias pci:1 a\nalias pci:2 b_c\nalias pci:3 d\n")
    (modules / "modules.builtin").write_text("kernel/fs/ext.ko\n")
    (modules / "modules.order").write_text("kernel/drivers/a.ko\n")
    busybox = tmp_path / "tree/usr/bin/busybox"
    busybox.parent.mkdir(parents=True)
    busybox.write_bytes(b"busybox")
    return tmp_path / "tree"


def listing(archive: bytes) -> list[str]:
    done = subprocess.run(["cpio", "-it", "--quiet"], input=archive, capture_output=True, check=True)
    return done.stdout.decode().split()


def test_cpio_lists_what_was_put_in_with_the_folders_in_front() -> None:
    archive = cpio.build(cpio.with_folders([cpio.file("a/b/c", b"1"), cpio.link("a/l", "b/c")]))
    assert listing(archive) == ["a", "a/b", "a/b/c", "a/l"]


def test_the_initrd_holds_the_wanted_modules_and_what_they_need(tree: Path, tmp_path: Path) -> None:
    archive = gzip.decompress(initrd.build_initrd(tree, KERNEL, ["drivers/a", "fs/ext"]))
    names = listing(archive)
    kernel = f"lib/modules/{KERNEL}/kernel/drivers"
    assert {"init", "bin/busybox", f"{kernel}/a.ko", f"{kernel}/b-c.ko"} <= set(names)
    assert f"{kernel}/d.ko" not in names
    subprocess.run(["cpio", "-id", "--quiet"], input=archive, cwd=tmp_path, check=True)
    assert (
        tmp_path / f"lib/modules/{KERNEL}/modules.alias"
    ).read_text() == "alias pci:1 a\nalias pci:2 b_c\n"
    assert (tmp_path / "init").stat().st_mode & 0o111


def test_a_module_that_the_kernel_lacks_is_an_error(tree: Path) -> None:
    with pytest.raises(SourceError, match="drivers/none"):
        initrd.build_initrd(tree, KERNEL, ["drivers/none"])


def test_the_same_inputs_give_the_same_initrd(tree: Path) -> None:
    assert initrd.build_initrd(tree, KERNEL, ["drivers/a"]) == initrd.build_initrd(
        tree, KERNEL, ["drivers/a"]
    )


@pytest.mark.parametrize("name", ["init", "common.sh", "fat.sh", "slot.sh", "medium.sh"])
def test_the_scripts_parse(name: str) -> None:
    subprocess.run(["sh", "-n", SCRIPTS / name], check=True)


def shell(script: str, work: Path) -> str:
    """Run ``script`` after the initrd's functions, with its scratch files in ``work``."""
    sources = "".join(f". {SCRIPTS / name}\n" for name in ("common.sh", "fat.sh", "slot.sh"))
    done = subprocess.run(
        ["sh", "-c", f"WORK={work}\n{sources}\n{script}"], capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(params=[1, 8], ids=["512-byte clusters", "4 KiB clusters"])
def esp(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An ESP made by mtools, with enough in front that folders and file are not at the start."""
    image = tmp_path / "esp.img"
    size = 300 if request.param == 8 else 64
    with image.open("wb") as file:
        file.truncate(size << 20)
    run = [
        "mformat",
        "-i",
        image,
        "-F",
        "-c",
        str(request.param),
        "-N",
        "89abcdef",
        "-T",
        str(size * 2048),
        "-h",
        "64",
        "-s",
        "32",
        "::",
    ]
    subprocess.run(run, check=True)
    folders = ["EFI", "boot", *(f"folder number {n}" for n in range(20)), "engine"]
    subprocess.run(["mmd", "-i", image, *(f"::/{folder}" for folder in folders)], check=True)
    sources = [tmp_path / name for name in (*(f"a file with a long name {n}" for n in range(20)), "grubenv")]
    for source in sources[:-1]:
        source.write_bytes(b"x" * 5000)
    sources[-1].write_bytes(bootenv.build(bootenv.initial(3, 4) | {"booting": "a", "whole_a": "1"}))
    subprocess.run(["mcopy", "-i", image, *sources, "::/engine/"], check=True)
    return image


def test_the_shell_finds_grubenv_where_the_library_does(esp: Path, tmp_path: Path) -> None:
    data = esp.read_bytes()
    wanted = bootenv.locate(lambda offset, size: data[offset : offset + size], 0, len(data))
    assert int(shell(f"grubenv_offset {esp}", tmp_path)) == wanted
    assert data[wanted:].startswith(b"# GRUB Environment Block")


def test_the_shell_reads_the_serial_as_grub_prints_it(esp: Path, tmp_path: Path) -> None:
    assert shell(f"fat_serial {esp}", tmp_path) == "89AB-CDEF"


def test_clearing_booting_changes_one_sector_and_nothing_else(esp: Path, tmp_path: Path) -> None:
    before = esp.read_bytes()
    place = int(shell(f"grubenv_offset {esp}", tmp_path))
    (tmp_path / "place-d").write_text(f"{place}\n")
    (tmp_path / "env-d").write_bytes(before[place : place + 512])
    shell(f"DISK=d ESP=../{esp}; clear_booting", tmp_path)
    after = esp.read_bytes()
    assert before[:place] == after[:place]
    assert before[place + 512 :] == after[place + 512 :]
    assert grubenv.parse(after[place : place + 1024]) == bootenv.initial(3, 4) | {"whole_a": "1"}


@pytest.mark.parametrize(
    ("slot", "variables", "expected"),
    [
        ("a", "good=a\ntry=\ntries=0", "good "),
        ("b", "good=a\ntry=b\ntries=2", "try "),
        ("b", "good=a\ntry=b\ntries=0", "try "),
        ("a", "good=a\ntry=b\ntries=0", "fallback b"),
        ("b", "good=a\ntry=\ntries=0", "unreadable a"),
    ],
)
def test_by_uefi_why_follows_from_grubenv(slot: str, variables: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "env-d").write_text(variables + "\n")
    script = (
        f'set_panic() {{ :; }}; DISK=d SLOT={slot} WHY=; decide_why 2>/dev/null; echo "$WHY $FELL_BACK_FROM"'
    )
    assert shell(script, tmp_path) == expected.strip()


def test_json_values_are_read_from_one_line_and_from_many(tmp_path: Path) -> None:
    document = tmp_path / "manifest.json"
    document.write_text('{\n  "build": 5000,\n  "version": "5.0"\n}\n')
    assert shell(f"json_value build {document}", tmp_path) == "5000"
    assert shell(f"json_value version {document}", tmp_path) == "5.0"


def test_the_recipe_names_no_module_twice() -> None:
    names = recipe.load().initrd_modules
    assert len(set(names)) == len(names)
