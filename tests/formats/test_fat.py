"""FAT, judged by fsck.fat and mtools: what we build and edit, and what mkfs.fat and mcopy make."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediakit import run
from mediakit.errors import FormatError, MediakitError, RefusedError
from mediakit.formats import fat_names
from mediakit.formats.fat import Fat, FatFile, FatImage, build
from mediakit.formats.reader import bytes_reader

MIB = 1 << 20
FILES = [
    FatFile("EFI/BOOT/BOOTX64.EFI", b"loader" * 700),
    FatFile("EFI/debian/grub.cfg", b"# menu\n"),
    FatFile("engine/grubenv", b"# GRUB Environment Block\n".ljust(1024, b"#")),
    FatFile("engine/journal", b"", 100_000),
    FatFile("A long name with ünïcode and more than thirteen characters.json", b"{}"),
    FatFile("empty", b""),
]


def store(path: Path, image: FatImage) -> Path:
    """The image as a sparse file, by its regions: nothing large is ever in memory."""
    with path.open("wb") as out:
        out.truncate(image.size_bytes)
        for region in image.regions:
            out.seek(region.offset)
            out.write(region.data)
    return path


def assert_clean(path: Path) -> None:
    done = run.run(["fsck.fat", "-n", "-v", path], timeout=60, check=False)
    assert done.status == 0, done.text
    for complaint in ("differences", "wrong", "Orphan", "Bad", "Reclaim", "not match", "Warning"):
        assert complaint not in done.text, done.text


def mtype(path: Path, name: str) -> bytes:
    return run.run(["mtype", "-i", path, f"::/{name}"], timeout=20).stdout


def apply(path: Path, writes: list[tuple[int, bytes]]) -> None:
    with path.open("r+b") as out:
        for offset, data in writes:
            out.seek(offset)
            out.write(data)


@pytest.mark.parametrize(
    ("size", "sector_bytes", "cluster_sectors", "fat_type"),
    [
        (300 * MIB, 512, 1, 32),
        (300 * MIB, 4096, 1, 32),
        (64 * MIB, 512, 1, 32),
        (1 * MIB, 512, None, 12),
        (8 * MIB, 512, None, 16),
        (100 * MIB, 512, None, 16),
        (20_000 * MIB, 512, None, 32),
        (64_000 * MIB, 512, None, 32),
    ],
)
def test_fsck_and_mtools_agree_with_what_is_built(
    tmp_path: Path, size: int, sector_bytes: int, cluster_sectors: int | None, fat_type: int
) -> None:
    image = build(
        size,
        FILES,
        sector_bytes=sector_bytes,
        cluster_sectors=cluster_sectors,
        fat_type=fat_type if size <= 64 * MIB else None,
        label="ENGINE-DATA",
        serial=0x1234ABCD,
        hidden_sectors=2048,
    )
    assert image.volume.fat_type == fat_type
    assert sum(len(r.data) for r in image.regions) < 2 * MIB, "regions are sparse"
    path = store(tmp_path / "image", image)
    assert_clean(path)
    blkid = run.run(["blkid", "-p", "-o", "export", path], timeout=20).text
    assert "LABEL=ENGINE-DATA" in blkid and "UUID=1234-ABCD" in blkid and "TYPE=vfat" in blkid
    for file in FILES:
        assert mtype(path, file.path) == file.data.ljust(file.length, b"\0"), file.path


def test_files_are_contiguous_where_the_image_says() -> None:
    image = build(64 * MIB, FILES, cluster_sectors=1, fat_type=32)
    fat = Fat(bytes_reader(image.to_bytes()))
    for file in FILES:
        if file.length:
            assert fat.extents(file.path) == [image.extent(file.path)]
        assert fat.read(file.path) == file.data.ljust(file.length, b"\0")
    assert {e.path for e in fat.walk() if not e.is_directory} == {file.path for file in FILES}
    assert (
        fat.read("efi/boot/bootx64.efi", 6) == b"loader" and fat.exists("ENGINE") and not fat.exists("no/x")
    )


def test_the_same_inputs_make_the_same_bytes() -> None:
    first, second = (build(64 * MIB, FILES, serial=7, label="X") for _ in range(2))
    assert first == second


def test_everything_a_used_disk_must_zero_is_named(tmp_path: Path) -> None:
    image = build(64 * MIB, FILES, cluster_sectors=1, fat_type=32)
    path = tmp_path / "image"
    path.write_bytes(b"\xa5" * image.size_bytes)
    apply(path, [(offset, bytes(size)) for offset, size in image.must_be_zero])
    apply(path, [(region.offset, region.data) for region in image.regions])
    assert_clean(path)
    assert mtype(path, "engine/journal") == bytes(100_000)


@pytest.mark.parametrize("kind", [12, 16, 32])
def test_what_mkfs_and_mcopy_make_is_read(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "image"
    size = {12: 2, 16: 16, 32: 64}[kind]
    run.run(["mkfs.fat", "-F", str(kind), "-n", "THEIRS", "-C", path, str(size << 10)], timeout=20)
    source = tmp_path / "grubx64.efi"
    source.write_bytes(bytes(range(256)) * 300)
    long = "Ein sehr langer Name für eine Datei.txt"
    (tmp_path / long).write_bytes(b"long")
    run.run(["mmd", "-i", path, "::/efi", "::/efi/boot"], timeout=20)
    run.run(["mcopy", "-i", path, source, "::/efi/boot/"], timeout=20)
    run.run(["mcopy", "-i", path, tmp_path / long, "::/"], timeout=20)
    fat = Fat(bytes_reader(path.read_bytes()))
    assert (fat.type, fat.label) == (kind, "THEIRS")
    assert {e.path for e in fat.walk()} == {"efi", "efi/boot", "efi/boot/grubx64.efi", long}
    assert fat.read("EFI/BOOT/GRUBX64.EFI") == source.read_bytes() and fat.read(long) == b"long"


@pytest.mark.parametrize(("size", "kind"), [(2 * MIB, 12), (16 * MIB, 16), (64 * MIB, 32)])
def test_files_added_one_after_another_stay_clean(tmp_path: Path, size: int, kind: int) -> None:
    path = store(tmp_path / "image", build(size, FILES, fat_type=kind, cluster_sectors=1))
    contents: dict[str, bytes] = {}
    for number in range(45):
        name = f"reports/2026-11-{number % 40:02}T10-00-00Z-SERIAL-{number % 40:04x}.json"
        if number == 5:
            name = "new/one/two/deep.log"
        contents[name] = bytes([number]) * (number * 37)
        apply(path, Fat(bytes_reader(path.read_bytes())).plan_add(name, contents[name]))
    assert_clean(path)
    fat = Fat(bytes_reader(path.read_bytes()))
    for name, data in contents.items():
        assert fat.read(name) == data == mtype(path, name)
    assert fat.read("EFI/BOOT/BOOTX64.EFI") == FILES[0].data


@pytest.mark.parametrize("name", ["reports/r.json", "engine/grubenv", "x/y/z.log"])
def test_after_every_cut_an_added_file_is_old_new_or_absent(tmp_path: Path, name: str) -> None:
    path = store(tmp_path / "image", build(1 * MIB, FILES, cluster_sectors=1))
    before = path.read_bytes()
    fat = Fat(bytes_reader(before))
    old = fat.read(name) if fat.exists(name) else None
    new = b"new" * 1000
    writes = fat.plan_add(name, new)
    states = []
    for count in range(len(writes) + 1):
        disk = bytearray(before)
        for offset, data in writes[:count]:
            assert offset % 512 == 0 and len(data) % 512 == 0, "whole sectors"
            disk[offset : offset + len(data)] = data
        fat = Fat(bytes_reader(disk))
        states.append(fat.read(name) if fat.exists(name) else None)
        for file in FILES:
            assert file.path == name or fat.read(file.path) == file.data.ljust(file.length, b"\0")
    switch = states.index(new)
    assert states == [old] * switch + [new] * (len(states) - switch) and switch > 1


@pytest.mark.parametrize(("size", "kind"), [(2 * MIB, 12), (16 * MIB, 16), (64 * MIB, 32)])
def test_a_file_that_is_removed_gives_its_clusters_back_and_every_cut_leaves_the_others(
    tmp_path: Path, size: int, kind: int
) -> None:
    path = store(tmp_path / "image", build(size, FILES, fat_type=kind, cluster_sectors=1))
    name = "loader/entries/a rather long name that takes several slots.conf"
    for number in range(14):
        apply(path, Fat(bytes_reader(path.read_bytes())).plan_add(f"loader/entries/{number}.conf", b"x"))
    apply(path, Fat(bytes_reader(path.read_bytes())).plan_add(name, b"y" * 3000))
    before = path.read_bytes()
    writes = Fat(bytes_reader(before)).plan_remove(name)
    disk = bytearray(before)
    for offset, data in writes:
        disk[offset : offset + len(data)] = data
        fat = Fat(bytes_reader(disk))
        assert not fat.exists(name) and fat.read("loader/entries/13.conf") == b"x"
        for file in FILES:
            assert fat.read(file.path) == file.data.ljust(file.length, b"\0")
    apply(path, writes)
    assert_clean(path)
    freed = Fat(bytes_reader(path.read_bytes())).free_bytes - Fat(bytes_reader(before)).free_bytes
    assert freed == 6 * 512
    with pytest.raises(FormatError):
        Fat(bytes_reader(path.read_bytes())).plan_remove("loader/entries")


def test_a_full_volume_and_a_full_root_are_refused() -> None:
    image = build(1 * MIB, FILES, cluster_sectors=1)
    fat = Fat(bytes_reader(image.to_bytes()))
    with pytest.raises(RefusedError):
        fat.plan_add("big", bytes(MIB))
    with pytest.raises(FormatError):
        build(1 * MIB, [FatFile("big", bytes(MIB))])
    with pytest.raises(FormatError):
        build(16 * MIB, fat_type=32)


@pytest.mark.parametrize("name", ["a:b", "x/../y", "ends.", "tab\tname", "a" * 256, "\ud800"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(FormatError):
        build(1 * MIB, [FatFile(name, b"")])


def test_doubles_are_refused() -> None:
    with pytest.raises(FormatError):
        build(1 * MIB, [FatFile("a/B", b""), FatFile("A/b", b"")])
    with pytest.raises(FormatError):
        build(1 * MIB, [FatFile("a", b""), FatFile("a/b", b"")])


name = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, blacklist_characters='"*/:<>?\\|.\x7f'), min_size=1, max_size=40)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(name, max_size=8, unique_by=lambda n: n.casefold().upper()))
def test_any_names_survive_the_round_trip(names: list[str]) -> None:
    names = [n for n in names if len(n.casefold()) == len(n)]
    data = b""
    taken: set[bytes] = set()
    for each in names:
        entries, short = fat_names.build_entries(each, taken=taken, attributes=0, first_cluster=9, size_bytes=3, timestamp=0)  # fmt: skip
        assert short not in taken
        taken.add(short)
        data += entries
    assert [e.name for e in fat_names.parse_directory(data)] == names


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_damaged_volume_is_an_error_and_not_a_hang(damage: list[tuple[int, int]]) -> None:
    disk = bytearray(SMALL)
    for at, byte in damage:
        disk[at % len(disk)] = byte
    try:
        fat = Fat(bytes_reader(disk))
        for entry in fat.walk():
            if not entry.is_directory:
                fat.read(entry.path, 100_000)
        fat.plan_add("x/y", b"1")
    except MediakitError:
        pass


SMALL = build(1 * MIB, FILES).to_bytes()
