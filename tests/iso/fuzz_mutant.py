"""Mutants: a sound image with a few fields set to what hurts, pieces copied elsewhere, cut, or lengthened.

Nothing is written: a mutant is a list of patches over the image in memory.
"""

from __future__ import annotations

import binascii
import hashlib
import random
import re
import struct
import zlib
from dataclasses import dataclass, field

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from tests.iso.fuzz_map import BLOCK, Field, Map

WORDS = (
    b"source /boot/grub/grub.cfg\n", b"configfile ", b"menuentry x {", b"submenu y {", b"}", b"{", b"if ", b"then\n", b"else\n", b"fi\n",
    b"elif true; then\n", b"for x in ", b"do\n", b"done\n", b"while ", b"until ", b"function f {", b"${a}", b"$x$x$x", b"$@", b"set a=$a$a\n",
    b"set root=", b"(", b")", b"'", b'"', b"\\", b"\n", b"\r\n", b"\0", b"#", b";", b"&&", b"||", b"[ -f ", b" ]", b"! ", b"search -l ",
    b"regexp --set=1:x ", b"return\n", b"shift\n", b"linux /boot/", b"initrd ", b"INCLUDE /isolinux/isolinux.cfg\n", b"\nLABEL a\n", b"\nKERNEL ",
    b"\nAPPEND initrd=,,", b"MENU BEGIN\n", b"MENU END\n", b"CONFIG ", b"TEXT HELP\n", b"ENDTEXT\n", b"DEFAULT ", b"---", b"--", b"-",
    b"../../", b"/", b"//", b"\xff\xfe", b"\xc3", "\u00fc".encode(), b"[", b"]", b",", b":", b"null", b"true", b"-1", b"1e999", b"9" * 40, b'"a":', b"{}",
    b" ", b"\t", b"*", b"?", b"%s", b"CDLABEL=X ", b"options ", b"\nlinux ", b"default *\n", b"MD5 (x) = ", b"0" * 32,
)  # fmt: skip
"""What configurations and documents are made of."""
TEXTUAL = ("menus", "systemd_boot", "summed", "engine")
_DIGITS = re.compile(rb"[0-9]+")


@dataclass
class Mutant:
    """A sound image with patches; bytes behind its end are zeros."""

    kind: str
    data: bytes
    size_bytes: int
    patches: list[tuple[int, bytes]] = field(default_factory=list)

    def put(self, offset: int, raw: bytes) -> None:
        if offset >= 0 and raw:
            self.patches.append((offset, raw))

    def get(self, offset: int, size: int) -> bytes:
        part = bytearray(self.data[offset : offset + size].ljust(size, b"\0"))
        for start, raw in self.patches:
            low, high = max(start, offset), min(start + len(raw), offset + size)
            if low < high:
                part[low - offset : high - offset] = raw[low - start : high - start]
        return bytes(part)

    def reader(self) -> Reader:
        def read(offset: int, size: int) -> bytes:
            if offset < 0 or size < 0 or offset + size > self.size_bytes:
                raise FormatError(f"Bytes {offset} to {offset + size} are not there.")
            return self.get(offset, size)

        return read


def mutate(kind: str, base: Map, rng: random.Random) -> Mutant:
    """One input."""
    mutant = Mutant(kind, base.data, len(base.data))
    touched: list[int] = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        roll = rng.random()
        if base.texts and rng.random() < (0.6 if mutant.kind in TEXTUAL else 0.08):
            touched.append(_change_text(mutant, base, rng))
        elif roll < 0.72:
            touched.append(_set_field(mutant, base, rng))
        elif roll < 0.84:
            start, size = rng.choice(base.areas)
            at = start + rng.randrange(max(1, size))
            mutant.put(at, rng.randbytes(rng.choice((1, 1, 2, 4, 16))))
            touched.append(at)
        elif roll < 0.92:
            source, target = rng.choice(base.areas), rng.choice(base.areas)
            mutant.put(target[0], mutant.get(source[0], min(source[1], target[1], 4096)))
            touched.append(target[0])
        elif roll < 0.96:
            blocks = len(base.data) // BLOCK
            near = rng.choice(base.places or [16])
            one, two = rng.randrange(min(blocks, 600)), near
            mutant.put(two * BLOCK, mutant.get(one * BLOCK, BLOCK))
        else:
            start, size = rng.choice(base.areas)
            mutant.put(start, rng.choice((b"\0", b"\xff", b"\x01")) * min(size, 4096))
            touched.append(start)
    roll = rng.random()
    if roll < 0.05:
        mutant.size_bytes = rng.choice(
            (rng.randrange(len(base.data)), rng.choice(base.areas)[0] + 1, 17 * BLOCK + 1)
        )
    elif roll < 0.08:
        mutant.size_bytes += rng.choice((1, 511, BLOCK, 1 << 20, 5 << 30, 3 << 40))
    if rng.random() < 0.8:
        _make_right(mutant, base, touched)
    return mutant


def _set_field(mutant: Mutant, base: Map, rng: random.Random) -> int:
    chosen: Field = rng.choice(base.fields[rng.choice(sorted(base.fields))])
    width = chosen.width
    order = "big" if chosen.order == "big" else "little"
    now = int.from_bytes(mutant.get(chosen.offset, width), order)
    top = (1 << width * 8) - 1
    blocks = mutant.size_bytes // BLOCK
    value = rng.choice((
        0, 1, 2, 3, 16, 17, 255, 2048, top, top - 1, top >> 1, (top >> 1) + 1, now + 1, now - 1, now * 2, now // 2,
        now ^ (1 << rng.randrange(width * 8)), blocks, blocks - 1, blocks + 1, blocks * 4, mutant.size_bytes,
        rng.choice(base.places or [19]), rng.choice(base.places or [19]), rng.randrange(top + 1), chosen.offset // BLOCK,
    )) & top  # fmt: skip
    raw = value.to_bytes(width, order)
    mutant.put(chosen.offset, raw + raw[::-1] if chosen.order == "both" else raw)
    return chosen.offset


def _change_text(mutant: Mutant, base: Map, rng: random.Random) -> int:
    """Words over words in a menu or a document, numbers over numbers, pieces over pieces."""
    start, size = rng.choice(base.texts)
    for _ in range(rng.choice((1, 2, 4, 12))):
        at, roll = start + rng.randrange(max(1, size)), rng.random()
        if roll < 0.5:
            mutant.put(at, rng.choice(WORDS)[: start + size - at])
        elif roll < 0.8:
            numbers = list(_DIGITS.finditer(mutant.get(start, min(size, 1 << 16))))
            if numbers:
                found = rng.choice(numbers)
                digits = len(found.group())
                new = rng.choice(
                    ("9" * digits, "1".zfill(digits), str(rng.randrange(10**digits)).zfill(digits))
                )
                mutant.put(start + found.start(), new.encode())
        else:
            mutant.put(
                at,
                mutant.get(start + rng.randrange(max(1, size)), rng.choice((4, 16, 64)))[: start + size - at],
            )
    return start


def _make_right(mutant: Mutant, base: Map, touched: list[int]) -> None:
    """Checksums over what was changed, so that what lies behind them is reached."""
    for at in base.udf_tags:
        if any(at <= t < at + 512 for t in touched):
            (covered,) = struct.unpack("<H", mutant.get(at + 10, 2))
            body = mutant.get(at + 16, min(covered, BLOCK - 16))
            mutant.put(at + 8, struct.pack("<H", binascii.crc_hqx(body, 0)))
            tag = mutant.get(at, 16)
            mutant.put(at + 4, bytes([(sum(tag[:4]) + sum(tag[5:])) & 0xFF]))
    for at in base.gpt_headers:
        head = bytearray(mutant.get(at, 92))
        entries, count, size = struct.unpack_from("<QII", head, 72)
        if any(at <= t < at + 92 or entries * 512 <= t < entries * 512 + 4096 for t in touched):
            if count * size <= 1 << 20 and entries < 1 << 40:
                struct.pack_into("<I", head, 88, zlib.crc32(mutant.get(entries * 512, count * size)))
            struct.pack_into("<I", head, 16, 0)
            (length,) = struct.unpack_from("<I", head, 12)
            struct.pack_into("<I", head, 16, zlib.crc32(bytes(head[: min(length, 92)])))
            mutant.put(at, bytes(head))
    _make_records_right(mutant, base, touched)
    if base.catalog is not None and any(base.catalog <= t < base.catalog + 32 for t in touched):
        entry = mutant.get(base.catalog, 32)
        total = sum(struct.unpack("<16H", entry[:28] + b"\0\0" + entry[30:])) & 0xFFFF
        mutant.put(base.catalog + 28, struct.pack("<H", -total & 0xFFFF))


def _make_records_right(mutant: Mutant, base: Map, touched: list[int]) -> None:
    """The checksums of an edit's head, its body and its trailer."""
    for head in base.heads:
        end, body, size = (struct.unpack("<Q", mutant.get(head + at, 8))[0] for at in (32, 56, 64))
        if not any(head <= t < max(end, head + BLOCK) for t in touched):
            continue
        if size <= 1 << 20 and body + size <= mutant.size_bytes:
            mutant.put(head + 72, hashlib.sha256(mutant.get(body, size)).digest())
        mutant.put(head + 104, struct.pack("<I", zlib.crc32(mutant.get(head, 104))))
        if BLOCK <= end <= mutant.size_bytes:
            mutant.put(end - BLOCK + 24, struct.pack("<I", zlib.crc32(mutant.get(end - BLOCK, 24))))
