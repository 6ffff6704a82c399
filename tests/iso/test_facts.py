"""Facts and verdicts on every kind of image, compared with xorriso and sgdisk; and on images made wrong."""

from __future__ import annotations

import json
import random
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediakit import iso, run
from mediakit.errors import MediakitError
from mediakit.formats import eltorito
from mediakit.formats.reader import bytes_reader
from mediakit.iso.image import open_image
from tests.isos import make
from tests.isos.programs import efi_program

Isos = Callable[[str], Path]
BIOS, UEFI, BOTH = ("bios_cd",), ("uefi_cd", "secure_boot"), ("bios_cd", "uefi_cd", "secure_boot")
STICK = ("bios_cd", "bios_usb", "uefi_cd", "uefi_usb", "secure_boot")
ROUTES = {
    "isohybrid_mbr": ("bios_cd", "bios_usb"),
    "isohybrid_gpt": STICK,
    "isohybrid_apm": STICK,
    "isohybrid_tool": STICK,
    "grub_appended": STICK,
    "grub_offset": STICK,
    "grub_gpt": STICK,
    "grub_bootable_flag": STICK,
    "grub_rescue": ("bios_cd", "bios_usb"),
    "el_torito": BIOS,
    "uefi_only": UEFI,
    "floppy": BIOS,
    "data_only": (),
    "joliet_only": (),
    "plain": (),
    "udf_bridge": (),
    "hard_disk": BIOS,
    "platforms": BOTH,
    "multi_session": (),
    "multi_session_disc": (),
    "zisofs": (),
    "zisofs2": (),
    "continuation": (),
    "relocated": (),
    "odd_names": (),
    "level_4": (),
    "windows": BOTH,
    "hfsplus": ("bios_cd", "bios_usb", "uefi_cd", "secure_boot"),
    "hfs": (),
}


def facts(path: Path) -> dict[str, Any]:
    with iso.open_image(path) as image:
        document = image.facts().to_json()
    json.dumps(document)
    return document


def working(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, route in document["boot"].items() if route["ok"])


def edited(path: Path, tmp_path: Path, offset: int, raw: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(raw)] = raw
    copy = tmp_path / "edited.iso"
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize("kind", sorted(make.KINDS))
def test_each_kind_boots_the_ways_it_was_made_for(isos: Isos, kind: str) -> None:
    document = facts(isos(kind))
    assert working(document) == ROUTES[kind]
    assert not [f for f in document["findings"] if f["severity"] == "error"]
    assert all(route["why"] for route in document["boot"].values())


@pytest.mark.parametrize("kind", sorted(k for k, routes in ROUTES.items() if routes))
def test_xorriso_reports_the_same_boot_images(isos: Isos, kind: str) -> None:
    words = ["xorriso", "-no_rc", "-indev", isos(kind), "-report_el_torito", "plain"]
    report = run.run([*words, "-report_system_area", "plain"], timeout=60).text
    pattern = r"El Torito boot img :\s+\d+\s+(\w+)\s+(y|n)\s+(\S+)\s+\S+\s+\S+\s+(\d+)\s+(\d+)"
    theirs = [(*m[:1], int(m[3]), int(m[4])) for m in re.findall(pattern, report)]
    document = facts(isos(kind))
    names = {"bios": "BIOS", "uefi": "UEFI", "powerpc": "PPC"}
    ours = [(names[e["platform"]], e["load_sectors"], e["lba"]) for e in document["el_torito"]]
    assert ours == theirs and ours
    for entry, number in zip(document["el_torito"], range(1, 9), strict=False):
        options = re.search(rf"El Torito img opts : +{number} +(.*)", report)
        words_of = options[1] if options else ""
        assert entry["boot_info_table"] == ("boot-info-table" in words_of)
        assert entry["grub2_boot_info"] == ("grub2-boot-info" in words_of)
        path = re.search(rf"El Torito img path : +{number} +(.*)", report)
        if kind == "windows":  # xorriso does not see the UDF tree, which has their names
            continue
        assert entry["path"] == (path[1] if path else None)
    theirs_mbr = re.findall(
        r"^MBR partition +: +(\d) +0x(\w\w) +0x(\w\w) +(\d+) +(\d+)", report, re.MULTILINE
    )
    parts = document["mbr"]["partitions"] if document["mbr"] else []
    ours_mbr = [(p["index"], p["active"], int(p["type"], 16), p["start_lba"], p["sectors"]) for p in parts]
    assert ours_mbr == [(int(i), a == "80", int(t, 16), int(s), int(n)) for i, a, t, s, n in theirs_mbr]


@pytest.mark.parametrize("kind", ["grub_gpt", "grub_bootable_flag", "isohybrid_gpt", "isohybrid_apm"])
def test_xorriso_and_sgdisk_see_the_same_partitions(isos: Isos, kind: str) -> None:
    table = facts(isos(kind))["gpt"]
    assert table["primary_ok"] and table["backup_ok"] and table["backup_at_end"]
    ours = [(p["index"], p["start_lba"], p["end_lba"]) for p in table["partitions"]]
    words = ["xorriso", "-no_rc", "-indev", isos(kind), "-report_system_area", "plain"]
    report = run.run(words, timeout=60).text
    rows = re.findall(r"^GPT start and size *: +(\d+) +(\d+) +(\d+)$", report, re.MULTILINE)
    assert ours == [(int(i), int(start), int(start) + int(size) - 1) for i, start, size in rows]
    if kind == "grub_gpt":  # sgdisk wants a protective MBR, which the others have not
        shown = run.run(["sgdisk", "-p", isos(kind)], timeout=20).text
        rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) ", shown, re.MULTILINE)
        assert ours == [tuple(map(int, row)) for row in rows] and table["disk_guid"].upper() in shown


def lba_of(path: Path, name: str) -> int:
    with iso.open_image(path) as image:
        return image.extents(name)[0].offset_bytes // 2048


def broken(document: dict[str, Any], *routes: str) -> None:
    """Exactly ``routes`` are broken, compared with what a stick image can do, and a finding says so."""
    assert set(STICK) - set(working(document)) == set(routes), document["boot"]


def test_a_boot_image_that_moved_without_its_table_is_told(isos: Isos, tmp_path: Path) -> None:
    image = lba_of(isos("isohybrid_gpt"), "/isolinux/isolinux.bin") * 2048
    broken(facts(edited(isos("isohybrid_gpt"), tmp_path, image + 12, b"\1")), "bios_cd", "bios_usb")
    broken(facts(edited(isos("isohybrid_gpt"), tmp_path, image + 3000, b"\1\2\3")), "bios_cd", "bios_usb")
    image = lba_of(isos("grub_gpt"), "/boot/grub/eltorito.img") * 2048
    document = facts(edited(isos("grub_gpt"), tmp_path, image + 2548, bytes(8)))
    broken(document, "bios_cd", "bios_usb")  # the checksum of the table covers it
    assert any("boot information" in f["what"] for f in document["findings"])


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_an_mbr_that_points_elsewhere_or_is_gone_breaks_sticks_by_bios(
    isos: Isos, tmp_path: Path, kind: str
) -> None:
    broken(facts(edited(isos(kind), tmp_path, 0x1B0, b"\x77\x77")), "bios_usb")
    broken(facts(edited(isos(kind), tmp_path, 0, bytes(440))), "bios_usb")
    zeroed = facts(edited(isos(kind), tmp_path, 0, bytes(32768)))
    broken(zeroed, "bios_usb", "uefi_usb")
    assert any("backup" in f["what"] and f["severity"] == "error" for f in zeroed["findings"])


def test_a_broken_catalog_breaks_discs_only(isos: Isos, tmp_path: Path) -> None:
    with iso.open_image(isos("grub_gpt")) as image:
        catalog = image.descriptors.boot_catalog_lba
    assert catalog
    broken(facts(edited(isos("grub_gpt"), tmp_path, catalog * 2048 + 4, b"\x99")), "bios_cd")
    gone = facts(edited(isos("grub_gpt"), tmp_path, catalog * 2048, bytes(2048)))
    broken(gone, "bios_cd", "uefi_cd", "bios_usb")


@pytest.mark.parametrize(
    ("loader", "routes"),
    [
        (b"not a program", ("uefi_cd", "uefi_usb", "secure_boot")),
        (efi_program(signers=(make.MICROSOFT,), cut=True), ("uefi_cd", "uefi_usb", "secure_boot")),
        (efi_program(machine=0xAA64), ("uefi_cd", "uefi_usb", "secure_boot")),
        (efi_program(), ("secure_boot",)),
        (efi_program(signers=("Nobody in particular",)), ("secure_boot",)),
    ],
)
def test_an_esp_without_a_real_loader_is_told(
    isos: Isos, tmp_path: Path, loader: bytes, routes: tuple[str, ...]
) -> None:
    start = facts(isos("grub_gpt"))["el_torito"][1]["lba"] * 2048
    broken(facts(edited(isos("grub_gpt"), tmp_path, start, make.esp(loader))), *routes)


def test_a_truncated_image_is_named_so(isos: Isos, tmp_path: Path) -> None:
    for kind in ("data_only", "grub_gpt", "grub_appended", "isohybrid_gpt"):
        path = isos(kind)
        copy = tmp_path / "cut.iso"
        size = path.stat().st_size
        copy.write_bytes(path.read_bytes()[: size - (600 << 10)])
        with iso.open_image(copy) as image:
            assert image.facts().is_truncated, kind
        with iso.open_image(path) as image:
            assert not image.facts().is_truncated, kind


def test_a_stick_with_a_data_partition_behind_the_image_still_boots(isos: Isos, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.write_bytes(isos("grub_gpt").read_bytes())
    with stick.open("r+b") as file:
        file.truncate(64 << 20)
    document = facts(stick)
    assert working(document) == STICK and not document["gpt"]["backup_at_end"]
    assert [f["severity"] for f in document["findings"] if "last sector" in f["what"]] == ["note"]


def test_the_cost_does_not_depend_on_the_size(isos: Isos, tmp_path: Path) -> None:
    large = tmp_path / "large.iso"
    large.write_bytes(isos("grub_gpt").read_bytes())
    with large.open("r+b") as file:
        file.truncate(200 << 30)
    started = time.process_time()
    facts(large)
    assert time.process_time() - started < 0.25


def test_a_boot_catalog_survives_the_round_trip(isos: Isos) -> None:
    for kind in ("isohybrid_gpt", "grub_gpt", "floppy", "uefi_only"):
        with iso.open_image(isos(kind)) as image:
            lba = image.descriptors.boot_catalog_lba
            assert lba
            raw = image.read_at(lba * 2048, 2048)
        catalog = eltorito.parse(raw)
        assert catalog.checksum_ok and eltorito.parse(catalog.build()) == catalog


@pytest.mark.parametrize("kind", ["grub_gpt", "isohybrid_tool"])
def test_a_thousand_damaged_images_give_errors_and_no_tracebacks(isos: Isos, kind: str) -> None:
    """Mutations where structures lie: descriptors, catalog, directories, ESP, tables; numbers that hurt."""
    original = isos(kind).read_bytes()
    seeded = random.Random(kind)
    places = structure_places(original)
    longest = 0.0
    for _ in range(500):
        data = bytearray(original)
        for _ in range(seeded.randint(1, 4)):
            at = seeded.choice(places) + seeded.randint(0, 300)
            raw = seeded.choice(
                [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff", bytes([seeded.randint(0, 255)]), b"\x80\0", struct.pack("<I", seeded.randint(0, 2000))]
            )  # fmt: skip
            data[at : at + len(raw)] = raw
        if seeded.random() < 0.2:
            data = data[: seeded.randint(0, len(data))]
        started = time.process_time()
        try:
            look_at_everything(bytes(data))
        except MediakitError:
            pass
        longest = max(longest, time.process_time() - started)
    assert longest < 2


def structure_places(data: bytes) -> list[int]:
    with _image(data) as image:
        places = [0, 256, 446, 512, 1024, 20 * 512, len(data) - 512, len(data) - 1024, 32768, 34816, 36864]
        for tree in image.trees:
            places += [node.records[0].offset_bytes for _, node in tree.walk()][::3]
        places += [e.entry.lba * 2048 + at for e in image.facts().boot_images for at in (0, 512, 1024, 2548)]
        assert image.descriptors.boot_catalog_lba
        return [*places, *[image.descriptors.boot_catalog_lba * 2048] * 5]


def _image(data: bytes) -> iso.Image:
    return iso.Image(Path("memory.iso"), bytes_reader(data), len(data))


def look_at_everything(data: bytes) -> None:
    image = _image(data)
    image.facts().to_json()
    records = list(image.files())
    for record in records[:10] + records[-20:]:
        if record.kind == "file":
            image.read(record.path, 4096)


def test_opening_closes_what_it_cannot_use(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 100_000)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(MediakitError):
            open_image(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
