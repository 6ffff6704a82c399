"""GPT and MBR, judged by sgdisk and sfdisk."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediakit import run
from mediakit.errors import FormatError
from mediakit.formats import gpt, mbr
from mediakit.formats.reader import bytes_reader

SIZE = 64 << 20
GUID = uuid.UUID("11111111-2222-3333-4444-555555555555")


def entry(index: int, start: int, end: int, name: str = "engine-a") -> gpt.GptPartition:
    return gpt.GptPartition(index, name, gpt.LINUX, uuid.uuid5(GUID, str(index)), start, end)


def disk_with(partitions: list[gpt.GptPartition], sector_bytes: int = 512, size: int = SIZE) -> bytearray:
    disk = bytearray(size)
    disk[:512] = mbr.protective(size // sector_bytes).build()
    for side in gpt.lay_out(partitions, GUID, size, sector_bytes):
        put(disk, side, sector_bytes)
    return disk


def put(disk: bytearray, side: gpt.Gpt, sector_bytes: int = 512) -> None:
    raw = side.build(sector_bytes)
    disk[raw.header_offset : raw.header_offset + len(raw.header)] = raw.header
    disk[raw.array_offset : raw.array_offset + len(raw.array)] = raw.array


def test_sgdisk_finds_no_problem_with_what_we_lay_out(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(disk_with([entry(1, 2048, 4095, "engine-esp"), entry(5, 4096, 9999, "engine-vms")]))
    assert "No problems found" in run.run(["sgdisk", "-v", path], timeout=20).text
    shown = run.run(["sgdisk", "-p", path], timeout=20).text
    assert "engine-esp" in shown and "4095" in shown and str(GUID).upper() in shown


@pytest.mark.parametrize("sector_bytes", [512, 4096])
def test_both_sides_are_read_back(sector_bytes: int) -> None:
    partitions = [entry(1, 256, 300), entry(2, 301, 400, "größe")]
    state = gpt.read(bytes_reader(disk_with(partitions, sector_bytes)), SIZE, sector_bytes)
    assert state.findings == () and state.backup_at_end
    assert state.primary and state.backup
    assert state.primary.partitions == state.backup.partitions == tuple(partitions)


def test_what_sfdisk_makes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(SIZE))
    script = b"label: gpt\nstart=2048,size=4096,type=uefi,name=esp\nsize=2048,type=linux\n"
    run.run(["sfdisk", "-q", path], timeout=20, stdin=script)
    state = gpt.read(bytes_reader(path.read_bytes()), SIZE, 512)
    assert not state.findings and state.primary
    assert [(p.index, p.start_lba, p.end_lba, p.type_guid) for p in state.primary.partitions] == [
        (1, 2048, 6143, gpt.ESP),
        (2, 6144, 8191, gpt.LINUX),
    ]


def test_an_array_elsewhere_and_other_entry_sizes_are_read(tmp_path: Path) -> None:
    disk = disk_with([entry(1, 2048, 4095)])
    moved = gpt.Gpt(GUID, (entry(1, 2048, 4095),), 34, 128, 66, SIZE // 512 - 34, 1, SIZE // 512 - 1)
    put(disk, moved)
    assert gpt.read(bytes_reader(disk), SIZE, 512).primary == moved
    path = tmp_path / "disk"
    path.write_bytes(disk)
    assert "engine-a" in run.run(["sfdisk", "-d", path], timeout=20).text
    wide = gpt.Gpt(GUID, (entry(176, 2048, 4095),), 20, 176, 128, 4096, 1, SIZE // 512 - 1, 256)
    put(disk, wide)
    assert gpt.read(bytes_reader(disk), SIZE, 512).primary == wide


@pytest.mark.parametrize("offset", [512 + 16, 512 + 40, 1024 + 3])
def test_a_damaged_primary_is_not_believed(offset: int) -> None:
    disk = disk_with([entry(1, 2048, 4095)])
    disk[offset] ^= 1
    state = gpt.read(bytes_reader(disk), SIZE, 512)
    assert state.primary is None and state.backup and state.gpt is state.backup
    assert any("primary" in f.what and f.severity == "error" for f in state.findings)


def test_a_damaged_backup_and_a_backup_in_the_middle_are_told_apart() -> None:
    disk = disk_with([entry(1, 2048, 4095)])
    disk[-512 * 4] ^= 1
    state = gpt.read(bytes_reader(disk), SIZE, 512)
    assert state.primary and state.backup is None and [f.severity for f in state.findings] == ["error"]
    larger = disk_with([entry(1, 2048, 4095)]) + bytes(SIZE)
    state = gpt.read(bytes_reader(larger), 2 * SIZE, 512)
    assert state.backup and not state.backup_at_end and [f.severity for f in state.findings] == ["note"]
    cut = disk_with([entry(1, 2048, 4095)])[: SIZE // 2]
    assert "made for" in gpt.read(bytes_reader(cut), SIZE // 2, 512).findings[0].what


def test_a_disk_without_a_table_has_none() -> None:
    state = gpt.read(bytes_reader(bytes(SIZE)), SIZE, 512)
    assert not state.is_present and state.gpt is None and not state.findings
    assert not gpt.read(bytes_reader(b""), 0, 512).is_present


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=92, max_size=92), st.booleans())
def test_no_header_makes_reading_fail(header: bytes, signed: bool) -> None:
    disk = bytearray(8192)
    disk[512:604] = header
    if signed:
        disk[512:520] = gpt.SIGNATURE
        disk[524:528] = (92).to_bytes(4, "little")
    gpt.read(bytes_reader(disk), len(disk), 512)


def test_partitions_outside_the_table_are_refused() -> None:
    for wrong in (
        entry(1, 3, 50),
        entry(129, 2048, 2049),
        entry(1, 4000, 3000),
        entry(1, 2048, 2049, "x" * 37),
    ):
        with pytest.raises(FormatError):
            gpt.lay_out([wrong], GUID, SIZE, 512)[0].build(512)


partitions = st.builds(
    mbr.MbrPartition,
    st.just(1),
    st.integers(1, 255),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.integers(1, 2**32 - 1),
    st.binary(min_size=3, max_size=3),
    st.binary(min_size=3, max_size=3),
)


@given(st.binary(min_size=440, max_size=440), st.integers(0, 2**32 - 1), partitions, st.integers(0, 65535))
def test_an_mbr_survives_the_round_trip(code: bytes, disk_id: int, one: mbr.MbrPartition, rest: int) -> None:
    record = mbr.Mbr(code, disk_id, (one,), rest)
    assert mbr.parse(record.build()) == record


def test_sfdisk_and_we_agree_on_an_mbr(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(SIZE))
    script = b"label: dos\nlabel-id: 0xcafe1234\nstart=2048,size=4096,type=c,bootable\nsize=2048,type=83\n"
    run.run(["sfdisk", "-q", path], timeout=20, stdin=script)
    sector = path.read_bytes()[:512]
    record = mbr.parse(sector)
    assert record.disk_id == 0xCAFE1234
    assert [(p.type, p.active, p.start_lba, p.sectors) for p in record.partitions] == [
        (0x0C, True, 2048, 4096),
        (0x83, False, 6144, 2048),
    ]
    assert record.build() == sector


def test_no_signature_is_no_mbr() -> None:
    with pytest.raises(FormatError):
        mbr.parse(bytes(512))
