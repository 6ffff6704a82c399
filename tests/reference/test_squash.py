"""Trees and squashfs images: sharing without harm, the same bytes again, equal blocks for near versions."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from mediakit.errors import SourceError, UsageError
from mediakit.reference import squash, versions, wheels


@pytest.fixture
def base(tmp_path: Path) -> Path:
    tree = tmp_path / "base"
    noise = random.Random(1)
    for name, size in (
        ("usr/lib/modules/6.1/big.ko", 3 << 20),
        ("usr/bin/tool", 1 << 20),
        ("etc/hosts", 100),
    ):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(size))
    return tree


def test_what_is_put_into_a_working_copy_leaves_the_base_alone(base: Path, tmp_path: Path) -> None:
    original = (base / "etc/hosts").read_bytes()
    with squash.working_copy(base, tmp_path) as work:
        assert (work / "usr/bin/tool").stat().st_ino == (base / "usr/bin/tool").stat().st_ino
        squash.put(work / "etc/hosts", b"new", 0o600)
        squash.link(work / "usr/bin/tool", "/dev/null")
    assert not work.exists()
    assert (base / "etc/hosts").read_bytes() == original
    assert (base / "usr/bin/tool").is_file()


def test_an_overlay_keeps_links_and_the_executable_bit(tmp_path: Path) -> None:
    source, tree = tmp_path / "files", tmp_path / "tree"
    (source / "usr/bin").mkdir(parents=True)
    (source / "usr/bin/run").write_text("#!/bin/sh\n")
    (source / "usr/bin/run").chmod(0o700)
    (source / "plain").write_text("x")
    (source / "link").symlink_to("/dev/null")
    tree.mkdir()
    squash.overlay(source, tree)
    assert (tree / "usr/bin/run").stat().st_mode & 0o777 == 0o755
    assert (tree / "plain").stat().st_mode & 0o777 == 0o644
    assert (tree / "link").readlink() == Path("/dev/null")


def test_an_instance_of_a_template_is_enabled_by_the_template(tmp_path: Path) -> None:
    squash.enable(tmp_path, ("login@tty1.service", "plain.service"))
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert (wants / "login@tty1.service").readlink().name == "login@.service"
    assert (wants / "plain.service").readlink().name == "plain.service"


def test_the_same_tree_gives_the_same_image_whenever_it_was_made(base: Path, tmp_path: Path) -> None:
    squash.make_squashfs(base, tmp_path / "one.squashfs")
    for path in base.rglob("*"):
        os.utime(path, (1_800_000_000, 1_800_000_000))
    squash.make_squashfs(base, tmp_path / "two.squashfs")
    subprocess.run(["cmp", tmp_path / "one.squashfs", tmp_path / "two.squashfs"], check=True)
    listing = subprocess.run(["unsquashfs", "-l", tmp_path / "one.squashfs"], capture_output=True, check=True)
    assert b"squashfs-root/usr/lib/modules/6.1/big.ko" in listing.stdout


def test_a_change_in_etc_leaves_what_lies_before_it_at_its_place(base: Path, tmp_path: Path) -> None:
    squash.make_squashfs(base, tmp_path / "one.squashfs")
    (base / "etc/hosts").write_bytes(b"y" * 5000)
    (base / "usr/lib/engine").mkdir()
    (base / "usr/lib/engine/drivers.bin").write_bytes(random.Random(2).randbytes(700_000))
    squash.make_squashfs(base, tmp_path / "two.squashfs")
    one, two = ((tmp_path / name).read_bytes() for name in ("one.squashfs", "two.squashfs"))
    # all but the superblock: the modules come first, and did not move
    assert one[4096 : 3 << 20] == two[4096 : 3 << 20]


def test_versions_are_found_by_name_and_the_others_listed() -> None:
    assert versions.find("5.1").build > versions.find("5.0").build
    with pytest.raises(UsageError, match=r"5\.0"):
        versions.find("9.9")


LOCK = """\
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
beta-two==2.1 \\
    --hash=sha256:cc
"""


def test_the_lock_is_cut_to_the_names_that_are_wanted() -> None:
    assert wheels.locked(LOCK, ["beta-two"]) == "beta-two==2.1 \\\n    --hash=sha256:cc\n"
    assert wheels.locked(LOCK, ["alpha", "beta-two"]).count("--hash") == 3
    with pytest.raises(SourceError, match="gamma"):
        wheels.locked(LOCK, ["gamma"])


def test_everything_that_the_recipe_wants_is_locked() -> None:
    from mediakit.reference import recipe

    parts = recipe.load()
    text = wheels.lock_file().read_text()
    names = [*parts.system_python, *parts.installer_python]
    assert wheels.locked(text, names).count("==") == len(names)
