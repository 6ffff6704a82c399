"""Boot catalogs, boot information tables and Apple maps: built, read again, and compared with what the makers of
images wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import iso
from mediakit.errors import FormatError
from mediakit.formats import apm, bootinfo, eltorito
from mediakit.formats.apm import ApmPartition, AppleMap
from mediakit.formats.eltorito import BootCatalog, BootEntry
from mediakit.formats.reader import bytes_reader
from tests.isos import make

BYTE, WORD, LONG = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
CRITERIA = st.one_of(
    st.just(()),
    st.tuples(st.binary(min_size=1, max_size=20).filter(lambda b: b[-1] != 0)),
    st.tuples(st.just(b"\1first"), st.binary(max_size=30).map(lambda b: b.rstrip(b"\0")), st.just(b"last")),
)
PLATFORMS = st.sampled_from((0x00, 0x01, 0x02, 0xEF))
TEXT = st.text(st.sampled_from("abcXYZ 09"), max_size=24)


@st.composite
def catalogs(draw: st.DrawFn) -> BootCatalog:
    """Numbered as a parser numbers them: sections count up, slots follow each other."""
    platform = draw(PLATFORMS)
    first = draw(st.tuples(st.booleans(), BYTE, WORD, BYTE, WORD, LONG))
    entries = [BootEntry(1, platform, *first)]
    slot = 2
    for section in range(1, draw(st.integers(0, 4)) + 1):
        kind, name = draw(PLATFORMS), draw(TEXT)
        slot += 1
        for _ in range(draw(st.integers(1, 3))):
            fields = draw(st.tuples(st.booleans(), BYTE, WORD, BYTE, WORD, LONG))
            entries.append(BootEntry(slot, kind, *fields, section, name, draw(CRITERIA)))
            slot += max(1, len(entries[-1].criteria))
    return BootCatalog(platform, draw(TEXT), True, tuple(entries))


@given(catalogs())
def test_a_boot_catalog_survives_the_round_trip(catalog: BootCatalog) -> None:
    data = catalog.build()
    assert len(data) == 2048 and eltorito.parse(data) == catalog
    assert eltorito.parse(data).build() == data


def test_extensions_say_whether_another_one_follows() -> None:
    """Bit 5 of an extension's second byte (El Torito 1.0 §2.5)."""
    first, second = (BootEntry(1, 0, True, 0, 0, 0, 4, 1), BootEntry(3, 0, True, 0x20, 0, 0, 4, 2))
    entry = replace(second, criteria=(b"\1a", b"b", b"c"))
    data = BootCatalog(0, "", True, (first, entry)).build()
    assert (data[96], data[97]) == (0x88, 0x20) and data[108:110] == b"\1a"
    assert (data[128:131], data[160:163]) == (b"\x44\x20b", b"\x44\0c")


def test_what_xorriso_and_mkisofs_wrote_is_built_again_byte_for_byte(tmp_path: Path) -> None:
    for kind in ("platforms", "grub_gpt", "el_torito", "floppy", "hard_disk", "windows"):
        with iso.open_image(make.make(kind, tmp_path)) as image:
            assert image.descriptors.boot_catalog_lba
            data = image.read_at(image.descriptors.boot_catalog_lba * 2048, 2048)
        assert eltorito.parse(data).build() == data, kind


def test_a_catalog_that_does_not_fit_is_refused() -> None:
    entry = BootEntry(1, 0, True, 0, 0, 0, 4, 100)
    assert len(BootCatalog(0, "", True, (entry,) * 32).build()) == 2048
    with pytest.raises(FormatError):
        BootCatalog(0, "", True, (entry,) * 33).build()
    with pytest.raises(FormatError):
        BootCatalog(0, "", True, (entry, BootEntry(3, 0, True, 0, 0, 0, 4, 1, criteria=(b"x" * 21,)))).build()


@given(st.binary(min_size=64, max_size=300), LONG, LONG)
def test_a_boot_information_table_survives_the_round_trip(image: bytes, lba: int, descriptor: int) -> None:
    patched = bootinfo.with_table(image, lba, descriptor)
    table = bootinfo.parse_table(patched)
    assert (table.image_lba, table.descriptor_lba, table.image_bytes) == (lba, descriptor, len(image))
    assert table.checksum == bootinfo.checksum(patched) and len(patched) == len(image)
    assert bootinfo.with_table(patched, lba, descriptor) == patched
    assert (patched[:8], patched[64:]) == (image[:8], image[64:])


def test_the_tables_are_those_that_xorriso_and_mkisofs_fill_in(tmp_path: Path) -> None:
    root = make.tree(tmp_path)
    for kind, name in (("grub_gpt", "boot/grub/eltorito.img"), ("el_torito", "isolinux/isolinux.bin")):
        with iso.open_image(make.make(kind, tmp_path)) as image:
            theirs = image.read("/" + name)
            lba = image.extents("/" + name)[0].offset_bytes // 2048
        mine = (root / name).read_bytes()
        if kind == "grub_gpt":
            mine = bootinfo.with_grub2_pointer(mine, lba)
        assert bootinfo.with_table(mine, lba) == theirs


def test_an_image_too_short_for_its_tables_is_refused() -> None:
    with pytest.raises(FormatError):
        bootinfo.with_table(bytes(63), 20)
    with pytest.raises(FormatError):
        bootinfo.with_grub2_pointer(bytes(2555), 20)


@given(
    st.sampled_from((512, 2048)),
    st.lists(st.tuples(TEXT, TEXT, LONG, LONG, LONG), min_size=1, max_size=6),
)
def test_an_apple_map_survives_the_round_trip(block: int, rows: list[tuple[str, str, int, int, int]]) -> None:
    entries = tuple(
        ApmPartition(n, name, kind, start, size, status)
        for n, (name, kind, start, size, status) in enumerate(rows, 1)
    )
    found = AppleMap(block, entries)
    data = bytes(block) + found.build()
    assert apm.read(bytes_reader(data), len(data)) == found
    cut = data[: len(data) - block] + bytes(block)
    if len(entries) == 1:
        assert apm.read(bytes_reader(cut), len(cut)) is None
    else:
        with pytest.raises(FormatError, match="missing"):
            apm.read(bytes_reader(cut), len(cut))


def test_a_map_in_small_blocks_is_not_taken_for_one_in_large_ones() -> None:
    """The fourth entry of a map in blocks of 512 lies at 2048; Apple's driver record says so where it is."""
    entries = tuple(ApmPartition(n, f"p{n}", "Apple_HFS", n * 10, 5) for n in range(1, 7))
    data = bytes(512) + AppleMap(512, entries).build()
    assert apm.read(bytes_reader(data), len(data)) == AppleMap(512, entries)
    large = (ApmPartition(1, "large", "Apple_HFS", 7, 5),)
    both = bytearray(b"ER\x08\x00".ljust(512, b"\0") + AppleMap(512, entries[:1]).build()).ljust(2048, b"\0")
    both += AppleMap(2048, large).build()
    assert apm.read(bytes_reader(both), len(both)) == AppleMap(2048, large)
