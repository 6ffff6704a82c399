"""Power cuts: whatever a cut leaves boots every way, and each tree is the old one or the new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.errors import DeviceError
from mediakit.iso import edit
from tests.iso.edit import crash

Isos = Callable[[str], Path]
NOW = 1_700_000_000
KINDS = ["isohybrid_gpt", "grub_gpt", "isohybrid_tool", "isohybrid_apm", "grub_rescue", "joliet_only"]
KINDS += ["grub_appended", "grub_offset", "grub_offset_gpt"]
CHANGES = [
    edit.Put("/new/deep folder/hello.txt", b"hello" * 700),
    edit.Put("/boot/vmlinuz", b"K" * 5000),
    edit.Overwrite("/boot/File-21.module", b"in place" * 100, "a room", secret=True),
    edit.Remove("/boot/File-03.module"),
    edit.SetVolumeId("ANOTHER"),
]


def record(data: bytes) -> tuple[crash.Recorder, edit.EditPlan]:
    with crash.open_bytes(data) as image:
        plan = edit.make_plan(image, CHANGES, now=NOW)
    medium = crash.Recorder(data)
    edit.apply_in_place(medium, plan)
    return medium, plan


def without_room(listing: dict[str, tuple[str, bytes]]) -> dict[str, tuple[str, bytes]]:
    """A file that is overwritten in place may be torn until the edit is completed; the catalog is a file."""
    return {
        path: what for path, what in listing.items() if "21" not in path and "boot.cat" not in path.lower()
    }


def judge(state: bytes, old: bytes, new: bytes) -> None:
    assert crash.working(state) == crash.working(old)
    assert crash.reachable(state)
    if crash.primary_gpt(old) is not None:
        assert crash.primary_gpt(state) is not None
    for now, before, after in zip(crash.trees(state), crash.trees(old), crash.trees(new), strict=True):
        assert without_room(now) in (without_room(before), without_room(after))


@pytest.mark.parametrize("kind", KINDS)
def test_every_cut_boots_and_is_completed_or_taken_back(isos: Isos, kind: str) -> None:
    old = isos(kind).read_bytes()
    medium, _ = record(old)
    new = bytes(medium.data)
    wiped = without_secret(old, new)
    for state in crash.cuts(old, medium.barriers, kind, 3):
        judge(state, old, new)
        going_on = crash.Recorder(state)
        found = edit.complete(going_on)
        assert bytes(going_on.data) == (new if found and found.state == "committed" else going_on.data)
        assert bytes(going_on.data) in (old, new)
        if bytes(state) != old:
            back = crash.Recorder(state)
            edit.undo(back)
            assert bytes(back.data) in (old, wiped)


def without_secret(old: bytes, new: bytes) -> bytes:
    """The original, with the room that held a secret zeroed: that is all undo can do."""
    with crash.open_bytes(old) as image:
        (extent,) = image.extents("/boot/File-21.module")
    size = -(-extent.size_bytes // 512) * 512
    return old[: extent.offset_bytes] + bytes(size) + old[extent.offset_bytes + size :]


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_an_undo_that_is_cut_off_is_finished(isos: Isos, kind: str) -> None:
    old = isos(kind).read_bytes()
    medium, _ = record(old)
    new = bytes(medium.data)
    undoing = crash.Recorder(new)
    edit.undo(undoing)
    end = bytes(undoing.data)
    assert end == without_secret(old, new)
    for state in crash.cuts(new, undoing.barriers, kind, 3):
        judge(state, old, new)
        going_on = crash.Recorder(state)
        edit.complete(going_on)
        assert bytes(going_on.data) in (new, end)


def test_a_replaced_secret_is_nowhere_on_the_medium(isos: Isos) -> None:
    old = isos("grub_gpt").read_bytes()
    first, second = b"old secret phrase", b"new secret phrase"
    data = bytearray(old)
    for secret in (first, second):
        with crash.open_bytes(bytes(data)) as image:
            room = [edit.Overwrite("/boot/File-21.module", secret, "answers", secret=True)]
            plan = edit.make_plan(image, room, now=NOW)
        medium = crash.Recorder(bytes(data))
        edit.apply_in_place(medium, plan)
        data = medium.data
    assert first not in data and data.count(second) == 1
    result = edit.undo(medium)
    assert result.lost == ("/boot/File-21.module",)
    assert first not in medium.data and second not in medium.data


class Failing(crash.Recorder):
    """A medium whose ``fail``-th write is an I/O error."""

    count = 0
    fail = 0

    def write(self, offset: int, data: bytes) -> None:
        self.count += 1
        if self.count == self.fail:
            raise DeviceError("It broke.")
        super().write(offset, data)


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_offset_gpt"])
def test_an_error_at_any_write_leaves_the_old_image_or_one_that_is_completed(isos: Isos, kind: str) -> None:
    old = isos(kind).read_bytes()
    with crash.open_bytes(old) as image:
        plan = edit.make_plan(image, [edit.Put("/new/x", b"x" * 3000)], now=NOW)
    whole = Failing(old)
    edit.apply_in_place(whole, plan)
    for number in range(1, whole.count + 1):
        medium = Failing(old)
        medium.fail = number
        with pytest.raises(DeviceError):
            edit.apply_in_place(medium, plan)
        medium.fail = 0
        assert crash.working(bytes(medium.data)) == crash.working(old)
        edit.complete(medium)
        assert bytes(medium.data) in (old, bytes(whole.data))
