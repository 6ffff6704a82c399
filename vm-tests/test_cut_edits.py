"""An edit of an image or a stick that a power cut ended boots by every route, as it was or as it was to be."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
from shelf import ARGUMENT, Edited, Shelf
from tiny import State

from mediakit import iso
from mediakit.engine import rewriting
from mediakit.formats import gpt
from mediakit.formats.reader import bytes_reader
from mediakit.iso import edit
from mediakit.stick import tables
from mediakit.units import MIB
from mediakit.vm.spec import Bus, Firmware
from tests.iso.edit import crash

NOW = 1_700_000_000
KINDS = ["isohybrid_gpt", "grub_offset_gpt", "grub_appended"]
TURNS = 3
"""Of the states that cuts leave each route boots every third one, the next routes the others."""
STICK_BYTES = 96 * MIB
DATA = tables.Span(64 * MIB, 31 * MIB)
BEFORE = State()
AFTER = State(kernel=2, initrd=2, note="cut", arguments=frozenset({ARGUMENT}))


@pytest.mark.parametrize(("firmware", "bus"), tiny.ROUTES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_off_edit_boots_the_old_or_the_new(
    shelf, boots, tmp_path: Path, kind: str, firmware: Firmware, bus: Bus
) -> None:
    """Menu, kernel, initrd and files are all of one state, the one that the tree on the medium is in."""
    old = shelf.image(kind)
    medium = recorded(shelf, old.read_bytes(), tmp_path / "old.iso")
    turn = tiny.ROUTES.index((firmware, bus)) % TURNS
    states = [*cut_states(old.read_bytes(), medium)]
    boot_them(states[turn::TURNS], medium, boots, tmp_path / "cut.iso", firmware, bus)


@pytest.mark.parametrize("firmware", [Firmware.BIOS, Firmware.UEFI], ids=str)
@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_offset_gpt"])
def test_a_cut_off_edit_of_a_stick_boots(shelf, boots, tmp_path: Path, kind: str, firmware: Firmware) -> None:
    """A medium that cannot grow, with a data partition behind the image and the backup GPT at its end."""
    old = stick(shelf.image(kind).read_bytes())
    medium = recorded(shelf, old, tmp_path / "old.img", is_stick=True)
    states = [*cut_states(old, medium)]
    boot_them(states[firmware.is_uefi :: TURNS], medium, boots, tmp_path / "cut.img", firmware, Bus.USB)


def boot_them(
    states: list[bytes], medium: crash.Recorder, boots, image: Path, firmware: Firmware, bus: Bus
) -> None:
    """The trees of the whole medium and of its first partition are the old or the new one, each by itself."""
    digests = set()
    for data in (states[0], bytes(medium.data)):
        image.write_bytes(data)
        digests.add(tiny.files_digest(image, image.parent / "files")[0])
    assert len(digests) == 2
    seen = set()
    for state in states:
        image.write_bytes(state)
        with iso.open_image(image) as opened:
            note = opened.read("/note.txt").decode()
        seen.add(note)
        wanted = BEFORE if note == BEFORE.note else AFTER
        boots(Edited(image, wanted, partitions=frozenset(digests)), firmware, bus)
    assert seen == {BEFORE.note, AFTER.note}


def recorded(shelf: Shelf, old: bytes, image: Path, *, is_stick: bool = False) -> crash.Recorder:
    """The writes of a large edit, between its flushes."""
    puts = {"/note.txt": b"cut", "/boot/vmlinuz": tiny.kernel_of(2), "/boot/initrd.img": tiny.initrd_of(2)}
    files = tuple(edit.Put(path, data) for path, data in puts.items())
    image.write_bytes(old)
    with iso.open_image(image) as opened:
        wish = rewriting.Request(files=files, kernel_arguments=(ARGUMENT,))
        limit = DATA.offset_bytes if is_stick else None
        changes = rewriting.gather(opened, wish, now=NOW).changes
        plan = edit.make_plan(opened, changes, now=NOW, end_limit_bytes=limit)
    medium = crash.Recorder(old, fixed=is_stick)
    edit.apply_in_place(medium, plan)
    return medium


def cut_states(old: bytes, medium: crash.Recorder) -> Iterator[bytes]:
    """What a cut leaves: in the middle of the tail and after it, then after each single write in front of it,
    and with the writes between two flushes in the other order."""
    durable = bytearray(old)
    for writes in medium.barriers:
        in_front = [write for write in writes if write[1] and write[0] < len(old) and len(writes) < 8]
        if len(writes) >= 8:
            for offset, data in writes[: len(writes) // 2]:
                crash.put(durable, offset, data)
            yield bytes(durable)
        if len(in_front) > 1:
            other = bytearray(durable)
            crash.put(other, *in_front[-1])
            yield bytes(other)
        for offset, data in writes:
            crash.put(durable, offset, data) if data else crash.set_size(durable, offset)
            if (offset, data) in in_front:
                yield bytes(durable)
        if len(writes) >= 8:
            yield bytes(durable)


def stick(image: bytes) -> bytes:
    """The image as ``write`` puts it on a small stick, its data partition full of letters."""
    table = gpt.read(bytes_reader(image), len(image), 512).primary
    merged = tables.merge(image[:MIB], table, STICK_BYTES, DATA, uuid.UUID(int=7))
    data = bytearray(image.ljust(STICK_BYTES, b"\0"))
    data[:MIB] = merged.head
    data[merged.tail_offset : merged.tail_offset + len(merged.tail)] = merged.tail
    data[DATA.offset_bytes : DATA.end] = b"D" * DATA.size_bytes
    return bytes(data)
