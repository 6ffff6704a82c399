"""One pass: the digests are those of hashlib, bytes are read once, and a bad sector is named to 64 KiB."""

from __future__ import annotations

import hashlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mediakit.engine.sweep import Damage, Item, Piece, sweep, total_bytes
from mediakit.errors import DeviceError
from mediakit.progress import Cancel
from mediakit.units import KIB, MIB

IMAGE = bytes(hashlib.blake2b(str(i).encode(), digest_size=64).digest()[i % 64] for i in range(5000)) * 700


def content(pieces: tuple[Piece, ...]) -> bytes:
    return b"".join(
        p.fill * p.size_bytes if p.fill else IMAGE[p.offset_bytes : p.offset_bytes + p.size_bytes]
        for p in pieces
    )


def item(name: str, *pieces: Piece) -> Item:
    return Item(name, pieces, hashlib.sha256(content(pieces)).hexdigest())


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        position, pieces = draw(st.integers(0, 3 * MIB)), []
        for _ in range(draw(st.integers(0, 4))):
            size = draw(st.sampled_from([1, 700, 4096, 65536, 100_001]))
            if position + size > len(IMAGE):
                break
            pieces.append(Piece(position, size, draw(st.sampled_from([b"", b"", b"\0", b" "]))))
            position += size + draw(st.sampled_from([0, 0, 1, 5000, MIB]))
        found.append(item(str(number), *pieces))
    return found


@settings(max_examples=150, deadline=None)
@given(items(), st.data())
def test_every_item_is_hashed_right_in_one_pass(wanted: list[Item], data: st.DataObject) -> None:
    reads: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        reads.append((offset, size))
        return IMAGE[offset : offset + size]

    assert sweep(wanted, read, lambda size: None, Cancel()) == []
    assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(reads)), "read twice or backwards"
    assert sum(n for _, n in reads) == total_bytes(wanted)
    spans = [(p.offset_bytes, p.size_bytes) for i in wanted for p in i.pieces if not p.fill]
    if spans:
        offset, size = data.draw(st.sampled_from(spans))
        flip = offset + data.draw(st.integers(0, size - 1))
        image = bytearray(IMAGE)
        image[flip] ^= 1
        damaged = sweep(wanted, lambda o, n: bytes(image[o : o + n]), lambda size: None, Cancel())
        expected = {
            i.path
            for i in wanted
            for p in i.pieces
            if not p.fill and p.offset_bytes <= flip < p.offset_bytes + p.size_bytes
        }
        assert {d.path for d in damaged} == expected


def test_a_bad_sector_names_the_file_and_64_kib() -> None:
    bad = 2 * MIB + 70 * KIB

    def read(offset: int, size: int) -> bytes:
        if offset <= bad < offset + size:
            raise DeviceError("Input/output error.")
        return IMAGE[offset : offset + size]

    damaged = sweep(
        [
            item("before", Piece(0, MIB)),
            item("hit", Piece(MIB, 2 * MIB)),
            item("after", Piece(3 * MIB, 1000)),
        ],
        read,
        lambda size: None,
        Cancel(),
    )
    assert damaged == [Damage("hit", 2 * MIB + 64 * KIB, 64 * KIB, "it cannot be read")]
