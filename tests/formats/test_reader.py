"""The reader that keeps what it read: the same bytes with fewer accesses, and none that nobody asked for twice."""

from __future__ import annotations

import random

import pytest

from mediakit.errors import DeviceError, FormatError
from mediakit.formats.reader import Reader, bytes_reader, cached_reader

BLOCK = 64 << 10
DATA = random.Random(1).randbytes(5 * BLOCK + 1234)


def counted(reader: Reader) -> tuple[Reader, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        seen.append((offset, size))
        return reader(offset, size)

    return read, seen


@pytest.mark.parametrize("limit", [1, 2, 512])
def test_it_reads_what_is_there(limit: int) -> None:
    reader = cached_reader(bytes_reader(DATA), len(DATA), limit)
    chance = random.Random(2)
    for _ in range(2000):
        offset = chance.randrange(len(DATA) + 1)
        size = min(
            chance.choice([0, 1, 512, 2048, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]), len(DATA) - offset
        )
        assert reader(offset, size) == DATA[offset : offset + size]


def test_neighbours_cost_one_access() -> None:
    source, seen = counted(bytes_reader(DATA))
    reader = cached_reader(source, len(DATA))
    for offset in range(0, BLOCK, 2048):
        reader(offset, 2048)
    assert seen == [(0, BLOCK)]
    reader(BLOCK - 10, 20)
    assert seen == [(0, BLOCK), (BLOCK, BLOCK)]


def test_it_keeps_no_more_than_it_may() -> None:
    source, seen = counted(bytes_reader(DATA))
    reader = cached_reader(source, len(DATA), 2)
    for block in (0, 1, 0, 2, 0, 1):
        reader(block * BLOCK, 1)
    assert [offset // BLOCK for offset, _ in seen] == [0, 1, 2, 1]


@pytest.mark.parametrize(("offset", "size"), [(len(DATA), 1), (len(DATA) - 1, 2), (-1, 1), (0, -1)])
def test_outside_is_an_error(offset: int, size: int) -> None:
    with pytest.raises(FormatError):
        cached_reader(bytes_reader(DATA), len(DATA))(offset, size)


def test_a_bad_sector_nearby_is_none_in_what_was_asked_for() -> None:
    def dying(offset: int, size: int) -> bytes:
        if offset <= 70_000 < offset + size:
            raise DeviceError("Reading failed.", "It is dying.")
        return DATA[offset : offset + size]

    reader = cached_reader(dying, len(DATA))
    assert reader(BLOCK, 2048) == DATA[BLOCK : BLOCK + 2048]
    with pytest.raises(DeviceError):
        reader(70_000, 1)
