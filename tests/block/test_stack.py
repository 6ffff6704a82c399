"""Who shares bytes with whom: loop devices on files and disks for real, device-mapper and RAID on a made-up /sys."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block import loops, stack, sysfs, usage
from mediakit.block.devices import describe, has_file
from mediakit.block.loops import Loop
from mediakit.block.target import create_file, open_target
from mediakit.block.usage import Usage
from mediakit.errors import RefusedError
from mediakit.units import MIB

root = pytest.mark.root


@contextmanager
def attached(backing: object, *words: str) -> Iterator[str]:
    node = run.run(["losetup", "-f", "--show", *words, str(backing)], timeout=20).text.strip()
    try:
        yield node
    finally:
        run.run(["losetup", "-d", node], timeout=20)
        end = time.monotonic() + 20
        while (sysfs.SYS / "block" / Path(node).name / "loop").exists() and time.monotonic() < end:
            time.sleep(0.01)  # whoever looks at all loop devices meanwhile keeps it for that moment


@contextmanager
def mounted(node: str, place: Path, *words: str) -> Iterator[Path]:
    place.mkdir()
    run.run(["mount", *words, node, str(place)], timeout=20)
    try:
        yield place
    finally:
        run.run(["umount", str(place)], timeout=20)


@pytest.fixture
def backing(tmp_path: Path) -> Path:
    create_file(tmp_path / "backing.img", 16 * MIB)
    return tmp_path / "backing.img"


def refused(path: object, words: str) -> None:
    device = describe(str(path))
    assert not device.allowed
    assert words in device.reason, device.reason
    assert device.hint
    with pytest.raises(RefusedError), open_target(str(path)):
        pass


@root
def test_a_file_behind_a_loop_device_is_in_use_by_whatever_name(backing: Path, tmp_path: Path) -> None:
    hard, soft, folder = tmp_path / "hard.img", tmp_path / "soft.img", tmp_path / "bound"
    hard.hardlink_to(backing)
    soft.symlink_to(backing)
    (tmp_path / "inner").mkdir()
    with attached(backing) as node:
        for name in (backing, hard, soft):
            refused(name, f"loop device {Path(node).name}")
        backing.rename(tmp_path / "inner/renamed.img")
        with mounted(str(tmp_path / "inner"), folder, "--bind"):
            refused(folder / "renamed.img", "loop device")
        hard.rename(tmp_path / "elsewhere.img")
        refused(tmp_path / "elsewhere.img", "loop device")
        assert describe(node).allowed, "the loop device itself is a disk like others"
    assert describe(tmp_path / "elsewhere.img").allowed


@root
def test_two_loop_devices_over_the_same_bytes_are_one_disk(backing: Path, tmp_path: Path) -> None:
    with attached(backing) as whole, attached(backing, "-o", str(8 * MIB)) as half:
        refused(whole, f"loop device {Path(half).name}")
        refused(half, f"loop device {Path(whole).name}")
    with (
        attached(backing, "--sizelimit", str(4 * MIB)) as first,
        attached(backing, "-o", str(8 * MIB)) as second,
    ):
        run.run(["mke2fs", "-q", second], timeout=30)
        with mounted(second, tmp_path / "place"):
            assert describe(first).allowed, "they have no byte in common"
            refused(second, "mounted")
            refused(backing, "mounted")


@root
def test_a_loop_device_over_a_disk_is_that_disk(backing: Path, tmp_path: Path) -> None:
    with attached(backing) as disk:
        run.run(["mke2fs", "-q", disk], timeout=30)
        with attached(disk) as over:
            refused(disk, f"loop device {Path(over).name}")
            assert describe(over).allowed
            with mounted(over, tmp_path / "place"):
                refused(disk, "mounted")
                refused(backing, "mounted")
        with mounted(disk, tmp_path / "other"), attached(disk, "-r") as over:
            refused(over, "mounted")


@root
def test_a_loop_device_over_one_partition_leaves_its_neighbours_alone(backing: Path, tmp_path: Path) -> None:
    with attached(backing) as disk, ExitStack() as undo:
        for number, start in (("1", "2048"), ("2", "16384")):
            run.run(["addpart", disk, number, start, "8192"], timeout=20)
            undo.callback(run.run, ["delpart", disk, number], timeout=20)
        with attached(disk, "-o", str(MIB), "--sizelimit", str(4 * MIB)) as over:
            assert not describe(disk + "p1").is_unused, "the loop device is over this one's bytes"
            assert describe(disk + "p2").is_unused
            assert not describe(disk).allowed
            with open_target(disk + "p2", partition=True):
                pass
            run.run(["mke2fs", "-q", disk + "p1"], timeout=30)
            with mounted(disk + "p1", tmp_path / "place"):
                refused(over, "mounted")


@root
def test_an_image_is_found_under_loop_devices_and_on_filesystems(backing: Path, tmp_path: Path) -> None:
    create_file(tmp_path / "stick.img", 4 * MIB)
    with attached(backing) as disk:
        assert has_file(describe(disk), backing), "the image is what the disk is made of"
        assert has_file(describe(backing), disk), "the image is made of the file"
        assert has_file(describe(backing), backing)
        assert not has_file(describe(tmp_path / "stick.img"), backing)
        run.run(["mke2fs", "-q", disk], timeout=30)
        with mounted(disk, tmp_path / "place") as place, attached(disk) as over:
            create_file(place / "image.iso", MIB)
            for path in (disk, over, backing):
                assert has_file(describe(path), place / "image.iso")
            with attached(place / "image.iso") as inner:
                assert has_file(describe(inner), place / "image.iso")
                assert has_file(describe(backing), inner)


def test_a_file_that_swap_is_in_is_known_by_its_inode(backing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = backing.with_name("other name")
    other.hardlink_to(backing)
    status = backing.stat()
    now = Usage(swap_files=frozenset({loops.file_id(status.st_dev, status.st_ino)}))
    monkeypatch.setattr(usage, "snapshot", lambda: now)
    refused(other, "swap")


def test_swap_files_are_read_from_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "swap file").touch()
    name = str(tmp_path / "swap file").replace(" ", "\\040")
    (tmp_path / "swaps").write_text(f"Filename\tType\tSize\n{name} file 8 0 -2\n/gone\\040away file 8 0 -2\n")
    monkeypatch.setattr(usage, "PROC", tmp_path)
    status = (tmp_path / "swap file").stat()
    assert usage._swaps() == (frozenset(), {loops.file_id(status.st_dev, status.st_ino)})


class Sys:
    """A made-up /sys of block devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "dev/block").mkdir(parents=True)

    def disk(self, name: str, number: str, size_bytes: int = 64 * MIB) -> Path:
        return self._node(self.folder / "block" / name, number, size_bytes)

    def partition(self, disk: Path, index: int, number: str, start_bytes: int, size_bytes: int) -> Path:
        node = self._node(disk / f"{disk.name}{index}", number, size_bytes)
        (node / "partition").write_text(str(index))
        (node / "start").write_text(str(start_bytes // 512))
        return node

    def stacked(self, name: str, number: str, on: list[Path], **attributes: str) -> Path:
        node = self.disk(name, number)
        for path, text in attributes.items():
            file = node / path.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for below in on:
            for place, other in ((below / "holders", node), (node / "slaves", below)):
                place.mkdir(exist_ok=True)
                (place / other.name).symlink_to(other)
        return node

    def _node(self, node: Path, number: str, size_bytes: int) -> Path:
        node.mkdir(parents=True)
        (node / "dev").write_text(f"{number}\n")
        (node / "size").write_text(str(size_bytes // 512))
        (self.folder / "dev/block" / number).symlink_to(node)
        return node


@pytest.fixture
def sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sys:
    monkeypatch.setattr(sysfs, "SYS", tmp_path / "sys")
    return Sys(tmp_path / "sys")


def test_what_is_stacked_on_a_partition_is_found_to_any_depth(sys: Sys) -> None:
    disk = sys.disk("sda", "8:0")
    part = sys.partition(disk, 2, "8:2", MIB, 32 * MIB)
    raid = sys.stacked("md0", "9:0", [part], md__level="raid1")
    crypt = sys.stacked("dm-0", "253:0", [raid], dm__name="secret", dm__uuid="CRYPT-LUKS2-1")
    sys.stacked("dm-1", "253:1", [crypt], dm__name="vg-vms", dm__uuid="LVM-2")
    shared = stack.of_device(disk, Usage())
    assert set(shared.numbers) == {"8:0", "8:2", "9:0", "253:0", "253:1"}
    assert shared.holders == ("RAID md0",)


def test_lvm_on_a_loop_device_makes_its_file_used(sys: Sys, backing: Path) -> None:
    loop = sys.disk("loop0", "7:0", 16 * MIB)
    part = sys.partition(loop, 1, "259:1", MIB, 8 * MIB)
    sys.stacked("dm-0", "253:0", [part], dm__name="vg-vms", dm__uuid="LVM-2")
    status = backing.stat()
    file = loops.file_id(status.st_dev, status.st_ino)
    now = Usage(mounts={"253:0": ("/vms",)}, loops=(Loop("7:0", "loop0", "/gone", file, "", 0, 16 * MIB),))
    shared = stack.of_file(str(backing), status, now)
    assert set(shared.numbers) == {"7:0", "259:1", "253:0"}
    assert shared.holders == ("loop device loop0",)


def test_a_loop_device_of_which_only_the_name_is_known_still_counts(sys: Sys, backing: Path) -> None:
    sys.disk("loop0", "7:0", MIB)
    only_name = Loop("7:0", "loop0", str(backing), loops.path_id(str(backing)), "", 0, MIB)
    shared = stack.of_file(str(backing), backing.stat(), Usage(loops=(only_name,)))
    assert shared.holders == ("loop device loop0",)


def test_a_partition_is_not_used_by_its_neighbours_but_by_what_holds_the_whole_disk(sys: Sys) -> None:
    disk = sys.disk("sda", "8:0")
    first = sys.partition(disk, 1, "8:1", MIB, MIB)
    second = sys.partition(disk, 2, "8:2", 2 * MIB, MIB)
    sys.stacked("dm-0", "253:0", [first], dm__name="secret", dm__uuid="CRYPT-1")
    assert stack.of_device(second, Usage()) == stack.Shared(("8:2",), (), ())
    sys.stacked("dm-1", "253:1", [disk], dm__name="mpatha", dm__uuid="mpath-1")
    assert stack.of_device(second, Usage()).holders == ("multipath mpatha",)


def test_a_loop_device_made_of_a_partition_counts_for_the_disk_and_not_for_others(sys: Sys) -> None:
    disk = sys.disk("sda", "8:0")
    first = sys.partition(disk, 1, "8:1", MIB, MIB)
    sys.partition(disk, 2, "8:2", 2 * MIB, MIB)
    loop = sys.disk("loop0", "7:0", MIB)
    now = Usage(mounts={"8:2": ("/",)}, loops=(Loop("7:0", "loop0", "/dev/sda1", "", "8:1", 0, MIB),))
    assert stack.of_device(disk, now).holders == ("loop device loop0",)
    assert stack.of_device(first, now).holders == ("loop device loop0",)
    assert set(stack.of_device(loop, now).numbers) == {"7:0", "8:1"}


def test_a_mounted_loop_device_marks_the_disk_that_holds_its_file(sys: Sys) -> None:
    stick = sys.disk("sdb", "8:16")
    sys.partition(stick, 1, "8:17", MIB, MIB)
    sys.disk("loop0", "7:0", MIB)
    for file in ("8:17:99", "0:40:99"):  # ext4 tells its device; btrfs does not, then the path decides
        loop = Loop("7:0", "loop0", "/run/live/root.squashfs", file, "", 0, MIB)
        now = Usage(mounts={"8:17": ("/run/live",), "7:0": ("/",), "9:9": ("/other",)}, loops=(loop,))
        assert "7:0" in stack.of_device(stick, now).numbers
    assert stack.filesystem_of("0:40:99", "/other/file", now) == {"9:9"}


def test_the_disk_under_a_volume_group_holds_the_image_in_it(
    sys: Sys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = sys.disk("sda", "8:0")
    part = sys.partition(disk, 1, "8:1", MIB, 32 * MIB)
    volume = sys.stacked("dm-0", "253:0", [part], dm__name="vg-home", dm__uuid="LVM-1")
    image = stack.Range("253:0:77", 0, MIB)
    resting = stack.foundations([image], "/home/x.iso", Usage(mounts={"253:0": ("/home",)}))
    for node, is_under in ((disk, True), (volume, True), (sys.disk("sdb", "8:16"), False)):
        written = stack.beneath_device(node, Usage())
        assert any(a.touches(b) for a in written for b in resting) is is_under


@root
def test_the_kernel_is_asked_what_a_loop_device_is_made_of(backing: Path) -> None:
    with attached(backing, "-o", "4096") as node, attached(node) as over:
        known = {f"/dev/{loop.name}": loop for loop in loops.attached()}
        status = backing.stat()
        assert known[node].file == loops.file_id(status.st_dev, status.st_ino)
        assert (known[node].device, known[node].offset_bytes) == ("", 4096)
        assert known[node].size_bytes == 16 * MIB - 4096
        number = Path(node).stat().st_rdev
        assert known[over].device == f"{os.major(number)}:{os.minor(number)}"
        real = loops._looked_up(str(backing)), loops._looked_up(node), loops._looked_up("/no/where")
        assert real == ((known[node].file, ""), ("", known[over].device), ("path:/no/where", ""))
