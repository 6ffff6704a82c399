"""Power cuts while menus are edited: each menu is the old one or the new one, in the tree and in an EFI image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.formats import fat
from mediakit.formats.reader import bytes_reader
from mediakit.iso import edit
from mediakit.iso.edit import menuentries, menus
from mediakit.iso.edit.menus import MenuEdit
from tests.iso.edit import crash
from tests.isos.menus import DEBIAN_NETINST, INSIDE

NOW = 1_700_000_000
NEW = menuentries.parse("Serial=console=ttyS0,115200")
Media = Callable[..., Path]


def inside_of(data: bytes) -> dict[str, bytes]:
    """Every file of the EFI image."""
    with crash.open_bytes(data) as image:
        volume = image.read_at(*image.extents("/efi.img")[0])
    found = fat.Fat(bytes_reader(volume))
    return {entry.path: found.read(entry.path) for entry in found.walk() if not entry.is_directory}


@pytest.mark.parametrize("inside", [None, INSIDE], ids=["tree", "efi image"])
def test_a_power_cut_leaves_each_menu_old_or_new(media: Media, inside: dict[str, str] | None) -> None:
    path = media(DEBIAN_NETINST, inside)
    old = path.read_bytes()
    with crash.open_bytes(old) as image:
        made = menus.plan(image, MenuEdit(entries=(NEW,), default=NEW.title), now=NOW)
        plan = edit.make_plan(image, list(made.changes), now=NOW)
    medium = crash.Recorder(old)
    edit.apply_in_place(medium, plan)
    new = bytes(medium.data)
    for state in crash.cuts(old, medium.barriers, "menus", 2):
        if inside is not None:
            before, now, after = inside_of(old), inside_of(state), inside_of(new)
            assert all(now[name] in (before.get(name), after.get(name)) for name in now)
            assert now.keys() >= before.keys()
        going_on = crash.Recorder(state)
        edit.complete(going_on)
        assert bytes(going_on.data) in (old, new)
        if state != old:
            back = crash.Recorder(state)
            edit.undo(back)
            assert bytes(back.data) == old
