"""Power cuts while a menu inside an EFI image is edited: a loader finds the old menu or the new one, never half."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.engine import rewriting
from mediakit.formats import fat
from mediakit.iso import edit
from mediakit.iso.compacting import compact
from mediakit.iso.menuedit import grubmenu
from tests.iso.edit import crash
from tests.isos import make
from tests.isos.programs import efi_program

NOW = 1_700_000_000
ENTRIES = "".join(
    f"menuentry 'System {n}' {{\n  linux /boot/vmlinuz root=/dev/sd{n}\n}}\n" for n in range(40)
)
MENUS = {
    "EFI/BOOT/grub.cfg": f"set timeout=5\nsearch --no-floppy --set=root --label TEST\n{ENTRIES}",
    "loader/entries/one.conf": "title One\nlinux /vmlinuz\noptions quiet\n",
    "loader/loader.conf": "timeout 5\n",
}
MAKERS = {
    "isohybrid_gpt": make.isohybrid_gpt,
    "grub_appended": make.grub_appended,
    "uefi_only": make.uefi_only,
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make.tree(tmp_path_factory.mktemp("cut-menus"))
    files = [fat.FatFile(path, text.encode()) for path, text in MENUS.items()]
    files.append(fat.FatFile("EFI/BOOT/BOOTX64.EFI", efi_program()))
    (root / "boot/grub/efi.img").write_bytes(fat.build(256 << 10, files, label="ESP").to_bytes())
    return root


def inside(data: bytes, disk: Path) -> str:
    """The menus, one after the other, as mtools reads them from the EFI image that El Torito names."""
    with crash.open_bytes(data) as image:
        entries = image.facts().to_json()["el_torito"]
    start = next(entry["lba"] for entry in entries if entry["platform"] == "uefi") * 2048
    disk.write_bytes(data)
    run.run(
        ["mcopy", "-o", "-i", f"{disk}@@{start}", *(f"::/{name}" for name in MENUS), disk.parent], timeout=30
    )
    return "".join((disk.parent / Path(name).name).read_text() for name in MENUS)


@pytest.mark.parametrize("kind", MAKERS)
def test_every_cut_leaves_whole_menus(tree: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "old.iso"
    MAKERS[kind](tree, path)
    old = path.read_bytes()
    request = rewriting.Request(kernel_arguments=("console=ttyS0", "quiet"), timeout_seconds=9)
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, rewriting.gather(image, request, now=NOW).changes, now=NOW)
    medium = crash.Recorder(old)
    edit.apply_in_place(medium, plan)
    new = bytes(medium.data)
    disk = tmp_path / "cut.iso"
    assert inside(old, disk) == "".join(MENUS.values())
    after = changed(request)
    assert inside(new, disk) == "".join(after)
    whole = {"".join(menus) for menus in itertools.product(*zip(MENUS.values(), after, strict=True))}
    undoing = crash.Recorder(new)
    edit.undo(undoing)
    assert bytes(undoing.data) == old
    for start, barriers in ((old, medium.barriers), (new, undoing.barriers)):
        for state in crash.cuts(start, barriers, kind, 2):
            assert inside(state, disk) in whole
            assert crash.working(state) == crash.working(old)


def test_menus_stay_edited_when_the_image_is_compacted(tree: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "edited.iso", tmp_path / "compact.iso"
    make.isohybrid_gpt(tree, path)
    request = rewriting.Request(kernel_arguments=("console=ttyS0", "quiet"), timeout_seconds=9)
    with iso.open_image(path) as image:
        plan = edit.make_plan(image, rewriting.gather(image, request, now=NOW).changes, now=NOW)
    with edit.FileMedium(path) as medium:
        edit.apply_in_place(medium, plan)
    assert compact.compact(path, out).way == "rebased"
    assert inside(out.read_bytes(), tmp_path / "judged.iso") == "".join(changed(request))


def changed(request: rewriting.Request) -> list[str]:
    """What the menus are to be, text by text."""
    texts = dict(MENUS)
    grub = grubmenu.add_kernel_arguments(texts["EFI/BOOT/grub.cfg"], request.kernel_arguments)
    texts["EFI/BOOT/grub.cfg"] = grub.replace("timeout=5", "timeout=9")
    texts["loader/entries/one.conf"] = "title One\nlinux /vmlinuz\noptions quiet console=ttyS0\n"
    texts["loader/loader.conf"] = "timeout 9\n"
    assert all(texts[name] != text for name, text in MENUS.items())
    return list(texts.values())
