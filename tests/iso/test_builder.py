"""New hybrid ISOs, judged by xorriso, isoinfo, sgdisk and sfdisk. Boot images here are only bytes: what boots is
tried with the real ones elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from mediakit.errors import RefusedError, SourceError
from mediakit.formats import fat
from mediakit.iso import builder
from mediakit.iso.builder import IsoFile, IsoLayout, IsoSpec
from mediakit.run import ToolError
from mediakit.units import MIB

BIOS = "/boot/grub/i386-pc/eltorito.img"


def judge(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def spec(tmp_path: Path) -> IsoSpec:
    big = tmp_path / "system.squashfs"
    big.write_bytes(os.urandom(3 * MIB + 17))
    esp = fat.build(2 * MIB, [fat.FatFile("/EFI/BOOT/BOOTX64.EFI", b"MZ" * 1000)]).to_bytes()
    files = (
        IsoFile("/engine/system.squashfs", big),
        IsoFile("/engine/a=b\\c.txt", b"an awkward name\n"),
        IsoFile("/boot/grub/grub.cfg", b"set default=0\n"),
        IsoFile("/EFI/debian/grub.cfg", b"set default=0\n"),
        IsoFile(BIOS, os.urandom(100_000)),
    )
    code = b"\xeb\x63" + bytes(508) + b"\x55\xaa"
    return IsoSpec(files, "ENGINE_5_0", BIOS, code, esp, ("/engine/system.squashfs",), "test", 1_700_000_000)


@pytest.fixture
def iso(spec: IsoSpec, tmp_path: Path) -> Path:
    builder.build_iso(spec, tmp_path / "engine.iso")
    return tmp_path / "engine.iso"


def test_the_partition_table_is_sound_and_not_basic_data(iso: Path) -> None:
    assert "No problems found" in judge("sgdisk", "-v", str(iso))
    table = json.loads(judge("sfdisk", "--json", str(iso)))["partitiontable"]
    assert [p["type"] for p in table["partitions"]] == [
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    ]
    assert table["partitions"][0]["start"] == 64


def test_both_firmwares_find_a_boot_image_on_disc_and_on_stick(iso: Path) -> None:
    report = judge(
        "xorriso", "-indev", str(iso), "-report_el_torito", "plain", "-report_system_area", "plain"
    )
    assert "BIOS  y   none" in report
    assert "UEFI  y   none" in report
    assert "boot-info-table grub2-boot-info" in report
    assert "MBR protective-msdos-label grub2-mbr" in report


def test_the_mbr_has_an_id_an_active_flag_and_the_place_of_the_boot_image(spec: IsoSpec, iso: Path) -> None:
    sector = iso.read_bytes()[:512]
    assert sector[440:444] != bytes(4)
    assert 0x80 in (sector[446], sector[462], sector[478], sector[494])
    start = builder.locate(iso)[BIOS][0]
    assert int.from_bytes(sector[0x1B0:0x1B8], "little") == start // 512 + 4


def test_the_uefi_image_is_the_appended_partition(spec: IsoSpec, iso: Path) -> None:
    table = json.loads(judge("sfdisk", "--json", str(iso)))["partitiontable"]
    start = table["partitions"][1]["start"]
    assert iso.read_bytes()[start * 512 :][: len(spec.esp_image)] == spec.esp_image
    report = judge("xorriso", "-indev", str(iso), "-report_el_torito", "plain")
    line = next(row for row in report.splitlines() if "UEFI" in row)
    assert int(line.split()[-1]) * 4 == start


def test_every_file_comes_out_as_it_went_in(spec: IsoSpec, iso: Path, tmp_path: Path) -> None:
    judge("xorriso", "-osirrox", "on", "-indev", str(iso), "-extract", "/", str(tmp_path / "out"))
    for file in spec.files:
        if file.path != BIOS:
            expected = file.source if isinstance(file.source, bytes) else file.source.read_bytes()
            assert (tmp_path / "out" / file.path.lstrip("/")).read_bytes() == expected


def test_joliet_and_rock_ridge_list_the_same_names(iso: Path) -> None:
    rock_ridge = judge("isoinfo", "-R", "-f", "-i", str(iso)).replace("\\", "_")  # Joliet has no backslash
    assert set(judge("isoinfo", "-J", "-f", "-i", str(iso)).split()) == set(rock_ridge.split())


def test_the_first_file_starts_at_a_mebibyte_whatever_else_is_there(spec: IsoSpec, tmp_path: Path) -> None:
    starts = set()
    for count in (0, 300):
        more = tuple(IsoFile(f"/engine/more/{n:04}.txt", b"x") for n in range(count))
        other = IsoSpec(**{**vars(spec), "files": spec.files + more})
        layout = builder.build_iso(other, tmp_path / f"{count}.iso")
        starts.add(layout.files["/engine/system.squashfs"][0])
    assert starts == {MIB}


def test_the_same_spec_gives_the_same_bytes(spec: IsoSpec, iso: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for file in spec.files:
        if isinstance(file.source, Path):
            os.utime(file.source, (1, 1))
    again = tmp_path / "elsewhere" / "other-name.iso"
    builder.build_iso(spec, again)
    assert again.read_bytes() == iso.read_bytes()


def test_another_identity_gives_other_ids(spec: IsoSpec, iso: Path, tmp_path: Path) -> None:
    builder.build_iso(IsoSpec(**{**vars(spec), "identity": "another"}), tmp_path / "b.iso")
    one, two = (
        json.loads(judge("sfdisk", "--json", str(p)))["partitiontable"] for p in (iso, tmp_path / "b.iso")
    )
    assert one["id"] != two["id"]
    assert {p["uuid"] for p in one["partitions"]}.isdisjoint(p["uuid"] for p in two["partitions"])
    assert iso.read_bytes()[440:444] != (tmp_path / "b.iso").read_bytes()[440:444]


def test_a_failed_build_leaves_nothing_and_keeps_what_was_there(spec: IsoSpec, tmp_path: Path) -> None:
    out = tmp_path / "out" / "engine.iso"
    out.parent.mkdir()
    out.write_bytes(b"the ISO of yesterday")

    def fail(path: Path, layout: IsoLayout) -> None:
        raise RefusedError("No.")

    with pytest.raises(RefusedError):
        builder.build_iso(spec, out, finish=fail)
    assert [p.name for p in out.parent.iterdir()] == ["engine.iso"]
    assert out.read_bytes() == b"the ISO of yesterday"


def test_a_tool_that_fails_leaves_nothing(spec: IsoSpec, tmp_path: Path) -> None:
    out = tmp_path / "out" / "engine.iso"
    out.parent.mkdir()
    with pytest.raises(ToolError):
        builder.build_iso(IsoSpec(**{**vars(spec), "bios_image": "/not/there.img"}), out)
    assert list(out.parent.iterdir()) == []


def test_missing_inputs_and_a_missing_folder_are_named(spec: IsoSpec, tmp_path: Path) -> None:
    lost = IsoSpec(**{**vars(spec), "files": (*spec.files, IsoFile("/x", tmp_path / "lost"))})
    with pytest.raises(SourceError, match="lost"):
        builder.build_iso(lost, tmp_path / "engine.iso")
    with pytest.raises(SourceError, match="nowhere"):
        builder.build_iso(spec, tmp_path / "nowhere" / "engine.iso")


def test_no_room_is_said_before_anything_is_written(spec: IsoSpec, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 43)
    out = tmp_path / "out" / "engine.iso"
    out.parent.mkdir()
    with pytest.raises(RefusedError, match="free"):
        builder.build_iso(IsoSpec(**{**vars(spec), "files": (*spec.files, IsoFile("/huge", huge))}), out)
    assert list(out.parent.iterdir()) == []
