"""What can be written: whole images, packed or not; nothing else."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
from pathlib import Path

import pytest

from mediakit import run
from mediakit.errors import SourceError
from mediakit.stick.source import open_source
from mediakit.units import MIB


@pytest.mark.parametrize("kind", ["grub", "mbr", "isolinux", "plain"])
def test_digests_are_those_of_the_file(isos: dict[str, Path], kind: str) -> None:
    data = isos[kind].read_bytes()
    with open_source(isos[kind]) as source:
        for index in (3, 0, 1):  # out of order, as sticks that fall behind ask
            assert source.block(index) == data[index * MIB : (index + 1) * MIB]
        digests = source.digests()
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    parts = [data[at : at + 4 * MIB] for at in range(0, len(data), 4 * MIB)]
    assert digests.blocks == tuple(hashlib.sha256(part).hexdigest() for part in parts)


@pytest.mark.parametrize("kind", ["xz", "gz", "zst"])
def test_packed_images_are_unpacked_first(isos: dict[str, Path], tmp_path: Path, kind: str) -> None:
    data = isos["plain"].read_bytes()
    path = tmp_path / "image.bin"
    if kind == "zst":
        run.run(["zstd", "-q", str(isos["plain"]), "-o", str(path)], timeout=60)
    else:
        path.write_bytes(lzma.compress(data, preset=0) if kind == "xz" else gzip.compress(data, 1))
    with open_source(path) as source:
        assert source.size_bytes == len(data)
        assert source.digests().sha256 == hashlib.sha256(data).hexdigest()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match="damaged"), open_source(path):
        pass


@pytest.mark.parametrize("kind", ["grub", "isolinux", "plain"])
def test_a_truncated_image_is_refused_with_numbers(isos: dict[str, Path], tmp_path: Path, kind: str) -> None:
    path = tmp_path / "short.iso"
    path.write_bytes(isos[kind].read_bytes()[: 5 * MIB])
    with pytest.raises(SourceError, match="truncated"), open_source(path):
        pass


def test_an_appended_partition_that_is_cut_off_is_noticed(isos: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "short.iso"
    path.write_bytes(isos["grub"].read_bytes()[: 7 * MIB])
    with pytest.raises(SourceError, match="truncated"), open_source(path):
        pass


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"hello" * 10000)
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    for name in ("text", "empty", "pipe", "missing", "."):
        with pytest.raises(SourceError), open_source(tmp_path / name):
            pass
