"""What we say is on a disk is what blkid says."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.contents import Content, identify
from mediakit.errors import MediakitError
from mediakit.formats.reader import bytes_reader, file_reader
from mediakit.units import MIB

MAKERS: dict[str, tuple[int, list[str]]] = {
    "ext2": (8, ["mke2fs", "-q", "-t", "ext2", "-L", "two", "{}"]),
    "ext3": (16, ["mke2fs", "-q", "-t", "ext3", "-L", "three", "{}"]),
    "ext4": (16, ["mke2fs", "-q", "-t", "ext4", "-L", "four", "{}"]),
    "fat12": (2, ["mkfs.fat", "-F", "12", "-n", "TWELVE", "{}"]),
    "fat16": (32, ["mkfs.fat", "-F", "16", "-n", "SIXTEEN", "{}"]),
    "fat32": (64, ["mkfs.fat", "-F", "32", "-n", "THIRTYTWO", "{}"]),
    "nameless": (64, ["mkfs.fat", "-F", "32", "{}"]),
    "swap": (4, ["mkswap", "-L", "mine", "{}"]),
    "luks": (
        32,
        [
            "cryptsetup",
            "luksFormat",
            "-q",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
            "{}",
            "-",
        ],
    ),
    "xfs": (320, ["mkfs.xfs", "-q", "-L", "ex", "{}"]),
    "btrfs": (128, ["mkfs.btrfs", "-q", "-L", "butter", "{}"]),
    "ntfs": (8, ["mkfs.ntfs", "-F", "-Q", "-q", "{}"]),
    "exfat": (8, ["mkfs.exfat", "-L", "ex", "{}"]),
}
SURE = ("ext2", "ext3", "ext4", "fat12", "fat16", "fat32", "nameless", "swap")


def blkid(path: Path) -> dict[str, str]:
    text = run.run(["blkid", "-p", "-o", "export", str(path)], timeout=20).text
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def look(path: Path) -> list[Content]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = path.stat().st_size
        return identify(file_reader(descriptor, size), size)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", [n for n in MAKERS if n in SURE or run.has_tool(MAKERS[n][1][0])])
def test_kind_label_and_uuid_are_blkids(tmp_path: Path, name: str) -> None:
    size, words = MAKERS[name]
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(size * MIB)
    run.run([word.replace("{}", str(path)) for word in words], timeout=60, stdin=b"secret")
    judge = blkid(path)
    (content,) = look(path)
    assert content.kind == judge["TYPE"]
    assert content.label == judge.get("LABEL", "").replace("\\ ", " ")
    if name != "ntfs":
        assert content.uuid == judge["UUID"]
    else:
        assert content.uuid.upper() == judge["UUID"].upper()
    assert content.what


def test_an_iso_is_named_with_its_label(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"x")
    path = tmp_path / "image.iso"
    run.run(
        ["xorriso", "-as", "mkisofs", "-V", "MY_DISC", "-J", "-r", "-o", path, tmp_path / "tree"], timeout=60
    )
    (content,) = look(path)
    judge = blkid(path)
    assert (content.kind, content.label, content.uuid) == (judge["TYPE"], judge["LABEL"], judge["UUID"])


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_partitions_are_walked_with_their_numbers(tmp_path: Path, label: str) -> None:
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    logical = "size=8M\n" if label == "gpt" else "type=5\nsize=8M\n"
    script = f"label: {label}\nsize=8M\nsize=16M\n{logical}"
    run.run(["sfdisk", "-q", str(path)], stdin=script.encode(), timeout=20)
    table = run.run(["sfdisk", "-d", str(path)], timeout=20).text
    rows = [line for line in table.splitlines() if "start=" in line and "type=5" not in line]
    starts = [int(row.split("start=")[1].split(",")[0]) * 512 for row in rows]
    numbers = [int(row.split(" :")[0].removeprefix(str(path))) for row in rows]
    run.run(["mke2fs", "-q", "-t", "ext4", "-E", f"offset={starts[1]}", str(path), "8192k"], timeout=30)
    found = look(path)
    assert [(c.partition, c.offset_bytes) for c in found] == list(zip(numbers, starts, strict=True))
    assert [c.kind for c in found] == ["", "ext4", ""]


def test_what_no_tool_here_makes_is_known_by_its_magic() -> None:
    def at(offset: int, magic: bytes) -> bytes:
        return bytes(offset) + magic + bytes(MIB - offset - len(magic))

    cases = {
        "BitLocker": at(0, b"\xeb\x58\x90-FVE-FS-"),
        "ReFS": at(3, b"ReFS\0\0\0\0"),
        "apfs": at(32, b"NXSB"),
        "hfsplus": at(1024, b"H+"),
        "squashfs": at(0, b"hsqs"),
        "linux_raid_member": at(4096, b"\xfc\x4e\x2b\xa9" + struct.pack("<I", 1)),
        "LVM2_member": at(512, b"LABELONE" + bytes(16) + b"LVM2 001" + b"A" * 32),
        "swsuspend": at(4086, b"S1SUSPEND\0"),
    }
    for kind, data in cases.items():
        assert [c.kind for c in identify(bytes_reader(data), len(data))] == [kind]


def test_garbage_is_no_content_and_no_crash() -> None:
    chance = random.Random(7)
    assert identify(bytes_reader(bytes(MIB)), MIB) == []
    assert identify(bytes_reader(b""), 0) == []
    for _ in range(300):
        data = bytearray(chance.randbytes(4096) + bytes(70000))
        data[510:512] = b"\x55\xaa"
        for where in (3, 0, 1080, 32769):
            magic = chance.choice(
                [b"NTFS    ", b"EXFAT   ", b"\x53\xef", b"CD001", b"EFI PART", b"\xeb\x58\x90"]
            )
            data[where : where + len(magic)] = magic
        try:
            identify(bytes_reader(data), len(data))
        except MediakitError as error:
            raise AssertionError(error) from error
