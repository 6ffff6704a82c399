"""A small image with UDF 2.50 beside a stub of ISO 9660, built here: no tool at hand makes one with a metadata
partition, extended file entries, contents in entries, holes, lists of extents that go on, links and wide names.

Blocks of the image: descriptors of ISO 9660 from 16, volume descriptor sequences at 32 and 48, anchor at 256,
the partition from 257 on. The metadata file lies in two pieces, at the partition's blocks 10 and 20.
"""

from __future__ import annotations

import struct

from mediakit.formats import udf

BLOCK = 2048
START, BLOCKS = 257, 64
METADATA = (*range(10, 14), *range(20, 28))
LARGE = b"".join(bytes([n]) * 1000 for n in range(5))
HOLE_BYTES = 6000


def build() -> bytes:
    image = bytearray((START + BLOCKS) * BLOCK)

    def put(block: int, data: bytes) -> None:
        image[block * BLOCK : block * BLOCK + len(data)] = data

    def metadata(block: int, data: bytes) -> None:
        put(START + METADATA[block], data)

    _stub(put)
    for start in (32, 48):
        put(start, _descriptor(1, start, 1))
        put(start + 1, _descriptor(5, start + 1, 2, {22: b"\0\0", 188: struct.pack("<II", START, BLOCKS)}))
        put(start + 2, _logical(start + 2))
        put(start + 3, _descriptor(8, start + 3, 4))
    put(256, _descriptor(2, 256, None, {16: struct.pack("<IIII", 4 * BLOCK, 32, 4 * BLOCK, 48)}))
    pieces = _short(4 * BLOCK, 10) + _short(8 * BLOCK, 20)
    put(START, _entry(0, 250, 12 * BLOCK, 0, pieces))
    put(START + 1, _entry(1, 251, 12 * BLOCK, 0, pieces))
    metadata(0, _descriptor(256, 0, None, {400: _long(BLOCK, 1, 1)}))
    names = [("", 0x0A, 1), ("folder", 2, 5), ("holes.bin", 0, 2), ("chained.bin", 0, 3), ("link", 0, 8)]
    names += [("wide 文件.txt", 0, 9), ("gone", 4, 9)]
    metadata(1, _embedded(1, 4, b"".join(_name(n, 1, *row) for n, row in enumerate(names))))
    holes = _long(BLOCK, 30) + _long(HOLE_BYTES, 0, 0, udf.EXTENT_EMPTY) + _long(10, 31)
    metadata(2, _entry(2, 5, BLOCK + HOLE_BYTES + 10, 1, holes))
    chain = _long(BLOCK, 40) + _long(24 + 32, 6, 1, udf.EXTENT_CONTINUES)
    metadata(3, _entry(3, 5, len(LARGE), 1, chain))
    metadata(6, _allocation(6, _long(BLOCK, 42) + _long(len(LARGE) - 2 * BLOCK, 44)))
    folder = _name(0, 5, "", 0x0A, 1) + _name(1, 5, "inner.txt", 0, 9)
    metadata(5, _entry(5, 4, len(folder), 1, _long(len(folder), 7, 1)))
    metadata(7, folder)
    metadata(8, _embedded(8, 12, b"\5\7\0\0\x08folder\5\x0a\0\0\x08inner.txt"))
    metadata(9, _embedded(9, 5, b"in the entry itself"))
    put(START + 30, b"\x11" * BLOCK)
    put(START + 31, b"after hole")
    for block, at in ((40, 0), (42, BLOCK), (44, 2 * BLOCK)):
        put(START + block, LARGE[at : at + BLOCK])
    return bytes(image)


def _stub(put: object) -> None:
    assert callable(put)
    both = lambda n: struct.pack("<I", n) + struct.pack(">I", n)  # noqa: E731

    def record(name: bytes, lba: int, size: int, flags: int) -> bytes:
        body = name + b"\0" * (1 - len(name) % 2)
        head = bytes((33 + len(body), 0)) + both(lba) + both(size) + bytes(7) + bytes((flags, 0, 0))
        return head + b"\1\0\0\1" + bytes([len(name)]) + body

    primary = bytearray(BLOCK)
    primary[0:7] = b"\1CD001\1"
    primary[40:72] = b"STUB".ljust(32)
    primary[80:88] = both(START + BLOCKS)
    primary[120:132] = b"\1\0\0\1\1\0\0\1\0\x08\x08\0"
    primary[156:190] = record(b"\0", 22, BLOCK, 2)
    primary[881] = 1
    put(16, bytes(primary))
    put(17, b"\xffCD001\1")
    for block, mark in enumerate((b"BEA01", b"NSR03", b"TEA01"), 18):
        put(block, b"\0" + mark + b"\1")
    rows = record(b"\0", 22, BLOCK, 2) + record(b"\1", 22, BLOCK, 2) + record(b"README.TXT;1", 23, 4, 0)
    put(22, rows)
    put(23, b"stub")


def _descriptor(tag: int, block: int, number: int | None, fields: dict[int, bytes] | None = None) -> bytes:
    data = bytearray(512)
    struct.pack_into("<HHBBHHHI", data, 0, tag, 3, 0, 0, 1, 0, 0, block)
    if number is not None:
        struct.pack_into("<I", data, 16, number)
    for at, raw in (fields or {}).items():
        data[at : at + len(raw)] = raw
    return udf.seal(data)


def _logical(block: int) -> bytes:
    name = b"\x08TEST 2.50"
    maps = b"\1\6\1\0\0\0" + struct.pack(
        "<BBH B23s8s HH IIIIHBB4s", 2, 64, 0, 0, b"*UDF Metadata Partition", b"\x50\2", 1, 0, 0, 1, 0, 32, 1, 0, 0, b""
    ).ljust(64, b"\0")  # fmt: skip
    fields = {
        84: name.ljust(127, b"\0") + bytes([len(name)]),
        212: struct.pack("<I", BLOCK),
        216: b"\0*OSTA UDF Compliant".ljust(24, b"\0") + b"\x50\2",
        248: _long(BLOCK, 0, 1),
        264: struct.pack("<II", len(maps), 2),
        440: maps,
    }
    return _descriptor(6, block, 3, fields)


def _entry(block: int, file_type: int, size: int, kind: int, allocations: bytes) -> bytes:
    data = bytearray(216 + len(allocations))
    struct.pack_into("<HHBBHHHI", data, 0, 266, 3, 0, 0, 1, 0, 0, block)
    struct.pack_into("<HHHBB", data, 20, 4, 0, 1, 0, file_type)
    struct.pack_into("<H", data, 34, kind)
    struct.pack_into("<QQ", data, 56, size, size)
    struct.pack_into("<II", data, 208, 0, len(allocations))
    data[216:] = allocations
    return udf.seal(data)


def _embedded(block: int, file_type: int, contents: bytes) -> bytes:
    return _entry(block, file_type, len(contents), 3, contents)


def _allocation(block: int, allocations: bytes) -> bytes:
    data = bytearray(24) + allocations
    struct.pack_into("<HHBBHHHI", data, 0, 258, 3, 0, 0, 1, 0, 0, block)
    struct.pack_into("<I", data, 20, len(allocations))
    return udf.seal(data)


def _name(_: int, block: int, name: str, characteristics: int, icb: int) -> bytes:
    raw = (
        b""
        if not name
        else b"\x08" + name.encode("latin-1")
        if name.isascii()
        else b"\x10" + name.encode("utf-16-be")
    )
    data = bytearray(-(-(38 + len(raw)) // 4) * 4)
    struct.pack_into("<HHBBHHHI", data, 0, 257, 3, 0, 0, 1, 0, 0, block)
    struct.pack_into("<HBB", data, 16, 1, characteristics, len(raw))
    data[20:36] = _long(BLOCK, icb, 1)
    data[38 : 38 + len(raw)] = raw
    return udf.seal(data)


def _short(size: int, block: int) -> bytes:
    return struct.pack("<II", size, block)


def _long(size: int, block: int, partition: int = 0, kind: int = udf.EXTENT_RECORDED) -> bytes:
    return struct.pack("<IIH6x", kind << 30 | size, block, partition)
