"""Images that boot from disc only get what USB needs, and others are told why not."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import MissingToolError, RefusedError
from mediakit.iso.edit import usb
from tests.isos import make

KINDS: dict[str, list[str]] = {
    "isolinux_efi": [*make._ISOLINUX, *make._EFI],
    "grub_efi": ["-b", "boot/grub/eltorito.img", "-c", "boot/grub/boot.cat", "-no-emul-boot", "-boot-load-size", "4",
                 "-boot-info-table", "--grub2-boot-info", *make._EFI],
    "grub_old": ["-b", "boot/grub/eltorito.img", "-c", "boot/grub/boot.cat", "-no-emul-boot", "-boot-load-size", "4",
                 "-boot-info-table"],
    "unknown": ["-b", "boot/vmlinuz", "-c", "boot/boot.cat", "-no-emul-boot"],
}  # fmt: skip


@pytest.fixture(scope="session")
def disc(iso_folder: Path) -> Callable[[str, Path], Path]:
    """A copy of an image that boots from disc only."""

    def copy(kind: str, folder: Path) -> Path:
        if kind in KINDS:
            made = iso_folder / f"{kind}.iso"
            if not made.exists():
                make.xorriso(make.tree(iso_folder), made, *KINDS[kind])
        else:
            made = make.make(kind, iso_folder)
        return Path(shutil.copy(made, folder / f"{kind}.iso"))

    return copy


def apply(path: Path) -> tuple[str, ...]:
    """Write the patches; the remarks."""
    with iso.open_image(path) as image:
        plan = usb.plan(image)
    with path.open("r+b") as file:
        for patch in plan.patches:
            file.seek(patch.offset_bytes)
            file.write(patch.data)
    return plan.notes


def routes(path: Path) -> dict[str, bool]:
    with iso.open_image(path) as image:
        return {name: route.ok for name, route in image.facts().boot.items()}


@pytest.mark.parametrize("kind", ["el_torito", "isolinux_efi", "grub_efi", "grub_old", "uefi_only"])
def test_what_boots_from_disc_boots_from_usb(
    kind: str, disc: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    path = disc(kind, tmp_path)
    before, size = routes(path), path.stat().st_size
    assert not before["bios_usb"] and not before["uefi_usb"]
    notes = apply(path)
    after = routes(path)
    assert after["bios_cd"] == after["bios_usb"] == before["bios_cd"]
    assert after["uefi_cd"] == after["uefi_usb"] == before["uefi_cd"]
    assert notes == () and path.stat().st_size == size
    assert apply(path) == ("The image boots from USB already.",)


def test_the_isohybrid_mbr_is_the_one_that_isohybrid_makes(
    disc: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    path = disc("el_torito", tmp_path)
    theirs = Path(shutil.copy(path, tmp_path / "theirs.iso"))
    run.run(["isohybrid", theirs], timeout=60)
    apply(path)
    ours, other = path.read_bytes()[:512], theirs.read_bytes()[:512]
    assert ours[:440] == other[:440]
    assert ours[444:] == other[444:]
    assert struct.unpack_from("<I", ours, 440)[0] != 0


def test_grubs_mbr_is_the_one_that_xorriso_makes(disc: Callable[[str, Path], Path], tmp_path: Path) -> None:
    path = disc("grub_efi", tmp_path)
    apply(path)
    theirs = tmp_path / "theirs.iso"
    mbr = ["--grub2-mbr", str(make.GRUB / "boot_hybrid.img")]
    make.xorriso(make.tree(tmp_path), theirs, *KINDS["grub_efi"], *mbr)
    with iso.open_image(path) as one, iso.open_image(theirs) as two:
        lbas = [i.extents("/boot/grub/eltorito.img")[0].offset_bytes // 512 for i in (one, two)]
        ours, other = one.read_at(0, 440), two.read_at(0, 440)
    assert ours[:432] == other[:432]
    assert [
        struct.unpack_from("<Q", mbr_code, 432)[0] - lba
        for mbr_code, lba in zip((ours, other), lbas, strict=True)
    ] == [4, 4]


def test_an_old_grub_image_is_told_where_it_lies(disc: Callable[[str, Path], Path], tmp_path: Path) -> None:
    path = disc("grub_old", tmp_path)
    with iso.open_image(path) as image:
        assert not image.facts().boot_images[0].grub2_ok
    apply(path)
    with iso.open_image(path) as image:
        boot = image.facts().boot_images[0]
    assert boot.grub2_ok and boot.table_ok


def test_other_tools_see_the_partitions(disc: Callable[[str, Path], Path], tmp_path: Path) -> None:
    path = disc("isolinux_efi", tmp_path)
    apply(path)
    with iso.open_image(path) as image:
        start, size = image.extents("/boot/grub/efi.img")[0]
    table = run.run(["sfdisk", "--json", path], timeout=30).text
    assert f'"start": {start // 512},\n            "size": {size // 512},\n            "type": "ef"' in table
    entries = [struct.unpack_from("<B3sB3sII", path.read_bytes(), 446 + 16 * n) for n in range(4)]
    # EDK II takes no MBR in which partitions overlap; those of type 0 do not count
    assert [(active, kind) for active, _, kind, *_ in entries] == [(0x80, 0), (0, 0xEF), (0, 0), (0, 0)]
    seen = run.run(["mdir", "-b", "-i", f"{path}@@{start}", "::/EFI/BOOT"], timeout=30).text
    assert "BOOTX64.EFI" in seen
    report = run.run(["xorriso", "-indev", path, "-report_system_area", "plain"], timeout=30).text
    assert "System area summary: MBR isohybrid" in report


def test_a_floppys_image_is_refused_with_the_reason(
    disc: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    path = disc("floppy", tmp_path)
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="emulates a floppy"):
        usb.plan(image)


@pytest.mark.parametrize(
    ("kind", "why"), [("unknown", "neither ISOLINUX nor GRUB"), ("data_only", "not even boot")]
)
def test_what_cannot_boot_says_why(
    kind: str, why: str, disc: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    with iso.open_image(disc(kind, tmp_path)) as image, pytest.raises(RefusedError, match=why):
        usb.plan(image)


def test_an_isolinux_that_is_too_old_and_a_system_area_in_use(
    disc: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    path = disc("el_torito", tmp_path)
    with iso.open_image(path) as image:
        start = image.facts().boot_images[0].entry.lba * 2048
        mark = image.read_at(start + 0x40, 4)
    data = bytearray(path.read_bytes())
    total = struct.unpack_from("<I", data, start + 20)[0] - struct.unpack("<I", mark)[0]
    data[start + 0x40 : start + 0x44] = bytes(4)
    struct.pack_into("<I", data, start + 20, total & 0xFFFFFFFF)
    path.write_bytes(data)
    with iso.open_image(path) as image, pytest.raises(RefusedError, match=r"older than 3\.72"):
        usb.plan(image)
    path = disc("el_torito", tmp_path)
    with path.open("r+b") as file:
        file.write(b"ER\x02\x00")
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="something else"):
        usb.plan(image)


def test_a_missing_package_is_named(
    disc: Callable[[str, Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb, "ISOLINUX_MBR", tmp_path / "nothing")
    with iso.open_image(disc("el_torito", tmp_path)) as image, pytest.raises(MissingToolError) as caught:
        usb.plan(image)
    assert "apt install isolinux" in caught.value.hint


def test_what_boots_from_usb_already_is_left_alone(isos: Callable[[str], Path]) -> None:
    for kind in ("isohybrid_gpt", "grub_gpt", "grub_appended"):
        with iso.open_image(isos(kind)) as image:
            assert usb.plan(image).patches == ()
