"""grubenv, squashfs and ext4 superblocks, judged by grub-editenv, unsquashfs and dumpe2fs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import run
from mediakit.errors import FormatError
from mediakit.formats import ext4, grubenv, squashfs
from mediakit.formats.reader import bytes_reader

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=12)


@given(st.dictionaries(names, values, max_size=6))
def test_an_environment_block_survives_the_round_trip(variables: dict[str, str]) -> None:
    block = grubenv.build(variables)
    assert len(block) == 1024 and grubenv.parse(block) == variables


def test_grub_reads_our_block_and_we_read_grubs(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    path.write_bytes(grubenv.build({"good": "a", "args": r"a\b c=d"}))
    assert run.run(["grub-editenv", path, "list"], timeout=10).text == "good=a\nargs=a\\b c=d\n"
    run.run(["grub-editenv", path, "set", "tries=3", "args=x\\y"], timeout=10)
    assert grubenv.parse(path.read_bytes()) == {"good": "a", "args": "x\\y", "tries": "3"}


def test_what_is_no_block_or_does_not_fit_is_refused() -> None:
    with pytest.raises(FormatError):
        grubenv.parse(b"good=a\n")
    with pytest.raises(FormatError):
        grubenv.build({"good": "x" * 500}, limit_bytes=512)
    with pytest.raises(FormatError):
        grubenv.build({"not a name": ""})


def test_the_squashfs_superblock_says_how_long_the_image_is(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x" * 5000)
    path = tmp_path / "image"
    run.run(["mksquashfs", tmp_path / "tree", path, "-comp", "xz", "-noappend", "-nopad"], timeout=20)
    found = squashfs.parse(path.read_bytes())
    assert (found.bytes_used, found.compression) == (path.stat().st_size, "xz")
    with pytest.raises(FormatError):
        squashfs.parse(b"\0" * 96)


def test_the_ext4_superblock_names_the_filesystem(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(8 << 20))
    identity = "12345678-1234-4234-8234-123456789abc"
    run.run(["mke2fs", "-q", "-t", "ext4", "-L", "engine-vms", "-U", identity, path], timeout=20)
    found = ext4.read(bytes_reader(path.read_bytes()))
    assert (found.kind, found.label, str(found.uuid)) == ("ext4", "engine-vms", identity)
    assert found.size_bytes == 8 << 20 and found.is_clean and not found.needs_recovery
    run.run(["debugfs", "-w", "-R", "feature needs_recovery", path], timeout=20)
    assert ext4.read(bytes_reader(path.read_bytes())).needs_recovery
    with pytest.raises(FormatError):
        ext4.read(bytes_reader(bytes(4096)))
