"""The menus of whole media: found as loaders find them, changed alike in the tree and inside the EFI image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import RefusedError, UsageError
from mediakit.formats import fat
from mediakit.iso.edit.changes import Patch, Put
from mediakit.iso.menuedit import menufiles, menus, syslinuxmenu
from mediakit.iso.menuedit.menus import MenuEdit
from tests.isos.programs import efi_program

FILES = {
    "boot/grub/grub.cfg": "set timeout=10\nsource $prefix/entries.cfg\nmenuentry more { configfile /boot/grub/sub.cfg }\n",
    "boot/grub/entries.cfg": "menuentry 'First' --id one { linux /k root=live:LABEL=OLD }\nmenuentry Second { linux /k2 }\n",
    "boot/grub/sub.cfg": "set timeout=3\nmenuentry 'Deep' { linux /k3 }\n",
    "boot/grub/loopback.cfg": "source /boot/grub/grub.cfg\n",
    "isolinux/isolinux.cfg": "include menu.cfg\ndefault vesamenu.c32\n",
    "isolinux/menu.cfg": "label one\n menu label ^First\n kernel /k\n append root=live:CDLABEL=OLD\nlabel adv\n kernel vesamenu.c32\n append adv.cfg\n",
    "isolinux/adv.cfg": "timeout 10\nlabel deep\n kernel /k3\n",
    "isolinux/unused.cfg": "label x\n kernel /k\n append y\n",
}
INSIDE = {
    "EFI/BOOT/grub.cfg": "search --set=root --label OLD\nconfigfile ($root)/boot/grub/grub.cfg\n",
    "loader/loader.conf": "timeout 15\ndefault a.conf\n",
    "loader/entries/a.conf": "title First\nlinux /k\noptions archisolabel=OLD\n",
    "loader/entries/b.conf": "title Second\nlinux /k\n",
}


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("menus")
    root = folder / "tree"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    inside = [fat.FatFile(path, text.encode()) for path, text in INSIDE.items()]
    loader = fat.FatFile("EFI/BOOT/BOOTX64.EFI", efi_program())
    (root / "boot/grub/efi.img").write_bytes(fat.build(256 << 10, [loader, *inside], label="ESP").to_bytes())
    out = folder / "menus.iso"
    words = ["-e", "boot/grub/efi.img", "-no-emul-boot", "-c", "boot/grub/boot.cat"]
    run.run(
        ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "OLD", *words, "-o", out, root], timeout=60
    )
    return out


def changed(path: Path, edit: MenuEdit) -> dict[str, str]:
    """The files of the tree that an edit puts anew."""
    with iso.open_image(path) as image:
        plan = menus.plan(image, edit, now=0)
    return {
        c.path: c.source.decode() for c in plan.changes if isinstance(c, Put) and isinstance(c.source, bytes)
    }


def patched(path: Path, edit: MenuEdit, folder: Path) -> Callable[[str], str]:
    """How mtools reads a file of the EFI image after the edit's patches."""
    with iso.open_image(path) as image:
        plan = menus.plan(image, edit, now=0)
        start = image.extents("/boot/grub/efi.img")[0]
        data = bytearray(image.read_at(*start))
    for change in plan.changes:
        if isinstance(change, Patch):
            at = change.offset_bytes - start.offset_bytes
            assert at >= 0 and at + len(change.data) <= len(data)
            data[at : at + len(change.data)] = change.data
    target = folder / "efi.img"
    target.write_bytes(data)
    run.run(["fsck.fat", "-n", target], timeout=30)
    return lambda name: run.run(["mtype", "-i", target, f"::/{name}"], timeout=30).text


def test_the_menus_are_found_as_loaders_find_them(medium: Path) -> None:
    with iso.open_image(medium) as image:
        found = menufiles.find(image)
    names = {(file.volume.name[:3], file.path.lstrip("/")): file.is_top for file in found}
    expected = {("", path): path not in ("boot/grub/sub.cfg", "isolinux/adv.cfg") for path in FILES}
    del expected["", "isolinux/unused.cfg"]
    expected |= {("the", path): True for path in INSIDE}
    assert names == expected


def test_arguments_reach_every_menu_of_the_medium(medium: Path, tmp_path: Path) -> None:
    edit = MenuEdit(kernel_arguments=("console=ttyS0",))
    files = changed(medium, edit)
    assert sorted(files) == [
        "/boot/grub/entries.cfg", "/boot/grub/sub.cfg", "/isolinux/adv.cfg", "/isolinux/menu.cfg",
    ]  # fmt: skip
    assert all("console=ttyS0" in text for text in files.values())
    inside = patched(medium, edit, tmp_path)
    assert inside("loader/entries/a.conf") == INSIDE["loader/entries/a.conf"].replace(
        "OLD", "OLD console=ttyS0"
    )
    assert inside("loader/entries/b.conf") == INSIDE["loader/entries/b.conf"] + "options console=ttyS0\n"
    assert inside("EFI/BOOT/grub.cfg") == INSIDE["EFI/BOOT/grub.cfg"]


def test_default_and_timeout_hold_in_the_first_menu_of_each_loader(medium: Path, tmp_path: Path) -> None:
    edit = MenuEdit(default="first", timeout_seconds=7)
    files = changed(medium, edit)
    grub_cfg = FILES["boot/grub/grub.cfg"].replace("timeout=10", "timeout=7")
    assert files["/boot/grub/grub.cfg"] == grub_cfg.replace("menuentry", "set default=one\nmenuentry")
    assert files["/boot/grub/entries.cfg"] == "set default=one\n" + FILES["boot/grub/entries.cfg"]
    assert "/boot/grub/sub.cfg" not in files and "/isolinux/adv.cfg" not in files
    assert files["/isolinux/isolinux.cfg"] == "timeout 70\n" + FILES["isolinux/isolinux.cfg"]
    assert "label one\n menu default\n" in files["/isolinux/menu.cfg"]
    assert patched(medium, edit, tmp_path)("loader/loader.conf") == "timeout 7\ndefault a.conf\n"


def test_the_label_is_renamed_inside_and_outside_the_efi_image(medium: Path, tmp_path: Path) -> None:
    edit = MenuEdit(old_label="OLD", new_label="BRAND_NEW")
    files = changed(medium, edit)
    assert sorted(files) == ["/boot/grub/entries.cfg", "/isolinux/menu.cfg"]
    assert not any("OLD" in text for text in files.values())
    inside = patched(medium, edit, tmp_path)
    assert "--label BRAND_NEW\n" in inside("EFI/BOOT/grub.cfg")
    assert "archisolabel=BRAND_NEW\n" in inside("loader/entries/a.conf")


def test_a_menu_without_such_an_entry_is_named(medium: Path) -> None:
    with iso.open_image(medium) as image:
        notes = menus.plan(image, MenuEdit(default="Second"), now=0).notes
    assert len(notes) == 1 and "/isolinux/isolinux.cfg" in notes[0]


def test_an_entry_that_nobody_has_is_refused_with_the_names(medium: Path) -> None:
    with iso.open_image(medium) as image, pytest.raises(UsageError, match="“Third”") as caught:
        menus.plan(image, MenuEdit(default="Third"), now=0)
    assert "“one”" in caught.value.hint and "“Second”" in caught.value.hint


def test_an_image_without_menus_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/file").touch()
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", tmp_path / "x.iso", tmp_path / "t"], timeout=60)
    with iso.open_image(tmp_path / "x.iso") as image:
        with pytest.raises(RefusedError):
            menus.plan(image, MenuEdit(kernel_arguments=("a",)), now=0)
        with pytest.raises(RefusedError):
            menus.plan(image, MenuEdit(timeout_seconds=4), now=0)
        with pytest.raises(UsageError):
            menus.plan(image, MenuEdit(timeout_seconds=4000), now=0)


def test_what_the_menus_say_already_changes_nothing(medium: Path) -> None:
    with iso.open_image(medium) as image:
        assert menus.plan(image, MenuEdit(old_label="OLD", new_label="OLD"), now=0).changes == ()
        assert menus.plan(image, MenuEdit(old_label="NOBODY", new_label="X"), now=0).changes == ()


def test_a_menu_in_a_full_efi_image_is_changed_in_its_own_clusters(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "boot").mkdir(parents=True)
    menu = "menuentry x { linux /k }\n"
    files = [
        fat.FatFile("EFI/BOOT/BOOTX64.EFI", efi_program()),
        fat.FatFile("EFI/BOOT/grub.cfg", menu.encode()),
    ]
    volume = fat.build(64 << 10, files, label="ESP").to_bytes()
    (root / "boot/grub").mkdir()
    target = root / "boot/grub/efi.img"
    target.write_bytes(volume)
    filler = tmp_path / "filler"
    filler.write_bytes(b"x" * fat.Fat(lambda at, size: volume[at : at + size]).free_bytes)
    run.run(["mcopy", "-i", target, filler, "::/filler"], timeout=30)
    path = tmp_path / "full.iso"
    words = ["-e", "boot/grub/efi.img", "-no-emul-boot", "-c", "boot/grub/boot.cat"]
    run.run(["xorriso", "-as", "mkisofs", "-quiet", "-r", *words, "-o", path, root], timeout=60)
    inside = patched(path, MenuEdit(kernel_arguments=("quiet",)), tmp_path)
    assert inside("EFI/BOOT/grub.cfg") == menu.replace("/k", "/k quiet")
    long = tuple(f"argument{number}" for number in range(400))
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="EFI image"):
        menus.plan(image, MenuEdit(kernel_arguments=long), now=0)


def test_a_menu_that_is_too_large_is_named_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "t/boot/grub").mkdir(parents=True)
    (tmp_path / "t/boot/grub/grub.cfg").write_text("menuentry x { linux /k }\n" * 12000)
    run.run(
        ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-o", tmp_path / "x.iso", tmp_path / "t"], timeout=60
    )
    with (
        iso.open_image(tmp_path / "x.iso") as image,
        pytest.raises(RefusedError, match="300000 bytes"),
    ):
        menus.plan(image, MenuEdit(kernel_arguments=("a",)), now=0)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(7, "prompt 1\ntimeout 70\n"), (-1, "prompt 1\ntimeout 0\n"), (0, "timeout 1\n")]
)
def test_isolinux_without_a_menu_asks_where_it_shall_wait(
    isos: Callable[[str], Path], seconds: int, wanted: str
) -> None:
    path = isos("isohybrid_mbr")
    with iso.open_image(path) as image:
        before = image.read("/isolinux/isolinux.cfg").decode()
    after = changed(path, MenuEdit(timeout_seconds=seconds))["/isolinux/isolinux.cfg"]
    assert after == wanted + before


def test_what_waits_already_is_not_made_to_ask() -> None:
    for text in ("ui menu.c32\nprompt 0\n", "default vesamenu.c32 x.cfg\n", "prompt 1\n"):
        assert syslinuxmenu.waits(text)
    for text in ("default linux\n", "default linux\nprompt 0\n", ""):
        assert not syslinuxmenu.waits(text)
    assert syslinuxmenu.ask("PROMPT 0\r\ndefault a\r\n", insert=True) == "PROMPT 1\r\ndefault a\r\n"


def test_a_menu_where_only_its_boot_image_says_is_found(tmp_path: Path) -> None:
    root = tmp_path / "t"
    (root / "odd/place").mkdir(parents=True)
    (root / "odd/place/grub.cfg").write_text("menuentry x { linux /k }\n")
    image = root / "odd/core.img"
    words = ["grub-mkimage", "-O", "i386-pc-eltorito", "-o", image, "-p", "/odd/place", "biosdisk", "iso9660"]
    run.run(words, timeout=60)
    path = tmp_path / "x.iso"
    words = ["-b", "odd/core.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    run.run(
        ["xorriso", "-as", "mkisofs", "-quiet", "-r", *words, "--grub2-boot-info", "-o", path, root],
        timeout=60,
    )
    assert changed(path, MenuEdit(kernel_arguments=("q",))) == {
        "/odd/place/grub.cfg": "menuentry x { linux /k q }\n"
    }
