"""UDF as it is on discs: descriptors, file entries, allocation and directory entries. Pure: bytes in.
in.

Sources: ECMA-167 3rd edition (part/section is cited as 3/7.2) and OSTA UDF 2.60 (“UDF §”) for what it
narrows: tags, CS0 strings, partition maps, path components. Nothing is believed without its tag's checksum
and CRC, as Windows and Linux do not either. Reading them off a medium is ``udf_volume``'s.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator
from typing import Literal

from mediakit.errors import FormatError
from mediakit.plain import dataclass

TAG_BYTES = 16
TAG_PRIMARY, TAG_ANCHOR, TAG_POINTER, TAG_PARTITION, TAG_LOGICAL, TAG_TERMINATING = 1, 2, 3, 5, 6, 8
TAG_FILE_SET, TAG_FILE_IDENTIFIER, TAG_ALLOCATION, TAG_FILE, TAG_EXTENDED_FILE = 256, 257, 258, 261, 266
FILE_DIRECTORY, FILE_REGULAR, FILE_UNSPECIFIED, FILE_SYMLINK, FILE_REALTIME = 4, 5, 0, 12, 249
FILE_METADATA = (250, 251)
CHARACTERISTIC_DIRECTORY, CHARACTERISTIC_DELETED, CHARACTERISTIC_PARENT = 0x02, 0x04, 0x08
EXTENT_RECORDED, EXTENT_ALLOCATED, EXTENT_EMPTY, EXTENT_CONTINUES = range(4)
_DAMAGED = "The image is damaged: copy or download it again."
_TAG = struct.Struct("<HHBBHHHI")
_FID = struct.Struct("<HBBIIH6sH")
MapKind = Literal["physical", "metadata", "virtual", "sparable", "unknown"]
_MAP_NAMES: dict[bytes, MapKind] = {
    b"*UDF Virtual Partition": "virtual",
    b"*UDF Sparable Partition": "sparable",
    b"*UDF Metadata Partition": "metadata",
}


@dataclass(frozen=True)
class Address:
    """A logical block of a partition map (lb_addr, 4/7.1)."""

    block: int
    partition: int


@dataclass(frozen=True)
class Allocation:
    """One allocation descriptor (4/14.14): ``kind`` is one of EXTENT_*; the size counts bytes."""

    kind: int
    size_bytes: int
    address: Address


@dataclass(frozen=True)
class PartitionMap:
    """One map of the logical volume (3/10.7, UDF §2.2.8 to §2.2.10): what a partition reference means.

    ``metadata_block`` and ``mirror_block`` place the metadata file's two entries in partition ``number``.
    """

    kind: MapKind
    number: int
    metadata_block: int = 0
    mirror_block: int = 0


@dataclass(frozen=True)
class Partition:
    """A partition descriptor (3/10.5): blocks of the volume."""

    number: int
    start_lba: int
    blocks: int


@dataclass(frozen=True)
class LogicalVolume:
    """The logical volume descriptor (3/10.6): its name, its maps, and where the file set descriptor is."""

    name: str
    block_bytes: int
    file_set: Allocation
    maps: tuple[PartitionMap, ...]


@dataclass(frozen=True)
class FileEntry:
    """A file entry or extended file entry (4/14.9, 4/14.17).

    ``embedded`` is where the contents lie inside the entry's own block (offset, size), for small files;
    otherwise ``allocations`` say where they are, in descriptors of ``descriptor_kind`` (0 short, 1 long).
    ``modified`` is in the form of ISO 9660's 7 bytes (``iso9660.moment_seconds``).
    """

    file_type: int
    size_bytes: int
    allocations: tuple[Allocation, ...]
    descriptor_kind: int
    embedded: tuple[int, int] | None
    permissions: int
    modified: bytes = b""


@dataclass(frozen=True)
class FileIdentifier:
    """One name in a directory (4/14.4)."""

    name: str
    characteristics: int
    icb: Allocation

    @property
    def is_directory(self) -> bool:
        return bool(self.characteristics & CHARACTERISTIC_DIRECTORY)

    @property
    def is_deleted(self) -> bool:
        return bool(self.characteristics & CHARACTERISTIC_DELETED)

    @property
    def is_parent(self) -> bool:
        return bool(self.characteristics & CHARACTERISTIC_PARENT)


def check_tag(data: bytes, location: int | None = None) -> int:
    """The identifier of a descriptor's tag (3/7.2); FormatError if checksum, CRC or location is wrong.

    ``location`` is the block where it was found: a stale copy of a descriptor lies elsewhere.
    """
    if len(data) < TAG_BYTES:
        raise FormatError("A UDF descriptor is cut off.", _DAMAGED)
    identifier, version, checksum, _, _, crc, crc_bytes, own = _TAG.unpack_from(data)
    if (sum(data[:4]) + sum(data[5:16])) & 0xFF != checksum or version not in (2, 3):
        raise FormatError("A UDF descriptor's tag is damaged.", _DAMAGED)
    if TAG_BYTES + crc_bytes > len(data) or binascii.crc_hqx(data[16 : 16 + crc_bytes], 0) != crc:
        raise FormatError("The checksum of a UDF descriptor is wrong.", _DAMAGED)
    if location is not None and own != location:
        raise FormatError("A UDF descriptor says that it lies elsewhere.", _DAMAGED)
    return int(identifier)


def expect_tag(data: bytes, wanted: tuple[int, ...], location: int | None, what: str) -> int:
    """``check_tag``, and FormatError naming ``what`` if it is another descriptor."""
    try:
        found = check_tag(data, location)
    except FormatError as error:
        raise FormatError(f"{what} of the UDF filesystem is damaged. {error.message}", _DAMAGED) from error
    if found not in wanted:
        raise FormatError(f"{what} of the UDF filesystem is missing.", _DAMAGED)
    return found


def seal(descriptor: bytes | bytearray, crc_bytes: int | None = None) -> bytes:
    """The descriptor with its CRC and tag checksum made right (3/7.2.3, 3/7.2.6)."""
    data = bytearray(descriptor)
    covered = len(data) - TAG_BYTES if crc_bytes is None else crc_bytes
    struct.pack_into("<HH", data, 8, binascii.crc_hqx(bytes(data[16 : 16 + covered]), 0), covered)
    data[4] = (sum(data[:4]) + sum(data[5:16])) & 0xFF
    return bytes(data)


def cs0(raw: bytes) -> str:
    """OSTA compressed unicode (UDF §2.1.1): 8 or 16 bits a character, as its first byte says."""
    if not raw:
        return ""
    if raw[0] in (8, 254):
        return raw[1:].decode("latin-1")
    if raw[0] in (16, 255):
        return raw[1 : 1 + (len(raw) - 1) // 2 * 2].decode("utf-16-be", "replace")
    raise FormatError(f"A UDF name is packed in an unknown way ({raw[0]}).", _DAMAGED)


def dstring(raw: bytes) -> str:
    """A d-string field (3/7.2.12): CS0, its length in the last byte; unprintable characters replaced."""
    text = cs0(raw[: min(raw[-1], len(raw) - 1)]) if raw and raw[0] in (8, 16) else ""
    return "".join(c if c.isprintable() else "�" for c in text.rstrip("\0"))


def parse_extent(data: bytes, at: int) -> tuple[int, int]:
    """An extent_ad (3/7.1): first block and length in bytes."""
    size, location = struct.unpack_from("<II", data, at)
    return location, size


def parse_partition(block: bytes) -> Partition:
    """A partition descriptor that was checked."""
    (number,) = struct.unpack_from("<H", block, 22)
    start, blocks = struct.unpack_from("<II", block, 188)
    return Partition(number, start, blocks)


def parse_logical_volume(block: bytes) -> LogicalVolume:
    """A logical volume descriptor that was checked."""
    (block_bytes,) = struct.unpack_from("<I", block, 212)
    size, count = struct.unpack_from("<II", block, 264)
    table = block[440 : 440 + size]
    maps: list[PartitionMap] = []
    at = 0
    while len(maps) < count and at + 6 <= len(table):
        length = table[at + 1]
        if length < 6 or at + length > len(table):
            break
        maps.append(_parse_map(table[at : at + length]))
        at += length
    if len(maps) != count or not maps:
        raise FormatError("The partition maps of the UDF filesystem are damaged.", _DAMAGED)
    return LogicalVolume(dstring(block[84:212]), block_bytes, parse_long(block, 248), tuple(maps))


def _parse_map(raw: bytes) -> PartitionMap:
    if raw[0] == 1:
        return PartitionMap("physical", struct.unpack_from("<H", raw, 4)[0])
    if raw[0] != 2 or len(raw) < 64:
        return PartitionMap("unknown", 0)
    kind: MapKind = _MAP_NAMES.get(raw[5:28].rstrip(b"\0"), "unknown")
    (number,) = struct.unpack_from("<H", raw, 38)
    main, mirror = struct.unpack_from("<II", raw, 40) if kind == "metadata" else (0, 0)
    return PartitionMap(kind, number, main, mirror)


def parse_long(data: bytes, at: int) -> Allocation:
    """A long_ad (4/14.14.2): 16 bytes."""
    raw, block, partition = struct.unpack_from("<IIH", data, at)
    return Allocation(raw >> 30, raw & 0x3FFFFFFF, Address(block, partition))


def parse_allocations(data: bytes, kind: int, partition: int) -> Iterator[Allocation]:
    """Short (0) or long (1) allocation descriptors; one of length 0 ends them (4/12)."""
    step = 8 if kind == 0 else 16
    for at in range(0, len(data) - step + 1, step):
        if kind == 0:
            raw, block = struct.unpack_from("<II", data, at)
            found = Allocation(raw >> 30, raw & 0x3FFFFFFF, Address(block, partition))
        else:
            found = parse_long(data, at)
        if not found.size_bytes:
            return
        yield found


def parse_allocation_extent(data: bytes, location: int, kind: int, partition: int) -> Iterator[Allocation]:
    """The descriptors of an allocation extent (4/14.5), whose block was read whole."""
    expect_tag(data, (TAG_ALLOCATION,), location, "A list of extents")
    (size,) = struct.unpack_from("<I", data, 20)
    return parse_allocations(data[24 : 24 + size], kind, partition)


def parse_file_entry(block: bytes, address: Address) -> FileEntry:
    """A file entry or extended file entry in the block at ``address``; FormatError if it is none."""
    tag = expect_tag(block, (TAG_FILE, TAG_EXTENDED_FILE), address.block, "A file's entry")
    (strategy,) = struct.unpack_from("<H", block, 20)
    if strategy != 4:
        raise FormatError(f"A file of the UDF filesystem is stored in an unknown way (strategy {strategy}).")
    (flags,) = struct.unpack_from("<H", block, 34)
    (permissions,) = struct.unpack_from("<I", block, 44)
    (size,) = struct.unpack_from("<Q", block, 56)
    lengths, start = (168, 176) if tag == TAG_FILE else (208, 216)
    attributes, descriptors = struct.unpack_from("<II", block, lengths)
    start += attributes
    kind = flags & 7
    modified = _moment(block[84:96] if tag == TAG_FILE else block[92:104])
    if start + descriptors > len(block) or kind not in (0, 1, 3):
        raise FormatError("A file's entry of the UDF filesystem is damaged.", _DAMAGED)
    if kind == 3:
        if size > descriptors:
            raise FormatError("A file's entry of the UDF filesystem is damaged.", _DAMAGED)
        return FileEntry(block[27], size, (), kind, (start, size), permissions, modified)
    found = tuple(parse_allocations(block[start : start + descriptors], kind, address.partition))
    return FileEntry(block[27], size, found, kind, None, permissions, modified)


def _moment(stamp: bytes) -> bytes:
    """A timestamp (1/7.3) as ISO 9660 §9.1.5 has it; empty where that cannot say it. Zones count minutes."""
    zone, year = struct.unpack_from("<Hh", stamp)
    minutes = (zone & 0xFFF) - (zone & 0x800) * 2
    quarters = minutes // 15 if -720 <= minutes <= 780 else 0
    if not 1900 <= year < 2156:
        return b""
    return bytes((year - 1900, *stamp[4:9], quarters & 0xFF))


def parse_directory(data: bytes) -> Iterator[FileIdentifier]:
    """The file identifier descriptors of a directory's bytes; FormatError at the first damaged one."""
    at = 0
    while at + 38 <= len(data):
        _, characteristics, name_bytes, raw, block, partition, _, use_bytes = _FID.unpack_from(data, at + 16)
        size = 38 + use_bytes + name_bytes
        padded = -(-size // 4) * 4  # the CRC may cover the padding
        expect_tag(data[at : at + padded], (TAG_FILE_IDENTIFIER,), None, "A folder")
        if at + size > len(data):
            raise FormatError("A folder of the UDF filesystem is cut off.", _DAMAGED)
        icb = Allocation(raw >> 30, raw & 0x3FFFFFFF, Address(block, partition))
        is_nameless = characteristics & (CHARACTERISTIC_PARENT | CHARACTERISTIC_DELETED)
        name = "" if is_nameless else cs0(data[at + 38 + use_bytes : at + size])
        yield FileIdentifier(name, characteristics, icb)
        at += padded


def parse_path(data: bytes) -> str:
    """A symbolic link's target (4/14.16, UDF §2.3.14) as a POSIX path."""
    words: list[str] = []
    start = ""
    at = 0
    while at + 4 <= len(data):
        kind, length = data[at], data[at + 1]
        name = data[at + 4 : at + 4 + length]
        if kind in (1, 2):
            start, words = "/", []
        elif kind in (3, 4):
            words.append(".." if kind == 3 else ".")
        elif kind == 5:
            words.append(cs0(name))
        at += 4 + length
    return start + "/".join(words)
