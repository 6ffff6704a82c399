"""Edits on a stick: a medium that cannot grow, with the image's data partition behind it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.errors import RefusedError
from mediakit.formats import gpt
from mediakit.formats.reader import bytes_reader
from mediakit.iso import edit
from mediakit.iso.edit import record
from mediakit.stick import tables
from mediakit.units import MIB
from tests.iso.edit import crash

Isos = Callable[[str], Path]
NOW = 1_700_000_000
STICK_BYTES = 24 * MIB
DATA = tables.Span(8 * MIB, 15 * MIB)
KINDS = ["grub_gpt", "isohybrid_gpt", "isohybrid_tool", "grub_appended", "grub_offset", "isohybrid_mbr"]


def stick(image: bytes) -> bytes:
    """The image as ``write`` puts it on a stick, its data partition full of letters."""
    table = gpt.read(bytes_reader(image), len(image), 512).primary
    merged = tables.merge(image[:MIB], table, STICK_BYTES, DATA, uuid.UUID(int=7))
    data = bytearray(image.ljust(STICK_BYTES, b"\0"))
    data[:MIB] = merged.head
    data[merged.tail_offset : merged.tail_offset + len(merged.tail)] = merged.tail
    data[DATA.offset_bytes : DATA.end] = b"D" * DATA.size_bytes
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_partition_and_the_backup_table_stay(isos: Isos, kind: str) -> None:
    old = stick(isos(kind).read_bytes())
    before = gpt.read(bytes_reader(old), len(old), 512)
    data = old
    for number in range(3):
        with crash.open_bytes(data) as image:
            plan = edit.make_plan(image, [edit.Put(f"/f{number}", b"x" * 10_000)], now=NOW)
        medium = crash.Recorder(data, fixed=True)
        edit.apply_in_place(medium, plan)
        data = bytes(medium.data)
        assert (
            len(data) == STICK_BYTES
            and data[DATA.offset_bytes : DATA.end] == old[DATA.offset_bytes : DATA.end]
        )
        after = gpt.read(bytes_reader(data), len(data), 512)
        assert after.backup_at_end == before.backup_at_end
        if before.primary and before.backup:
            assert after.primary and after.backup and after.primary.has_same_content(after.backup)
            assert after.primary.partition("ENGINE-DATA") == before.primary.partition("ENGINE-DATA")
        assert crash.working(data) == crash.working(old)
    for listing in crash.trees(data):
        assert {"/f0", "/f1", "/f2"} <= set(listing)
    medium = crash.Recorder(data, fixed=True)
    for _ in range(3):
        edit.undo(medium)
    assert bytes(medium.data[: MIB // 2]) == old[: MIB // 2]
    assert bytes(medium.data[DATA.offset_bytes :]) == old[DATA.offset_bytes :]
    assert crash.trees(bytes(medium.data)) == crash.trees(old)
    with pytest.raises(RefusedError):
        edit.undo(medium)


def test_an_edit_that_would_reach_the_data_partition_is_refused(isos: Isos) -> None:
    old = stick(isos("grub_gpt").read_bytes())
    with crash.open_bytes(old) as image:
        with pytest.raises(RefusedError, match="no room"):
            edit.make_plan(image, [edit.Put("/large", bytes(7 * MIB))], now=NOW)
        small = [edit.Put("/small", bytes(MIB))]
        plan = edit.make_plan(image, small, now=NOW)
        assert max(r.offset_bytes + r.size_bytes for r in plan.regions) <= DATA.offset_bytes
        with pytest.raises(RefusedError, match="no room"):
            edit.make_plan(image, small, now=NOW, end_limit_bytes=2 * MIB)


def test_an_image_copied_onto_a_larger_disk_keeps_its_tables_right(isos: Isos) -> None:
    """As ``dd`` does it: the backup GPT is where the image ended."""
    old = isos("grub_gpt").read_bytes().ljust(STICK_BYTES, b"\0")
    with crash.open_bytes(old) as image:
        plan = edit.make_plan(image, [edit.Put("/f", b"x")], now=NOW, end_limit_bytes=STICK_BYTES)
    medium = crash.Recorder(old, fixed=True)
    edit.apply_in_place(medium, plan)
    state = gpt.read(bytes_reader(bytes(medium.data)), STICK_BYTES, 512)
    assert state.primary and state.backup and state.primary.has_same_content(state.backup)
    assert crash.working(bytes(medium.data)) == crash.working(old)


def test_a_record_left_by_the_image_before_is_no_business_of_this_one(isos: Isos) -> None:
    """An edit of one image is cut off, then the stick gets another image: its bytes are not touched."""
    first = stick(isos("grub_gpt").read_bytes())
    with crash.open_bytes(first) as image:
        plan = edit.make_plan(image, [edit.Put("/boot/new", b"x" * 3000)], now=NOW)
    medium = crash.Recorder(first, fixed=True)
    edit.apply_in_place(medium, plan)
    for state in ("committed", "undoing", "done"):
        second = bytearray(stick(isos("grub_bootable_flag").read_bytes()))
        head, end = plan.record.head, plan.record.tail_end
        second[head:end] = medium.data[head:end]
        body = plan.record.body()
        second[head : head + 512] = record.build_head(plan.record.with_state(state), head + 2048, body)
        other = crash.Recorder(bytes(second), fixed=True)
        assert edit.pending(other) is None and edit.complete(other) is None
        with pytest.raises(RefusedError):
            edit.undo(other)
        assert other.data == second


@pytest.mark.parametrize("kind", ["grub_gpt", "isohybrid_gpt", "grub_offset"])
def test_every_cut_on_a_stick(isos: Isos, kind: str) -> None:
    old = stick(isos(kind).read_bytes())
    with crash.open_bytes(old) as image:
        plan = edit.make_plan(image, [edit.Put("/boot/new", b"x" * 3000), edit.SetVolumeId("A")], now=NOW)
    medium = crash.Recorder(old, fixed=True)
    edit.apply_in_place(medium, plan)
    new = bytes(medium.data)
    for state in crash.cuts(old, medium.barriers, kind, 2):
        assert crash.working(state) == crash.working(old)
        for now, before, after in zip(crash.trees(state), crash.trees(old), crash.trees(new), strict=True):
            skip = {p for p in now if p.lower().endswith("boot.cat")}
            assert {p: w for p, w in now.items() if p not in skip} in [
                {p: w for p, w in t.items() if p not in skip} for t in (before, after)
            ]
        going_on = crash.Recorder(state, fixed=True)
        found = edit.complete(going_on)
        ended = bytes(going_on.data)
        if found is not None and found.state == "committed":
            assert ended == new
        assert ended[DATA.offset_bytes : DATA.end] == old[DATA.offset_bytes : DATA.end]
        assert ended[: MIB // 2] in (old[: MIB // 2], new[: MIB // 2])
