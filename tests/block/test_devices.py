"""What each disk is, and why it may not be written."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block import safety, usage
from mediakit.block.devices import describe, list_devices
from mediakit.block.safety import Use, judge
from mediakit.block.stack import Shared
from mediakit.block.target import create_file, open_target
from mediakit.block.usage import Usage
from mediakit.errors import RefusedError
from mediakit.units import MIB


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    create_file(tmp_path / "backing.img", 16 * MIB)
    device = run.run(["losetup", "-f", "--show", str(tmp_path / "backing.img")], timeout=20).text.strip()
    yield device
    run.run(["losetup", "-d", device], timeout=20)


def test_the_disk_of_the_running_system_is_listed_and_refused() -> None:
    root = [d for d in list_devices() if "/" in d.mounts]
    for device in root:
        assert not device.allowed
        assert "running system" in device.reason
        with pytest.raises(RefusedError), open_target(device.path):
            pass


def test_sizes_agree_with_lsblk() -> None:
    listed = json.loads(run.run(["lsblk", "-bdJ", "-o", "PATH,SIZE,LOG-SEC"], timeout=20).text)
    sizes = {entry["path"]: (int(entry["size"]), int(entry["log-sec"])) for entry in listed["blockdevices"]}
    for device in list_devices():
        assert sizes[device.path] == (device.size_bytes, device.sector_bytes)


@pytest.mark.root
def test_a_mounted_disk_and_the_file_behind_it_are_refused(loop: str, tmp_path: Path) -> None:
    run.run(["mke2fs", "-q", "-t", "ext4", loop], timeout=30)
    assert describe(loop).allowed
    place = tmp_path / "mount point"
    place.mkdir()
    run.run(["mount", loop, str(place)], timeout=20)
    try:
        device, file = describe(loop), describe(tmp_path / "backing.img")
        assert device.mounts == (str(place),)
        assert not device.allowed and "mounted" in device.reason
        assert not file.allowed and "loop device" in file.reason
        for path in (loop, tmp_path / "backing.img"):
            with pytest.raises(RefusedError), open_target(path):
                pass
    finally:
        run.run(["umount", str(place)], timeout=20)
    assert describe(loop).allowed


@pytest.mark.root
def test_another_name_of_a_disk_in_use_hides_nothing(loop: str, tmp_path: Path) -> None:
    run.run(["mke2fs", "-q", loop], timeout=30)
    node, link, place = tmp_path / "node", tmp_path / "by-id", tmp_path / "place"
    os.mknod(node, 0o600 | stat.S_IFBLK, Path(loop).stat().st_rdev)
    link.symlink_to(node)
    place.mkdir()
    run.run(["mount", loop, str(place)], timeout=20)
    try:
        for name in (node, link):
            assert "mounted" in describe(name).reason
            with pytest.raises(RefusedError), open_target(name):
                pass
    finally:
        run.run(["umount", str(place)], timeout=20)


@pytest.mark.root
def test_a_partition_is_refused_as_a_disk_yet_can_be_opened_on_purpose(loop: str, tmp_path: Path) -> None:
    run.run(["addpart", loop, "1", "2048", "8192"], timeout=20)
    part = describe(loop + "p1")
    assert part.is_partition and not part.allowed and "partition" in part.reason
    with pytest.raises(RefusedError), open_target(part.path):
        pass
    with open_target(part.path, partition=True) as target:
        assert target.size_bytes == 4 * MIB
        target.write(0, b"slot")
    run.run(["mke2fs", "-q", part.path], timeout=30)
    place = Path("/run") / Path(part.path).name
    place.mkdir(exist_ok=True)
    run.run(["mount", part.path, str(place)], timeout=20)
    try:
        assert not describe(loop).allowed, "a mounted partition makes its disk unsafe"
        assert not describe(tmp_path / "backing.img").allowed, "and the file behind that disk"
        with pytest.raises(RefusedError), open_target(part.path, partition=True):
            pass
    finally:
        run.run(["umount", str(place)], timeout=20)
        place.rmdir()
        run.run(["delpart", loop, "1"], timeout=20)


@pytest.mark.root
def test_swap_in_use_is_refused(loop: str, tmp_path: Path) -> None:
    run.run(["mkswap", loop], timeout=20)
    assert describe(loop).allowed
    if run.run(["swapon", loop], timeout=20, check=False).status:
        now = Usage(swaps=frozenset({"7:0"}))  # a kernel without swap: the judgement alone
        assert safety.use_of(Shared(("7:0",), (), ()), now).is_swap
        return
    try:
        assert "swap" in describe(loop).reason
    finally:
        run.run(["swapoff", loop], timeout=20)


@pytest.mark.root
def test_the_booted_medium_is_refused(loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = tmp_path / "boot.json"
    boot.write_text(json.dumps({"schema": 1, "kind": "medium", "device": loop, "disk": loop}))
    monkeypatch.setattr(usage, "BOOT_JSON", boot)
    assert "started from" in describe(loop).reason
    assert "started from" in describe(tmp_path / "backing.img").reason


@pytest.mark.root
def test_an_installed_engine_may_write_its_own_boot_partition_but_not_its_disk(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot.json"
    monkeypatch.setattr(usage, "BOOT_JSON", boot)
    boot.write_text(json.dumps({"schema": 1, "kind": "slot", "disk": "/dev/null", "esp": loop}))
    assert "started from" not in describe(loop).reason
    boot.write_text(json.dumps({"schema": 1, "kind": "slot", "disk": loop, "esp": "/dev/null"}))
    assert "started from" in describe(loop).reason


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use(mounts=("/mnt", "/boot/efi")), "running system"),
        (Use(is_booted=True), "started from"),
        (Use(is_swap=True), "swap"),
        (Use(mounts=("/media/me/STICK",)), "mounted"),
        (Use(holders=("LVM vg0-root",)), "LVM vg0-root"),
        (Use(size_bytes=0), "no medium"),
        (Use(size_bytes=9, read_only=True), "read-only"),
    ],
)
def test_each_refusal_says_why_and_what_to_do(use: Use, words: str) -> None:
    verdict = judge("/dev/sdx", use)
    assert not verdict.allowed
    assert words in verdict.reason
    assert verdict.hint


def test_an_idle_disk_is_allowed() -> None:
    assert judge("/dev/sdx", Use(size_bytes=MIB)).allowed


def test_mountinfo_is_read_with_its_escapes() -> None:
    line = r"36 35 0:40 / /mnt/a\040b rw,noatime shared:1 - btrfs /dev/sda2 rw,subvol=/"
    assert usage.parse_mountinfo(line) == [("0:40", "/mnt/a b", "/dev/sda2")]
    assert usage.parse_mountinfo("garbage\n\n") == []
