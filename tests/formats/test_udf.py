"""UDF 2.50 as no tool at hand makes it, and UDF that is damaged or means harm. What mkisofs makes is compared
with pycdlib and GRUB elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import iso, run
from mediakit.errors import FormatError, SourceError
from mediakit.formats import udf
from mediakit.formats.reader import bytes_reader
from mediakit.formats.udf import Address
from mediakit.formats.udf_volume import UdfVolume
from tests.isos import udf250
from tests.isos.udf250 import BLOCK, HOLE_BYTES, LARGE, METADATA, START


@pytest.fixture(scope="module")
def image() -> bytes:
    return udf250.build()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], iso.Image]:
    def write(data: bytes) -> iso.Image:
        (tmp_path / "udf.iso").write_bytes(data)
        return iso.open_image(tmp_path / "udf.iso")

    return write


def metadata(block: int) -> int:
    return (START + METADATA[block]) * BLOCK


def changed(data: bytes, at: int, raw: bytes, seal: int | None = None) -> bytes:
    """With ``raw`` at ``at``, and the descriptor at ``seal`` made right again."""
    copy = bytearray(data)
    copy[at : at + len(raw)] = raw
    if seal is not None:
        (covered,) = struct.unpack_from("<H", copy, seal + 10)
        copy[seal : seal + 16 + covered] = udf.seal(copy[seal : seal + 16 + covered])
    return bytes(copy)


def test_everything_that_udf_2_50_can_do_is_read(image: bytes, opened: Callable[[bytes], iso.Image]) -> None:
    with opened(image) as found:
        assert found.udf and found.udf.volume.name == "TEST 2.50"
        assert {f.path: (f.kind, f.size_bytes) for f in found.files()} == {
            "/folder": ("directory", 0),
            "/folder/inner.txt": ("file", 19),
            "/holes.bin": ("file", BLOCK + HOLE_BYTES + 10),
            "/chained.bin": ("file", len(LARGE)),
            "/link": ("symlink", 0),
            "/wide 文件.txt": ("file", 19),
        }
        assert found.read("/holes.bin") == b"\x11" * BLOCK + bytes(HOLE_BYTES) + b"after hole"
        assert b"".join(found.stream("/holes.bin", BLOCK - 1, 3)) == b"\x11\0\0"
        assert [e.is_hole for e in found.extents("/holes.bin")] == [False, True, False]
        assert found.read("/chained.bin") == LARGE and found.read("/chained.bin", 3000) == LARGE[:3000]
        assert found.read("/link") == found.read("/WIDE 文件.txt") == b"in the entry itself"
        offset, size = found.extents("/folder/inner.txt")[0]
        assert found.read_at(offset, size) == b"in the entry itself"


def test_blkid_knows_it_for_udf_2_50(image: bytes, tmp_path: Path) -> None:
    (tmp_path / "udf.iso").write_bytes(image)
    found = run.run(["blkid", "-p", "-o", "export", tmp_path / "udf.iso"], timeout=10).text
    assert "VERSION=2.50\n" in found and "TYPE=udf\n" in found


def test_second_copies_are_used_where_the_first_are_damaged(
    image: bytes, opened: Callable[[bytes], iso.Image]
) -> None:
    for at in (34 * BLOCK + 100, START * BLOCK + 60):  # the main sequence's logical volume, the metadata file
        with opened(changed(image, at, b"\xff")) as found:
            assert found.read("/chained.bin") == LARGE


@pytest.mark.parametrize(
    ("at", "raw", "seal"),
    [
        (256 * BLOCK + 20, b"\xff", None),
        (metadata(0) + 408, b"\7", metadata(0)),
        (metadata(0) + 404, b"\xff\xff\xff", metadata(0)),
        (metadata(0), b"\1\1", None),
        (metadata(1) + 20, b"\x00\x10", metadata(1)),
        (metadata(1) + 56, b"\xff\xff\xff\xff\xff", metadata(1)),
        (metadata(1) + 27, b"\5", metadata(1)),
    ],
    ids=["anchor", "partition", "place", "file set", "strategy", "size", "no folder"],
)
def test_a_root_that_cannot_be_read_leaves_the_stub_and_a_reason(
    image: bytes, opened: Callable[[bytes], iso.Image], at: int, raw: bytes, seal: int | None
) -> None:
    with opened(changed(image, at, raw, seal)) as found:
        assert found.tree.kind == "iso9660" and found.read("/README.TXT") == b"stub"
        with pytest.raises(SourceError, match="chained"):
            found.read("/chained.bin")
        assert found.udf is None and found.udf_error is not None and found.udf_error.message


def test_partitions_that_are_not_read_are_named(image: bytes, opened: Callable[[bytes], iso.Image]) -> None:
    for name, word in ((b"*UDF Virtual Partition\0", "virtual"), (b"*UDF Sparable Partition", "sparable")):
        data = image
        for block in (34, 50):
            data = changed(data, block * BLOCK + 446 + 5, name, block * BLOCK)
        with opened(data) as found:
            assert found.udf_error is not None and word in found.udf_error.message


def test_lists_of_extents_that_loop_and_folders_inside_themselves_end(image: bytes) -> None:
    looping = changed(image, metadata(6) + 24, struct.pack("<IIH", 3 << 30 | 56, 6, 1), metadata(6))
    volume = UdfVolume(bytes_reader(looping), len(looping))
    with pytest.raises(FormatError, match="loops"):
        volume.file(Address(3, 1))
    at = image.index(b"\x08inner.txt", metadata(7)) - 38
    inside = changed(image, at + 18, b"\2", at)
    inside = changed(inside, at + 24, struct.pack("<I", 5), at)
    from mediakit.iso.udf_tree import UdfTree

    with pytest.raises(FormatError, match="inside itself"):
        list(UdfTree(bytes_reader(inside), len(inside)).walk())


def test_names_that_lead_elsewhere_are_refused(image: bytes) -> None:
    from mediakit.iso.udf_tree import UdfTree

    at = image.index(b"\x08inner.txt", metadata(7)) - 38
    for name in (b"\x08../../../", b"\x08a/b\0....", b"\x08\0\0\0\0\0\0\0\0\0"):
        data = changed(image, at + 38, name, at)
        with pytest.raises(FormatError, match="name"):
            list(UdfTree(bytes_reader(data), len(data)).walk())
    data = changed(image, at + 38, b"\x63", at)
    with pytest.raises(FormatError, match="unknown way"):
        list(UdfTree(bytes_reader(data), len(data)).walk())


@given(st.binary(min_size=16, max_size=600))
def test_a_sealed_descriptor_is_believed_and_another_bit_is_not(body: bytes) -> None:
    sealed = udf.seal(b"\x05\0\x03\0" + body)
    assert udf.check_tag(sealed) == 5
    for bit in (1, len(body) // 2 * 8, len(sealed) * 8 - 1):
        broken = bytearray(sealed)
        broken[bit // 8] ^= 1 << bit % 8
        if bit // 8 != 4:
            with pytest.raises(FormatError):
                udf.check_tag(bytes(broken))


def test_strings_are_of_one_or_two_bytes_a_character() -> None:
    assert (
        udf.cs0(b"") == ""
        and udf.cs0(b"\x08Caf\xe9") == "Café"
        and udf.cs0(b"\x10\x65\x87\x4e\xf6") == "文件"
    )
    assert udf.dstring(b"\x08LABEL".ljust(31, b"\0") + b"\6") == "LABEL"
    assert udf.dstring(b"\x08LABEL".ljust(31, b"\0") + b"\xff") == "LABEL" and udf.dstring(bytes(32)) == ""
    assert udf.parse_path(b"\2\0\0\0\5\4\0\0\x08abc\3\0\0\0\4\0\0\0") == "/abc/../."
