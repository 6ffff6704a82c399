"""Power cuts while menus are edited: each menu is the old one or the new one, in the tree and in an EFI image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso
from mediakit.engine.rewriting import Request
from mediakit.errors import RefusedError
from mediakit.formats import fat
from mediakit.formats.reader import bytes_reader
from mediakit.iso import edit
from mediakit.iso.menuedit import menuentries, menus
from mediakit.iso.menuedit.menus import MenuEdit
from mediakit.stick import rewrite
from tests.iso.edit import crash
from tests.isos.menus import DEBIAN_NETINST, INSIDE

NOW = 1_700_000_000
NAMING = "search --label LIVE --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
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


def test_what_no_order_of_writes_makes_safe_is_told(media: Media) -> None:
    """A label in an EFI image's menu cannot switch in the moment in which the medium's own does."""
    path = media({"boot/grub/grub.cfg": "search --label LIVE --set=root\n"}, {"EFI/BOOT/grub.cfg": NAMING})
    with iso.open_image(path) as image:
        made = menus.plan(image, MenuEdit(old_label="LIVE", new_label="OTHER"), now=NOW)
        assert len(made.risks) == 1 and "names the label" in made.risks[0]
        assert menus.plan(image, MenuEdit(timeout_seconds=9), now=NOW).risks == ()
    whole = path.read_bytes()
    with pytest.raises(RefusedError, match="names the label") as refused:
        rewrite.in_place(path, Request(label="OTHER"))
    assert "-o" in refused.value.hint and path.read_bytes() == whole
    rewrite.into(path, Request(label="OTHER"), path.with_name("new.iso"))
    rewrite.in_place(path, Request(label="OTHER", force=True))
    for edited in (path, path.with_name("new.iso")):
        assert b"--label OTHER" in inside_of(edited.read_bytes())["EFI/BOOT/grub.cfg"]
    tree = media({"boot/grub/grub.cfg": "search --label LIVE --set=root\n"})
    with iso.open_image(tree) as image:
        made = menus.plan(image, MenuEdit(old_label="LIVE", new_label="OTHER"), now=NOW)
        assert made.changes and made.risks == ()


@pytest.mark.parametrize(
    ("lines", "wanted", "is_risky"),
    [
        (60, MenuEdit(timeout_seconds=9), False),
        (60, MenuEdit(timeout_seconds=10), True),
        (2, MenuEdit(removed_arguments=("quiet",)), True),
    ],
)
def test_a_menu_in_a_full_efi_image_is_torn_by_a_cut_unless_one_sector_changes(
    media: Media, lines: int, wanted: MenuEdit, is_risky: bool
) -> None:
    menu = "set timeout=5\n" + "".join(f"menuentry 'System {n}' {{ linux /k quiet }}\n" for n in range(lines))
    path = media({"readme": "x"}, {"EFI/BOOT/grub.cfg": menu, "k": "k"}, is_full=True)
    with iso.open_image(path) as image:
        made = menus.plan(image, wanted, now=NOW)
        assert made.changes and bool(made.risks) is is_risky
        assert not is_risky or "no room" in made.risks[0]
