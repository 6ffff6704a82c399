"""Entries that are added to menus as distributions write them: shown by every loader, once, and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import RefusedError, UsageError
from mediakit.iso import edit
from mediakit.iso.bootmenus.menu import MenuEntry
from mediakit.iso.menuedit import menuentries, menufiles, menus, menuset, menuview
from mediakit.iso.menuedit.menus import MenuEdit
from tests.isos.menus import ARCH, DEBIAN_NETINST, FEDORA, GRUB_MEMTEST, INSIDE, SHAPES, UBUNTU, XCP

TITLE = "Install, serial console"
SERIAL = menuentries.parse(f"{TITLE}=console=ttyS0,115200 inst.text")
WORDS = "console=ttyS0,115200 inst.text"
NOW = 1_700_000_000
Media = Callable[..., Path]


EXPECTED = {
    "debian_live": {"GRUB": "Live system (amd64)", "isolinux": "Live system (amd64)"},
    "debian_netinst": {"GRUB": "Graphical install", "isolinux": "Graphical install"},
    "ubuntu": {"GRUB": "Try or Install"},
    "fedora": {
        "GRUB": "Test this media & install Server",
        "isolinux": "Test this media & install Server",
    },
    "arch": {
        "isolinux": "install medium (x86_64, BIOS)",
        "systemd-boot": "install medium (x86_64, UEFI)",
    },
    "opensuse": {"GRUB": "Installation", "isolinux": "linux"},
    "xcp": {"GRUB": "install", "isolinux": "install"},
    "proxmox": {"GRUB": "Install (Graphical)"},
    "systemrescue": {"GRUB": "Boot with default options", "isolinux": "Boot with default options"},
    "clonezilla": {"GRUB": "Live (To RAM)", "isolinux": "Live (VGA 800x600)"},
}


def rewrite(path: Path, wanted: MenuEdit) -> tuple[str, ...]:
    """Do it in place; the remarks. Nothing is written where nothing changes."""
    with iso.open_image(path) as image:
        made = menus.plan(image, wanted, now=NOW)
        if not made.changes:
            return made.notes
        plan = edit.make_plan(image, list(made.changes), now=NOW)
    with edit.FileMedium(path) as medium:
        edit.apply_in_place(medium, plan)
    return made.notes


def shown(path: Path) -> Iterator[tuple[str, str, tuple[MenuEntry, ...]]]:
    """Loader, first file and entries of each menu that shows any."""
    with iso.open_image(path) as image:
        found = menuset.group(menufiles.find(image))
        for start in menuview.starts(found):
            if entries := menuview.entries(image, found, start):
                yield start.menu.loader, start.menu.name, entries


def texts(path: Path) -> dict[str, str]:
    with iso.open_image(path) as image:
        return {file.volume.name + file.path: file.text for file in menufiles.find(image)}


def check_grub(path: Path, folder: Path) -> None:
    for name, text in texts(path).items():
        if "grub" in name:
            (folder / "check.cfg").write_text(text)
            run.run(["grub-script-check", folder / "check.cfg"], timeout=30)


@pytest.mark.parametrize("name", SHAPES)
def test_every_menu_shows_the_new_entry_once_and_finds_its_files(
    media: Media, tmp_path: Path, name: str
) -> None:
    path = media(SHAPES[name])
    before, old = texts(path), path.read_bytes()
    defaults = [[e.title for e in entries if e.is_default] for _, _, entries in shown(path)]
    rewrite(path, MenuEdit(entries=(SERIAL,)))
    check_grub(path, tmp_path)
    seen = set()
    for loader, _, entries in shown(path):
        new = [entry for entry in entries if entry.title == TITLE]
        if not new and loader == "isolinux" and name == "opensuse":
            continue
        assert len(new) == 1, (loader, [e.title for e in entries])
        assert not new[0].is_broken and new[0].names_files
        source = next(e for e in entries if e.title == EXPECTED[name][loader])
        assert {f.path for f in new[0].files} == {f.path for f in source.files}
        seen.add(loader)
    assert seen == set(EXPECTED[name])
    assert [[e.title for e in entries if e.is_default] for _, _, entries in shown(path)] == defaults
    for file, text in texts(path).items():
        assert WORDS in text or text == before.get(file) or file.endswith("loader.conf")
    state = path.read_bytes()
    rewrite(path, MenuEdit(entries=(SERIAL,)))
    assert path.read_bytes() == state
    with edit.FileMedium(path) as medium:
        edit.undo(medium)
    assert path.read_bytes() == old


IF_ELSE = """\
set default=2
if [ "$grub_platform" = efi ]; then
menuentry 'Install' --id efi --hotkey e { linuxefi /k quiet
initrdefi /i }
else
menuentry 'Install' --hotkey=b --id=bios $menuentry_id_option 'x' { linux16 /k quiet; savedefault; initrd16 /i; }
fi
for n in 1 2; do
menuentry "Loop $n" "$n" { linux /k n=$2 }
done
function more { menuentry 'More' { linux /k; }; }
more
menuentry 'Local disk' { exit }
"""


def test_a_branch_for_either_firmware_gets_its_own_copy_and_loops_none(media: Media, tmp_path: Path) -> None:
    path = media({"boot/grub/grub.cfg": IF_ELSE, "k": "k", "i": "i"}, {"x": "y"})
    rewrite(path, MenuEdit(entries=(SERIAL,)))
    check_grub(path, tmp_path)
    text = texts(path)["/boot/grub/grub.cfg"]
    assert f"menuentry '{TITLE}' {{ linuxefi /k quiet {WORDS}\ninitrdefi /i }}" in text
    assert f"menuentry '{TITLE}' {{ linux16 /k quiet {WORDS}; savedefault; initrd16 /i; }}" in text
    assert text.count(TITLE) == 2 and "--hotkey" in text
    for _, _, entries in shown(path):
        assert [e.title for e in entries if e.title == TITLE] == [TITLE]


def test_a_default_that_is_a_number_stays_what_it_was(media: Media, tmp_path: Path) -> None:
    text = "set default=2\nmenuentry A { linux /k }\nmenuentry B { linux16 /memtest }\nmenuentry C { exit }\n"
    path = media({"boot/grub/grub.cfg": text, "k": "", "memtest": ""})
    rewrite(path, MenuEdit(entries=(SERIAL,)))
    for _, _, entries in shown(path):
        assert [e.title for e in entries] == ["A", TITLE, "B", "C"]
        assert [e.title for e in entries if e.is_default] == ["C"]
    rewrite(path, MenuEdit(removed_entries=(TITLE,)))
    for _, _, entries in shown(path):
        assert [e.title for e in entries if e.is_default] == ["C"]
    check_grub(path, tmp_path)


def test_other_arguments_take_the_place_of_those_before(media: Media, tmp_path: Path) -> None:
    path = media({**DEBIAN_NETINST, **{k: v for k, v in ARCH.items() if "loader" in k or "arch/" in k}})
    rewrite(path, MenuEdit(entries=(SERIAL,), default=TITLE))
    other = MenuEdit(entries=(menuentries.parse(f"{TITLE}=vga=normal"),), default=TITLE)
    rewrite(path, other)
    check_grub(path, tmp_path)
    found = texts(path)
    assert "ttyS0" not in "".join(found.values())
    assert "vga=normal --- quiet\n" in grub_lines(found["/boot/grub/grub.cfg"])
    assert "append vga=normal initrd=/install.amd/gtk/initrd.gz --- quiet" in found["/isolinux/gtk.cfg"]
    assert "archisolabel=LIVE vga=normal\n" in found["/loader/entries/install-serial-console.conf"]
    state = path.read_bytes()
    assert rewrite(path, other) == () and path.read_bytes() == state
    for _, _, entries in shown(path):
        assert [e.title for e in entries if e.is_default] == [TITLE]


def grub_lines(text: str) -> str:
    return text[text.index("# added by") :]


def test_what_an_entry_was_made_from_may_be_gone(media: Media, tmp_path: Path) -> None:
    path = media(DEBIAN_NETINST)
    rewrite(path, MenuEdit(entries=(SERIAL,), default=TITLE, removed_entries=("Graphical install",)))
    rewrite(path, MenuEdit(entries=(menuentries.parse(f"{TITLE}=text"),), default=TITLE))
    check_grub(path, tmp_path)
    found = texts(path)
    assert "vga=788 text --- quiet" in found["/boot/grub/grub.cfg"]
    assert "Graphical install'" not in found["/boot/grub/grub.cfg"] and "ttyS0" not in "".join(found.values())


def test_a_second_entry_is_made_from_what_the_first_was(media: Media) -> None:
    path = media({**DEBIAN_NETINST, **{k: v for k, v in ARCH.items() if "loader" in k or "arch/" in k}})
    rewrite(path, MenuEdit(entries=(SERIAL,), default=TITLE))
    rewrite(path, MenuEdit(entries=(menuentries.parse("Other=text"),)))
    for _, _, entries in shown(path):
        (other,) = (entry for entry in entries if entry.title == "Other")
        assert "text" in other.arguments[0][0] and "ttyS0" not in other.arguments[0][0]


def test_arguments_for_all_entries_leave_the_added_one_its_own(media: Media) -> None:
    path = media(UBUNTU)
    wanted = MenuEdit(kernel_arguments=("console=tty9", "nosplash"), entries=(SERIAL,))
    rewrite(path, wanted)
    state = path.read_bytes()
    assert "console=ttyS0,115200 nosplash inst.text" in texts(path)["/boot/grub/grub.cfg"].replace(
        "nosplash console=ttyS0,115200", "console=ttyS0,115200 nosplash"
    )
    rewrite(path, wanted)
    assert path.read_bytes() == state


@pytest.mark.parametrize(
    "title",
    ['it\'s "quoted" $x `y` \\ {z};', "Größe: öffnen > später", "2nd install", "日本語", "# no comment"],
)
def test_odd_titles_are_shown_as_written_and_can_be_the_default(
    media: Media, tmp_path: Path, title: str
) -> None:
    path = media({**DEBIAN_NETINST, **{k: v for k, v in ARCH.items() if "loader" in k or "arch/" in k}})
    rewrite(path, MenuEdit(entries=(menuentries.parse(f"{title}=a=b=c"),), default=title))
    check_grub(path, tmp_path)
    for _, _, entries in shown(path):
        (new,) = (entry for entry in entries if entry.title == title)
        assert new.is_default and "a=b=c" in new.arguments[0][0]


def test_the_default_of_a_menu_that_another_hands_over_to_is_set_there(media: Media) -> None:
    path = media(ARCH)
    assert rewrite(path, MenuEdit(entries=(SERIAL,), default=TITLE)) == ()
    found = texts(path)
    assert "DEFAULT install-serial-console\n" in found["/boot/syslinux/archiso_sys.cfg"]
    assert found["/boot/syslinux/archiso.cfg"] == ARCH["boot/syslinux/archiso.cfg"]
    assert found["/boot/syslinux/syslinux.cfg"] == ARCH["boot/syslinux/syslinux.cfg"]
    assert "default install-serial-console.conf\n" in found["/loader/loader.conf"]


@pytest.mark.parametrize("text", ["x", "=a", "x=", "x= ", "a\nb=c", "^x=y", "x=ü", "-x=y", "x" * 300 + "=y"])
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        menuentries.parse(text)


def test_an_argument_of_a_new_entry_that_is_taken_out_of_all_is_refused(media: Media) -> None:
    """The same edit again would take it out and put it back in another place, for ever."""
    wanted = MenuEdit(entries=(menuentries.parse("New=quiet zz"),), removed_arguments=("quiet",))
    with iso.open_image(media(UBUNTU)) as image, pytest.raises(UsageError, match="taken out of every entry"):
        menus.plan(image, wanted, now=NOW)


def test_a_title_of_the_images_own_is_refused(media: Media) -> None:
    path = media(UBUNTU)
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="Safe graphics"):
        menus.plan(image, MenuEdit(entries=(menuentries.parse("Safe graphics=x"),)), now=NOW)


def test_a_medium_without_a_linux_is_refused(media: Media) -> None:
    path = media(GRUB_MEMTEST)
    with iso.open_image(path) as image, pytest.raises(RefusedError):
        menus.plan(image, MenuEdit(entries=(SERIAL,)), now=NOW)


def test_an_efi_image_gets_and_loses_entries(media: Media, tmp_path: Path) -> None:
    path = media({"readme": "x"}, INSIDE)
    old = path.read_bytes()
    rewrite(path, MenuEdit(entries=(SERIAL,), default=TITLE))
    assert fsck(path, tmp_path)("loader/entries/install-serial-console.conf").endswith(f"LIVE {WORDS}\n")
    assert fsck(path, tmp_path)("loader/loader.conf").startswith("timeout 15\ndefault install-serial")
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="in the EFI image"):
        menus.plan(image, MenuEdit(removed_entries=(TITLE,), default="Live"), now=NOW)
    rewrite(path, MenuEdit(default="01-archiso-linux.conf"))
    rewrite(path, MenuEdit(removed_entries=(TITLE, "Memtest86+"), default="Live"))
    names = fsck(path, tmp_path)
    assert "ttyS0" not in names("EFI/BOOT/grub.cfg") and ":: *" not in names("EFI/BOOT/grub.cfg")
    assert listing(tmp_path) == ["01-archiso-linux.conf"]
    with edit.FileMedium(path) as medium:
        for _ in range(3):
            edit.undo(medium)
    assert path.read_bytes() == old


def fsck(path: Path, folder: Path) -> Callable[[str], str]:
    """How mtools reads the EFI image, which fsck.fat has nothing to say of."""
    with iso.open_image(path) as image:
        data = image.read_at(*image.extents("/efi.img")[0])
    (folder / "efi.img").write_bytes(data)
    run.run(["fsck.fat", "-n", folder / "efi.img"], timeout=30)
    return lambda name: run.run(["mtype", "-i", folder / "efi.img", f"::/{name}"], timeout=30).text


def listing(folder: Path) -> list[str]:
    words = ["mdir", "-b", "-i", folder / "efi.img", "::/loader/entries"]
    return [line.rpartition("/")[2] for line in run.run(words, timeout=30).text.split()]


def test_entries_are_removed_from_every_menu(media: Media, tmp_path: Path) -> None:
    path = media(FEDORA)
    rewrite(path, MenuEdit(removed_entries=("Install Server", "Boot first drive", "local")))
    check_grub(path, tmp_path)
    found = texts(path)
    assert "'Install Server'" not in found["/EFI/BOOT/grub.cfg"]
    assert "first drive" not in found["/EFI/BOOT/grub.cfg"]
    assert (
        "label linux" not in found["/isolinux/isolinux.cfg"]
        and "localboot" not in found["/isolinux/isolinux.cfg"]
    )
    for _, _, entries in shown(path):
        assert [e.title for e in entries if e.is_default] == ["Test this media & install Server"]
    rewrite(path, MenuEdit(removed_entries=("Troubleshooting -->",)))
    assert "submenu" not in texts(path)["/EFI/BOOT/grub.cfg"]
    check_grub(path, tmp_path)


def test_a_branch_or_submenu_that_would_be_empty_stays_valid(media: Media, tmp_path: Path) -> None:
    text = "menuentry A { linux /k }\nif true; then menuentry B { linux /k; }; fi\nsubmenu S {\n  menuentry C { exit }\n}\n"
    path = media({"boot/grub/grub.cfg": text, "k": ""})
    rewrite(path, MenuEdit(removed_entries=("B", "C")))
    check_grub(path, tmp_path)
    assert "if true; then true; fi\nsubmenu S {\n  true\n}" in texts(path)["/boot/grub/grub.cfg"]


def test_removals_that_leave_nothing_to_start_are_refused(media: Media) -> None:
    path = media({**UBUNTU, "boot/grub/loopback.cfg": "source /boot/grub/grub.cfg\n"})
    refused = [
        (MenuEdit(removed_entries=("Try or Install",)), RefusedError, "unasked"),
        (MenuEdit(removed_entries=("Try or Install",), default="Try or Install"), RefusedError, "unasked"),
        (MenuEdit(removed_entries=("Nothing",)), UsageError, "Nothing"),
        (MenuEdit(entries=(SERIAL,), removed_entries=(TITLE,)), UsageError, "twice"),
        (MenuEdit(entries=(SERIAL, SERIAL)), UsageError, "twice"),
        (MenuEdit(removed_entries=("",)), UsageError, "without a name"),
    ]
    with iso.open_image(path) as image:
        for wanted, kind, words in refused:
            with pytest.raises(kind, match=words) as caught:
                menus.plan(image, wanted, now=NOW)
            assert words != "Nothing" or "“Safe graphics”" in caught.value.hint
    rewrite(path, MenuEdit(removed_entries=("Try or Install",), default="Safe graphics"))
    for _, _, entries in shown(path):
        assert [e.title for e in entries if e.is_default] == ["Safe graphics"]


def test_the_only_entry_stays(media: Media) -> None:
    path = media({"boot/grub/grub.cfg": "menuentry A { linux /k }\n", "k": ""})
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="only entry"):
        menus.plan(image, MenuEdit(removed_entries=("A",)), now=NOW)


def test_arguments_are_taken_out_of_every_entry(media: Media, tmp_path: Path) -> None:
    path = media(
        {**FEDORA, **{k: v for k, v in XCP.items() if "xenserver" in k or not k.startswith("boot/iso")}}
    )
    notes = rewrite(path, MenuEdit(removed_arguments=("quiet", "console=", "nobody")))
    assert notes == ("No entry of any menu has the kernel argument nobody.",)
    check_grub(path, tmp_path)
    found = texts(path)
    everything = "".join(found.values())
    assert "quiet" not in everything and "console=" not in everything
    assert "module2 /boot/vmlinuz\n" in found["/EFI/xenserver/grub.cfg"]
    assert (
        "append initrd=initrd.img inst.stage2=hd:LABEL=LIVE rd.live.check\n"
        in found["/isolinux/isolinux.cfg"]
    )
    state = path.read_bytes()
    rewrite(path, MenuEdit(removed_arguments=("quiet", "console=")))
    assert path.read_bytes() == state


def test_where_systemd_boot_chooses_itself_its_choice_stays(media: Media) -> None:
    entry = "title {}\nlinux /k\n"
    path = media(
        {"loader/entries/a.conf": entry.format("A"), "loader/entries/z.conf": entry.format("Z"), "k": ""}
    )
    rewrite(path, MenuEdit(entries=(menuentries.parse("zzz=text"),)))
    found = texts(path)
    assert found["/loader/loader.conf"] == "default z.conf\n"
    assert '"from": "Z"' in found["/loader/entries/zzz.conf"]
