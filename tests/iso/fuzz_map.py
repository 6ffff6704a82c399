"""Where the structures of an image lie, field by field: what the mutator in ``fuzz.py`` turns over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from mediakit.errors import MediakitError
from mediakit.formats import udf
from mediakit.formats.fat import Fat
from mediakit.formats.reader import bytes_reader, sub_reader
from mediakit.iso.edit.record import HEAD_MAGIC
from mediakit.iso.image import Image
from mediakit.iso.udf_tree import UdfTree
from mediakit.stick.tables import find_data

BLOCK = 2048
_TEXTS = (".cfg", ".conf", "sum.txt", "sha256sums", ".json", ".toml", ".minisig", "grubenv")
Order = Literal["little", "big", "both"]


@dataclass(frozen=True)
class Field:
    """A number on the medium; one in both orders takes twice ``width`` bytes (ECMA-119 §7.3.3)."""

    offset: int
    width: int
    order: Order = "little"


@dataclass
class Map:
    """All fields by structure, the structures' bytes, and those that carry a checksum."""

    data: bytes
    fields: dict[str, list[Field]] = field(default_factory=dict)
    areas: list[tuple[int, int]] = field(default_factory=list)
    udf_tags: list[int] = field(default_factory=list)
    gpt_headers: list[int] = field(default_factory=list)
    catalog: int | None = None
    places: list[int] = field(default_factory=list)
    texts: list[tuple[int, int]] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)

    def add(self, what: str, base: int, spec: str, size: int) -> None:
        """``spec``: “offset:width” or “offset:widthb” (big) or “…x” (both), in words."""
        found = self.fields.setdefault(what, [])
        for word in spec.split():
            at, _, width = word.partition(":")
            order: Order = "both" if width.endswith("x") else "big" if width.endswith("b") else "little"
            offset, number = base + int(at), int(width.rstrip("xb"))
            if offset + number * (2 if order == "both" else 1) <= len(self.data):
                found.append(Field(offset, number, order))
        self.areas.append((base, min(size, len(self.data) - base)))


_RECORD = "0:1 1:1 2:4x 10:4x 25:1 26:1 27:1 28:2x 32:1 33:1 34:1"
_VOLUME = "0:1 6:1 40:4 80:4x 88:4 120:2x 124:2x 128:2x 132:4x 140:4 144:4 148:4b 813:4 881:1 2047:1 1:4"
_HEADER = "0:8 8:4 12:4 16:4 24:8 32:8 40:8 48:8 72:8 80:4 84:4 88:4"
_ENTRY = "0:8 16:8 32:8 40:8 48:8 56:2"
_BPB = "0:1 11:2 13:1 14:2 16:1 17:2 19:2 21:1 22:2 28:4 32:4 36:4 44:4 48:2 50:2 38:1 66:1 510:2"
_PE = "60:4 64:4 68:2 70:2 84:2 88:2 156:2 196:4 200:4 232:4 236:4"
_FILE_ENTRY = "0:2 2:2 4:1 8:2 10:2 12:4 20:2 27:1 34:2 48:2 56:8 112:4 168:4 172:4 176:4 180:4 184:4 188:4"
_LOGICAL = "0:2 16:4 212:4 248:4 252:4 256:2 264:4 268:4 440:1 441:1 444:2 445:4 480:4 484:4"


def chart(data: bytes) -> Map:
    """The map of a sound image."""
    image = Image.__new__(Image)
    from pathlib import Path

    image.__init__(Path("base"), bytes_reader(data), len(data))  # type: ignore[misc]
    found = Map(data)
    found.areas.append((0, 64 * BLOCK))
    _tables(found, image)
    _volumes(found, image)
    for tree in image.trees:
        _directories(found, image, tree.root.extents[0].offset_bytes, tree.root.size_bytes, set())
    _boot(found, image)
    _udf(found, image)
    _contents(found, image)
    _edits(found, image)
    found.fields = {what: fields for what, fields in found.fields.items() if fields}
    return found


def _tables(found: Map, image: Image) -> None:
    found.add("mbr", 0, "432:8 440:4 510:2 " + " ".join(
        f"{446 + n * 16}:1 {450 + n * 16}:1 {454 + n * 16}:4 {458 + n * 16}:4" for n in range(4)
    ), 512)  # fmt: skip
    state = image.facts().structures
    for side in (state.gpt.primary, state.gpt.backup):
        if side is not None:
            found.gpt_headers.append(side.header_lba * 512)
            found.add("gpt", side.header_lba * 512, _HEADER, 92)
            for number in range(4):
                found.add("gpt array", side.entries_lba * 512 + number * side.entry_bytes, _ENTRY, 128)
    if state.apple_map is not None:
        for number in range(len(state.apple_map.partitions)):
            place = (number + 1) * state.apple_map.block_bytes
            found.add("apple map", place, "0:2 4:4b 8:4b 12:4b 16:4 48:4 84:4b", 136)


def _volumes(found: Map, image: Image) -> None:
    for block in range(16, min(96, len(found.data) // BLOCK)):
        if found.data[block * BLOCK + 1 : block * BLOCK + 6] == b"CD001":
            found.add("descriptor", block * BLOCK, _VOLUME, BLOCK)
            found.add("root record", block * BLOCK + 156, _RECORD, 34)
            if found.data[block * BLOCK] == 0:
                found.add("boot record", block * BLOCK, "7:4 71:4 71:4 71:4", 80)


def _directories(found: Map, image: Image, start: int, size: int, seen: set[int]) -> None:
    if start in seen or len(seen) > 60:
        return
    seen.add(start)
    found.places.append(start // BLOCK)
    at = start
    while at < start + size:
        length = found.data[at]
        if not length:
            at = (at // BLOCK + 1) * BLOCK
            continue
        found.add("record", at, _RECORD, length)
        name_bytes = found.data[at + 32]
        _susp(found, at + 33 + name_bytes + (1 - name_bytes % 2), at + length)
        lba, _, bytes_, _ = struct.unpack_from("<I4sI4s", found.data, at + 2)
        if found.data[at + 25] & 2 and name_bytes > 1:
            _directories(found, image, lba * BLOCK, bytes_, seen)
        at += length


def _susp(found: Map, at: int, end: int) -> None:
    while at + 4 <= end:
        tag, length = found.data[at : at + 2], found.data[at + 2]
        if length < 4 or at + length > end:
            return
        words = " ".join(f"{n}:4" for n in range(4, length - 3, 4))
        found.add("susp " + tag.decode("latin-1"), at, f"0:2 2:1 3:1 4:1 5:1 6:1 {words}", length)
        if tag == b"CE":
            block, offset, size = (struct.unpack_from("<I", found.data, at + n)[0] for n in (4, 12, 20))
            if (block * BLOCK + offset, size) not in found.areas:
                found.areas.append((block * BLOCK + offset, size))
                _susp(found, block * BLOCK + offset, block * BLOCK + offset + size)
        at += length


def _boot(found: Map, image: Image) -> None:
    lba = image.descriptors.boot_catalog_lba
    if lba is None:
        return
    found.catalog = lba * BLOCK
    found.add("catalog", lba * BLOCK, "0:1 1:1 28:2 30:2", 32)
    for slot in range(1, 6):
        found.add("catalog entry", lba * BLOCK + slot * 32, "0:1 1:1 2:2 4:1 6:2 8:4 8:4", 32)
    for boot in image.facts().boot_images:
        start = boot.entry.lba * BLOCK
        found.places.append(boot.entry.lba)
        found.add("boot info", start, "8:4 12:4 16:4 20:4 2548:8 64:4", 64)
    for volume in image.facts().efi_volumes:
        _esp(found, image, volume.offset_bytes)
    located = find_data(image.facts().structures.gpt, found.data[:512])
    if located is not None:
        _esp(found, image, located.span.offset_bytes)


def _esp(found: Map, image: Image, start: int) -> None:
    found.add("fat", start, _BPB, 512)
    try:
        fat = Fat(sub_reader(image.reader, start, image.size_bytes - start))
        shape = fat.volume
        found.add("fat table", start + shape.fat_offset, " ".join(f"{n}:2" for n in range(0, 24, 1)), 64)
        for entry in fat.walk():
            if entry.is_directory:
                for offset, _ in fat.directory_extents(entry.first_cluster):
                    words = " ".join(
                        f"{n * 32}:1 {n * 32 + 11}:1 {n * 32 + 26}:2 {n * 32 + 28}:4" for n in range(8)
                    )
                    found.add("fat folder", start + offset, words, 256)
            else:
                for offset, size in fat.extents(entry.path)[:1]:
                    if entry.path.lower().endswith(_TEXTS):
                        found.texts += [(start + offset, size)] * 2
                        continue
                    found.add("program", start + offset, _PE, min(size, 512))
                    sections = " ".join(f"{328 + n * 40 + m}:4" for n in range(3) for m in (0, 8, 12, 16, 20))
                    found.add("sections", start + offset, sections, min(size, 512))
                    found.areas.append((start + offset + max(0, size - 400), min(size, 400)))
    except MediakitError:
        return


def _udf(found: Map, image: Image) -> None:
    try:
        tree = UdfTree(image.reader, image.size_bytes)
    except MediakitError:
        return
    blocks = len(found.data) // BLOCK
    for block in range(16, min(blocks, 400)):
        _tagged(found, block * BLOCK)
    _tagged(found, (blocks - 1) * BLOCK)
    for _, node in [("", tree.root), *tree.walk()]:
        if node.kind != "directory":
            continue
        for offset in _identifiers(found.data, node.extents[0].offset_bytes, node.size_bytes):
            found.udf_tags.append(offset)
            found.add("udf name", offset, "0:2 4:1 8:2 10:2 18:1 19:1 20:4 24:4 28:2 36:2 38:1 39:1", 40)


def _tagged(found: Map, offset: int) -> None:
    try:
        tag = udf.check_tag(found.data[offset : offset + BLOCK], None)
    except MediakitError:
        return
    spec = {
        udf.TAG_ANCHOR: "0:2 12:4 16:4 20:4 24:4 28:4",
        udf.TAG_PARTITION: "0:2 16:4 22:2 188:4 192:4",
        udf.TAG_LOGICAL: _LOGICAL,
        udf.TAG_FILE_SET: "0:2 400:4 404:4 408:2",
        udf.TAG_FILE: _FILE_ENTRY,
        udf.TAG_EXTENDED_FILE: _FILE_ENTRY + " 208:4 212:4 216:4",
    }.get(tag)
    if spec:
        found.udf_tags.append(offset)
        found.add(f"udf {tag}", offset, spec, 512)


def _identifiers(data: bytes, at: int, size: int) -> Iterator[int]:
    end = at + size
    while at + 38 <= end:
        yield at
        at += -(-(38 + data[at + 19] + struct.unpack_from("<H", data, at + 36)[0]) // 4) * 4


def _contents(found: Map, image: Image) -> None:
    """Compressed files' heads; and menus, lists and documents, which are read as text."""
    for path, node in image.tree.walk():
        if node.kind == "file" and path.lower().endswith(_TEXTS) and node.extents[0].offset_bytes >= 0:
            found.texts.append((node.extents[0].offset_bytes, node.stored_bytes))
        if node.is_zisofs:
            found.add(
                "zisofs",
                node.extents[0].offset_bytes,
                "0:4 8:1 9:1 10:1 11:1 8:4 12:1 13:1 12:8 16:4 20:4 24:4 24:8",
                40,
            )


def _edits(found: Map, image: Image) -> None:
    """The records of edits, and the sums that isomd5sum implants."""
    at = found.data.find(HEAD_MAGIC)
    while at >= 0:
        end, body, size = (struct.unpack_from("<Q", found.data, at + n)[0] for n in (32, 56, 64))
        if at % BLOCK == 0 and at < body < body + size <= end <= len(found.data):
            found.heads.append(at)
            found.add("record", at, "16:4 20:4 24:8 32:8 40:8 48:8 56:8 64:8 72:4 104:4", 108)
            found.add("trailer", end - BLOCK, "0:4 16:8 24:4", 28)
            (length,) = struct.unpack_from("<I", found.data, body)
            found.add("record body", body, "0:4", 4)
            found.texts += [(body + 4, length)] * 3
        at = found.data.find(HEAD_MAGIC, at + 1)
    for volume in image.descriptors.volumes:
        if b"ISO MD5SUM" in found.data[volume.lba * BLOCK + 883 :][:512]:
            found.texts.append((volume.lba * BLOCK + 883, 512))
