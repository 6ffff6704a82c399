"""A stick that was written from somebody's image is edited where it is, beside its data, and boots."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import tiny
from shelf import ARGUMENT, Edited
from support import mediakit, written_sha256
from tiny import State

from mediakit.run import run
from mediakit.vm.spec import Bus

KINDS = ["isohybrid_mbr", "isohybrid_gpt", "isohybrid_tool", "grub_gpt", "grub_offset_gpt", "grub_rescue"]
KINDS += ["disc_isolinux", "disc_grub"]
LARGE_BYTES = 40_000_001


@pytest.mark.parametrize("kind", KINDS)
def test_a_stick_is_edited_in_place_beside_its_data(shelf, boots, tmp_path: Path, kind: str) -> None:
    stick = tmp_path / "stick.img"
    words = ["--usb-bootable"] if kind.startswith("disc_") else []
    mediakit("write", shelf.image(kind), stick, "--size", "4G", "--yes", *words)
    before = data_partition(stick)
    files = {"/large.bin": random.Random(2).randbytes(LARGE_BYTES), "/note.txt": b"on the stick"}
    files["/boot/initrd.img"] = tiny.initrd_of(2)
    edit = ["rewrite", stick, "--in-place", "--yes", "--progress", "none"]
    mediakit(*edit, *shelf.puts(files), "--kernel-arg", ARGUMENT)
    mediakit(
        *edit,
        *shelf.puts({"/small.txt": b"small"}),
        "--menu-default",
        "second",
        "--label",
        "STICK",
        "--force",
    )
    assert data_partition(stick) == before
    arguments = frozenset({ARGUMENT, "tiny.entry=second"})
    wanted = State(initrd=2, note="on the stick", label="STICK", arguments=arguments)
    for firmware, bus in tiny.routes(kind):
        if bus is Bus.USB:
            boots(Edited(stick, wanted, frozenset({"/large.bin", "/small.txt"})), firmware, bus)
    mediakit(*edit[:-2], "--undo")
    mediakit(*edit[:-2], "--undo")
    assert data_partition(stick) == before
    boots(Edited(stick, State(), gone=frozenset({"/large.bin"})), *tiny.BIOS_ROUTES[1])


def data_partition(stick: Path) -> tuple[int, int, str]:
    """Offset and size in bytes of the partition behind the image, and the hash of what is in it."""
    table = json.loads(run(["sfdisk", "--json", stick], timeout=30).text)["partitiontable"]
    last = max(table["partitions"], key=lambda part: part["start"])
    offset, size = last["start"] * 512, last["size"] * 512
    return offset, size, written_sha256(stick, offset, size)
