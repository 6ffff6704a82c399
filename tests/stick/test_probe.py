"""A fake stick is found out; a real one is as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit.block.devices import Device, describe
from mediakit.block.target import Target, open_target
from mediakit.errors import RefusedError
from mediakit.progress import Cancel, ignore
from mediakit.stick import probe
from mediakit.stick.fleet import Fleet, Options, Outcome, Prepared, prepare, write_all
from mediakit.stick.source import open_source
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


def test_a_cut_while_marks_are_out_leaves_what_tells_where_engine_data_is(
    isos: dict[str, Path], stick: Callable[..., Path], write: Callable[..., Outcome]
) -> None:
    """The marks are put into a copy at the worst moment: when all of them are out, and none is back."""
    path = stick(96 * MIB)
    first = write(isos["grub"], path)
    seen: list[bytes] = []

    class Watched(Target):
        def flush(self) -> None:
            super().flush()
            seen.append(self.read(self.size_bytes - MIB, MIB))

    @contextmanager
    def opener(device: Device) -> Iterator[Target]:
        with open_target(device.path, expected=device) as target:
            target.__class__ = Watched
            yield target

    device = replace(describe(path), is_file=False)  # only devices are probed
    with open_source(isos["grub-next"]) as source:
        prepared = Prepared(device, prepare(source, describe(path), Options()).plan)
        (outcome,) = write_all(Fleet(source, Options(), ignore, Cancel(), opener=opener), [prepared])
    assert outcome.result == "done"
    assert outcome.data_partition == first.data_partition | {"kept": True}  # type: ignore[operator]
    header = seen[0][-512:]
    before_tail = seen[: next(n for n, tail in enumerate(seen) if tail[-512:] != header)]
    assert len(before_tail) > 3 and header[:8] == b"EFI PART"
    assert {tail[-33 * 512 :] for tail in before_tail} == {seen[0][-33 * 512 :]}


@pytest.mark.parametrize("size", [8 * MIB, 4 * GIB, 62 * 10**9])
def test_marks_cover_the_stick_and_spare_what_is_kept(size: int) -> None:
    places = probe.spots(size)
    assert places[0] >= MIB
    assert size - 2 * probe.MARK_BYTES < places[-1] <= size - probe.MARK_BYTES
    keep = Span(size // 2, size // 4)
    inside = [p for p in probe.spots(size, [keep]) if keep.offset_bytes <= p < keep.end]
    assert not inside
