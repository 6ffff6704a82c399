"""Images made wrong on purpose: an edit is planned or refused, never a traceback, never a wrong tree."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import iso
from mediakit.errors import FormatError, MediakitError
from mediakit.formats.iso9660_build import both32
from mediakit.iso import edit
from mediakit.iso.edit import record
from tests.iso.edit import crash

Isos = Callable[[str], Path]
CHANGES = [
    edit.Put("/new/file", b"x" * 3000),
    edit.Put("/boot/vmlinuz", b"k"),
    edit.Remove("/boot/File-07.module"),
    edit.Overwrite("/boot/File-09.module", b"o", "a room"),
]


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "isohybrid_tool", "grub_offset", "grub_gpt"])
def test_damaged_images_are_refused_in_words(isos: Isos, kind: str) -> None:
    original = isos(kind).read_bytes()
    with crash.open_bytes(original) as image:
        plan = edit.make_plan(image, CHANGES, now=1)
    places = [0, 440, 512, 512 + 72, 1024, 17 * 2048 + 71]
    places += [r.offset_bytes for r in plan.regions if r.offset_bytes < len(original)]
    places += [16 * 2048 + at for at in (80, 128, 132, 140, 158, 166)]
    seeded = random.Random(kind)
    longest = 0.0
    planned = 0
    for _ in range(60):
        data = bytearray(original)
        for _ in range(seeded.randint(1, 3)):
            at = seeded.choice(places) + seeded.choice((0, 0, 2, 10, 33, seeded.randint(0, 400)))
            raw = seeded.choice(
                (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff", struct.pack("<I", seeded.randint(0, 3000)))
            )
            data[at : at + len(raw)] = raw
        started = time.process_time()
        try:
            with crash.open_bytes(bytes(data)) as image:
                plan = edit.make_plan(image, CHANGES, now=1)
            medium = crash.Recorder(bytes(data))
            edit.apply_in_place(medium, plan)
            edit.undo(medium)
            assert medium.data == data
            planned += 1
        except MediakitError:
            pass
        longest = max(longest, time.process_time() - started)
    assert planned and longest < 2


@pytest.mark.parametrize("usable", [1 << 40, (1 << 64) - 1])
def test_a_table_with_an_absurd_last_sector_is_refused(isos: Isos, usable: int) -> None:
    data = bytearray(isos("grub_gpt").read_bytes())
    struct.pack_into("<Q", data, 512 + 48, usable)
    (size,) = struct.unpack_from("<I", data, 512 + 12)
    struct.pack_into("<I", data, 512 + 16, 0)
    struct.pack_into("<I", data, 512 + 16, zlib.crc32(data[512 : 512 + size]))
    with crash.open_bytes(bytes(data)) as image, pytest.raises(MediakitError):
        edit.make_plan(image, CHANGES, now=1)


@pytest.mark.parametrize("links", [0xFFFFFFFF, 0, 1 << 31])
def test_absurd_link_counts_are_left_as_they_are(isos: Isos, links: int) -> None:
    data = bytearray(isos("grub_gpt").read_bytes())
    for mark in (b"PX\x24\x01", b"PX\x2c\x01"):
        at = data.find(mark)
        while at >= 0:
            data[at + 12 : at + 20] = struct.pack("<I", links) + struct.pack(">I", links)
            at = data.find(mark, at + 4)
    with crash.open_bytes(bytes(data)) as image:
        assert edit.make_plan(image, CHANGES, now=1).regions


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_what_iso_9660_has_no_room_for_is_an_error_in_words(value: int) -> None:
    with pytest.raises(FormatError, match="32 bits"):
        both32(value)


def test_records_of_edits_that_lie_are_none(isos: Isos) -> None:
    """A record's fields are an attacker's: offsets outside, chains in circles, absurd sizes."""
    old = isos("grub_gpt").read_bytes()
    with crash.open_bytes(old) as image:
        plan = edit.make_plan(image, CHANGES, now=1)
    medium = crash.Recorder(old)
    edit.apply_in_place(medium, plan)
    seeded = random.Random(1)
    for _ in range(80):
        data = bytearray(medium.data)
        at = plan.record.head + seeded.randint(0, 6000)
        data[at : at + 4] = seeded.randbytes(4)
        hostile = crash.Recorder(bytes(data))
        try:
            with crash.open_bytes(bytes(data)) as image:
                edit.history(image)
            edit.complete(hostile)
            edit.undo(hostile)
        except MediakitError:
            pass
        assert len(hostile.data) <= len(data)


def test_a_forged_record_cannot_reach_outside_its_image(isos: Isos) -> None:
    """Checksums are no protection against the one who wrote the image."""
    old = isos("grub_gpt").read_bytes()
    with crash.open_bytes(old) as image:
        plan = edit.make_plan(image, CHANGES, now=1)
    good = plan.record
    step = good.steps[0]
    forged = [
        replace(good, steps=(replace(step, offset_bytes=good.tail_end),)),
        replace(good, steps=(replace(step, offset_bytes=-512),)),
        replace(good, old_size_bytes=0),
        replace(good, old_size_bytes=1 << 50, new_size_bytes=1 << 60),
        replace(good, wipes=((0, 512),)),
        replace(good, steps=(replace(step, new=None, payload=0),)),
    ]
    for evil in forged:
        medium = crash.Recorder(old)
        edit.apply_in_place(medium, plan)
        body = evil.body()
        place = plan.record.head + 2048
        medium.write(plan.record.head, record.build_head(evil, place, body))
        medium.write(place, body)
        before = bytes(medium.data)
        with pytest.raises(FormatError, match="forged"):
            edit.undo(medium)
        assert medium.data == before


def test_a_supplementary_descriptor_of_the_plain_tree_is_kept_like_it(isos: Isos, tmp_path: Path) -> None:
    """Neither Joliet's nor of ISO 9660:1999 (version 2), with the root of the primary one (ECMA-119 §8.5)."""
    path = tmp_path / "x.iso"
    data = bytearray(isos("level_4").read_bytes())
    place = next(at for at in range(16 * 2048, 32 * 2048, 2048) if data[at : at + 6] == b"\x02CD001")
    data[place + 6] = 1
    path.write_bytes(data)
    with iso.open_image(path) as image:
        assert edit.make_plan(image, [edit.Patch(440, b"diskid", "id")], now=0).regions
