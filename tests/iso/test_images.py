"""The images that all tests here look at are the same on every machine, whenever they are made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mediakit import iso
from tests.isos import make


def copied_backwards(source: Path, target: Path) -> None:
    """The same files, made in the opposite order, by somebody with other habits."""
    target.mkdir()
    for path in sorted(source.iterdir(), reverse=True):
        copy = target / path.name
        if path.is_dir() and not path.is_symlink():
            copied_backwards(path, copy)
        else:
            shutil.copy2(path, copy, follow_symlinks=False)
            if not path.is_symlink():
                copy.chmod(0o600)
    os.utime(target, (1_700_000_000, 1_700_000_000))


@pytest.mark.parametrize(
    "kind",
    ["grub_gpt", "isohybrid_tool", "el_torito", "multi_session", "multi_session_disc", "zisofs", "udf_bridge", "hfs",
     "continuation", "grub_rescue"],
)  # fmt: skip
def test_an_image_is_the_same_wherever_it_is_made(tmp_path: Path, kind: str) -> None:
    one, other = tmp_path / "one", tmp_path / "another folder"
    other.mkdir()
    copied_backwards(make.tree(one), other / "tree")
    assert make.make(kind, one).read_bytes() == make.make(kind, other).read_bytes()
    with iso.open_image(one / f"{kind}.iso") as image:
        assert image.descriptors.volumes[0].created == "2020-09-13T12:26:40"


def test_one_image_does_not_change_another(tmp_path: Path) -> None:
    """mkisofs writes boot information tables into the files that it is given."""
    first = make.make("grub_gpt", tmp_path).read_bytes()
    make.make("el_torito", tmp_path)
    (tmp_path / "grub_gpt.iso").unlink()
    assert make.make("grub_gpt", tmp_path).read_bytes() == first
