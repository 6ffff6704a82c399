"""A fake stick is found out; a real one is as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.block.target import Target, open_target
from mediakit.errors import RefusedError
from mediakit.stick import probe
from mediakit.stick.tables import Span
from mediakit.units import GIB, MIB

REAL = 24 * MIB


class Wrapping(Target):
    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        super().write(offset % REAL, data)

    def read(self, offset: int, size: int) -> bytes:
        return super().read(offset % REAL, size)


class Forgetting(Target):
    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset < REAL:
            super().write(offset, data)


def test_a_real_stick_passes_and_is_as_it_was(stick: Callable[..., Path]) -> None:
    path = stick(64 * MIB)
    data = random.Random(4).randbytes(64 * MIB)
    path.write_bytes(data)
    with open_target(path) as target:
        probe.probe(target)
    assert path.read_bytes() == data


@pytest.mark.parametrize("kind", [Wrapping, Forgetting])
def test_a_fake_is_refused_with_what_it_holds(stick: Callable[..., Path], kind: type[Target]) -> None:
    path = stick(96 * MIB)
    with open_target(path) as target:
        target.__class__ = kind
        with pytest.raises(RefusedError, match=r"96\.0 MiB.*fake") as caught:
            probe.probe(target)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("size", [8 * MIB, 4 * GIB, 62 * 10**9])
def test_marks_cover_the_stick_and_spare_what_is_kept(size: int) -> None:
    places = probe.spots(size)
    assert places[0] >= MIB
    assert size - 2 * probe.MARK_BYTES < places[-1] <= size - probe.MARK_BYTES
    keep = Span(size // 2, size // 4)
    inside = [p for p in probe.spots(size, [keep]) if keep.offset_bytes <= p < keep.end]
    assert not inside
