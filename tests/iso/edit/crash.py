"""A medium that remembers every write and flush, and the images that a power cut could leave of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from mediakit.errors import FormatError
from mediakit.formats import gpt
from mediakit.formats.reader import bytes_reader
from mediakit.iso.edit import survey
from mediakit.iso.image import Image
from mediakit.iso.tree import Tree

SECTOR = 512
Write = tuple[int, bytes]


class Recorder:
    """A medium in memory; ``barriers`` are the lists of writes between two flushes."""

    def __init__(self, data: bytes, *, fixed: bool = False) -> None:
        self.data = bytearray(data)
        self.fixed = fixed
        self.barriers: list[list[Write]] = [[]]

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        if offset + size > len(self.data):
            raise FormatError("past the end")
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        assert not (self.fixed and offset + len(data) > len(self.data))
        self.barriers[-1].append((offset, bytes(data)))
        put(self.data, offset, data)

    def flush(self) -> None:
        self.barriers.append([])

    def resize(self, size_bytes: int) -> None:
        if not self.fixed:
            self.barriers[-1].append((size_bytes, b""))
            set_size(self.data, size_bytes)


def put(data: bytearray, offset: int, new: bytes) -> None:
    if offset + len(new) > len(data):
        data.extend(bytes(offset + len(new) - len(data)))
    data[offset : offset + len(new)] = new


def set_size(data: bytearray, size_bytes: int) -> None:
    if size_bytes < len(data):
        del data[size_bytes:]
    else:
        data.extend(bytes(size_bytes - len(data)))


def cuts(start: bytes, barriers: list[list[Write]], seed: str, samples: int) -> Iterator[bytes]:
    """Every prefix at a barrier, every prefix of single writes, and random subsets of torn writes."""
    seeded = random.Random(seed)
    durable = bytearray(start)
    for writes in barriers:
        yield bytes(durable)
        sectors = [piece for write in writes for piece in _sectors(write)]
        for _ in range(samples if len(sectors) > 1 else 0):
            chosen = [s for s in sectors if seeded.random() < seeded.choice((0.1, 0.5, 0.9))]
            seeded.shuffle(chosen)
            yield _with(durable, chosen)
        for count in range(1, min(len(writes), 6)):
            yield _with(durable, writes[:count])
        for offset, new in writes:
            _apply(durable, offset, new)
    yield bytes(durable)


def _with(durable: bytearray, writes: list[Write]) -> bytes:
    data = bytearray(durable)
    for offset, new in writes:
        _apply(data, offset, new)
    return bytes(data)


def _apply(data: bytearray, offset: int, new: bytes) -> None:
    if new:
        put(data, offset, new)
    else:
        set_size(data, offset)


def _sectors(write: Write) -> list[Write]:
    offset, data = write
    assert offset % SECTOR == 0
    return [(offset + at, data[at : at + SECTOR]) for at in range(0, len(data), SECTOR)] or [write]


def open_bytes(data: bytes) -> Image:
    return Image(Path("memory.iso"), bytes_reader(data), len(data))


def trees(data: bytes) -> list[dict[str, tuple[str, bytes]]]:
    """Every tree of every descriptor set: path → kind and contents."""
    image = open_bytes(data)
    reader = bytes_reader(data)
    record, table = survey.read_tables(reader, len(data))
    found = []
    for volume_set in survey.volume_sets(reader, len(data), survey.partitions(record, table)):
        inner = bytes_reader(data[volume_set.base * 2048 :])
        for volume in volume_set.descriptors.volumes:
            tree = Tree(inner, len(data) - volume_set.base * 2048, volume)
            listing = {}
            for path, node in tree.walk():
                contents = b""
                if node.kind == "file":
                    contents = b"".join(inner(*extent) for extent in node.extents if extent.size_bytes)
                listing[path] = (node.kind, contents)
            found.append(listing)
    assert image.descriptors.has_end
    return found


def reachable(data: bytes) -> bool:
    """Whether every partition that is an ISO 9660 filesystem by itself holds all of it."""
    reader = bytes_reader(data)
    parts = survey.partitions(*survey.read_tables(reader, len(data)))
    return all(
        volume_set.end_bytes <= part.end + (40 << 10)  # isohybrid leaves its backup GPT out
        for volume_set in survey.volume_sets(reader, len(data), parts)
        for part in parts
        if part.start == volume_set.base * 2048 and part.end - part.start > 64 << 10
    )


def working(data: bytes) -> set[str]:
    return {name for name, route in open_bytes(data).facts().boot.items() if route.ok}


def primary_gpt(data: bytes) -> gpt.Gpt | None:
    return gpt.read(bytes_reader(data), len(data), SECTOR).primary
