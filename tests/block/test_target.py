"""Targets are exclusive, exact, and past the page cache; files and loop devices alike."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.devices import describe
from mediakit.block.target import create_file, open_target
from mediakit.errors import DeviceError, RefusedError, UsageError
from mediakit.units import MIB


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    """A loop device over 8 MiB."""
    backing = tmp_path / "backing.img"
    create_file(backing, 8 * MIB)
    device = run.run(["losetup", "-f", "--show", str(backing)], timeout=20).text.strip()
    yield device
    run.run(["losetup", "-d", device], timeout=20)


@pytest.mark.parametrize("size", [3 * MIB, 3 * MIB + 512, 3 * MIB + 4095, 4097, 700])
def test_any_offset_and_any_size_lands_where_it_should(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.img"
    create_file(path, size)
    expected = bytearray(size)
    chance = random.Random(size)
    with open_target(path) as target:
        for _ in range(60):
            offset = chance.randrange(size)
            data = chance.randbytes(min(chance.choice([1, 511, 512, 513, 4096, 5000, MIB]), size - offset))
            target.write(offset, data)
            expected[offset : offset + len(data)] = data
            start = chance.randrange(size)
            stop = chance.randrange(start, size)
            assert target.read(start, stop - start) == expected[start:stop]
        target.flush()
    assert path.read_bytes() == expected
    assert path.stat().st_size == size


def test_a_filesystem_without_direct_io_is_read_past_its_cache_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disk.img"
    create_file(path, MIB + 700)
    real, data = os.open, random.Random(6).randbytes(MIB + 700)

    def refusing(name: str, flags: int, *words: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(name, flags, *words)

    monkeypatch.setattr(os, "open", refusing)
    with open_target(path) as target:
        assert not target.is_direct
        target.write(0, data)
        target.flush()
        assert target.read(0, len(data)) == data
        forgotten: list[tuple[int, ...]] = []
        monkeypatch.setattr(os, "posix_fadvise", lambda *words: forgotten.append(words))
        target.read(5000, 10)
        assert forgotten[0][1:] == (4096, 4096, os.POSIX_FADV_DONTNEED)
    assert path.read_bytes() == data


def test_large_unaligned_writes_cross_bounce_buffers(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 12 * MIB)
    data = random.Random(1).randbytes(9 * MIB + 77)
    with open_target(path) as target:
        target.write(1001, data)
        assert target.read(1001, len(data)) == data
        target.zero(1001, 5 * MIB)
    assert path.read_bytes() == bytes(1001 + 5 * MIB) + data[5 * MIB :] + bytes(12 * MIB - 1001 - len(data))


def test_nothing_is_read_or_written_outside(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 4096)
    with open_target(path) as target:
        for offset, size in ((0, 4097), (4096, 1), (-1, 1)):
            with pytest.raises(DeviceError):
                target.read(offset, size)
            with pytest.raises(DeviceError):
                target.write(offset, bytes(size))
    assert path.stat().st_size == 4096


def test_two_writers_never_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 4096)
    with open_target(path), pytest.raises(RefusedError, match="in use"), open_target(path):
        pass


def test_a_file_that_qemu_has_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 4096)
    with path.open("rb") as other:  # QEMU's share locks lie at bytes 100 and 200
        fcntl.fcntl(other, fcntl.F_OFD_SETLK, struct.pack("hh4xqqi4x", fcntl.F_RDLCK, 0, 100, 2, 0))
        with pytest.raises(RefusedError, match="in use"), open_target(path):
            pass


def test_a_file_that_changed_since_it_was_confirmed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    confirmed = create_file(path, 4096)
    os.truncate(path, 8192)
    with pytest.raises(RefusedError, match="size"), open_target(path, expected=confirmed):
        pass
    keep = path.rename(tmp_path / "other.img")
    create_file(path, 4096)
    with pytest.raises(RefusedError, match="number"), open_target(path, expected=confirmed):
        pass
    assert keep.exists()


@pytest.mark.parametrize("size", [MIB, MIB + 700])
def test_a_file_renamed_while_it_is_open_stays_the_target(tmp_path: Path, size: int) -> None:
    path, moved = tmp_path / "disk.img", tmp_path / "moved.img"
    create_file(path, size)
    with open_target(path) as target:
        path.rename(moved)
        path.write_bytes(b"another's" * 200_000)
        target.write(size - 3000, b"x" * 3000)
        target.flush()
    assert moved.read_bytes() == bytes(size - 3000) + b"x" * 3000
    assert path.read_bytes() == b"another's" * 200_000


def test_a_short_write_is_gone_on_with_and_an_empty_one_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disk.img"
    create_file(path, MIB + 700)
    real, data = os.pwrite, random.Random(5).randbytes(MIB + 700)
    with open_target(path) as target:
        # direct I/O stops at whole blocks, the tail anywhere
        def short(fd: int, view: memoryview, at: int) -> int:
            return real(fd, view[: 4096 if len(view) >= 4096 else 100], at)

        monkeypatch.setattr(os, "pwrite", short)
        target.write(0, data)
        target.flush()
        monkeypatch.setattr(os, "pwrite", lambda fd, view, at: 0)
        with pytest.raises(DeviceError, match="Writing"):
            target.write(0, data)
    assert path.read_bytes() == data


def test_a_full_filesystem_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "disk.img"
    create_file(path, MIB)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_target(path) as target:
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(DeviceError, match="No space left") as caught:
            target.write(0, bytes(4096))
    assert "room" in caught.value.hint


def test_a_target_that_is_not_there_or_no_disk_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "no", tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError), open_target(path):
            pass


def test_create_file_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"mine")
    with pytest.raises(RefusedError):
        create_file(path, 4096)
    assert path.read_bytes() == b"mine"


def test_reading_leaves_no_trace_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    create_file(path, 4096)
    with open_target(path, writable=False) as target:
        assert target.read(10, 20) == bytes(20)
        with pytest.raises(UsageError):
            target.write(0, b"x")


@pytest.mark.root
def test_a_loop_device_is_written_by_direct_io_and_by_us_alone(loop: str) -> None:
    data = random.Random(2).randbytes(2 * MIB + 3)
    with open_target(loop) as target:
        assert target.is_direct
        assert not target.is_file
        target.write(511, data)
        target.flush()
        with pytest.raises(OSError, match="busy") as caught:
            os.open(loop, os.O_RDWR | os.O_EXCL)
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(RefusedError, match="in use"), open_target(loop):
            pass
    shown = Path(loop).open("rb").read(511 + len(data))  # noqa: SIM115
    assert hashlib.sha256(shown[511:]).digest() == hashlib.sha256(data).digest()


@pytest.mark.root
def test_another_disk_under_the_same_name_is_refused(loop: str) -> None:
    confirmed = describe(loop)
    for changed in (
        replace(confirmed, serial="X"),
        replace(confirmed, diskseq=confirmed.diskseq + 1),
        replace(confirmed, sysfs_path="/sys/devices/other"),
    ):
        with pytest.raises(RefusedError, match="not the disk"), open_target(loop, expected=changed):
            pass
    with open_target(loop, expected=confirmed) as target:
        assert target.device.diskseq == confirmed.diskseq
