"""A UDF volume on a disc image: found by its anchor, followed to its files. Reads through a Reader, bounded.

Anchors in block 256 or at the end (UDF §2.2.3), the main or the reserve volume descriptor sequence (3/8.4.2),
partitions of type 1 and the metadata partition of UDF 2.50 (§2.2.10, its mirror where the main copy is
damaged). Virtual and sparable partitions (CD-R and CD-RW written packet by packet) are named and refused: no
installation medium has them. Loops, absurd lengths and places outside the image are a FormatError.
"""

from __future__ import annotations

import struct
from bisect import bisect_right

from mediakit.errors import FormatError
from mediakit.formats import udf
from mediakit.formats.reader import Reader
from mediakit.formats.udf import Address, Allocation, FileEntry, FileIdentifier, LogicalVolume, Partition
from mediakit.plain import dataclass

BLOCK = 2048
ANCHOR_LBA = 256
HOLE = -1
MAX_SEQUENCE_BLOCKS = 64
MAX_DIRECTORY_BYTES = 64 << 20
_DAMAGED = "The image is damaged: copy or download it again."
_KIND_NAMES = {
    "virtual": "a virtual partition (a disc written in several goes)",
    "sparable": "a sparable partition (a rewritable disc)",
    "unknown": "a kind of partition that is not known",
}
Piece = tuple[int, int]
"""Where bytes lie in the image: (offset, size); the offset is HOLE for zeros that are stored nowhere."""


@dataclass(frozen=True)
class UdfFile:
    """A file entry with its extents resolved; ``at_byte`` is where the entry itself lies."""

    entry: FileEntry
    pieces: tuple[Piece, ...]
    at_byte: int

    @property
    def is_directory(self) -> bool:
        return self.entry.file_type == udf.FILE_DIRECTORY

    @property
    def is_regular(self) -> bool:
        return self.entry.file_type in (udf.FILE_REGULAR, udf.FILE_UNSPECIFIED, udf.FILE_REALTIME)

    @property
    def is_symlink(self) -> bool:
        return self.entry.file_type == udf.FILE_SYMLINK


class UdfVolume:
    """The logical volume; ``name`` is its identifier, ``root`` the address of the root directory's entry."""

    def __init__(self, reader: Reader, size_bytes: int) -> None:
        """FormatError if there is no UDF volume that can be read."""
        self._reader = reader
        self.size_bytes = size_bytes
        self.logical, self._partitions = _find_descriptors(reader, size_bytes)
        if self.logical.block_bytes != BLOCK:
            raise FormatError(
                f"The UDF filesystem has blocks of {self.logical.block_bytes} bytes; only 2048 are known."
            )
        self._metadata: dict[int, _Spread] = {}
        self._files: dict[int, UdfFile] = {}
        self._list_bytes_left = size_bytes
        block = self.read_block(self.logical.file_set.address)
        location = self.logical.file_set.address.block
        udf.expect_tag(block, (udf.TAG_FILE_SET,), location, "The file set descriptor")
        self.name = self.logical.name
        self.root = udf.parse_long(block, 400).address

    def file(self, address: Address) -> UdfFile:
        """The file whose entry is at ``address``."""
        at_byte = self._locate(address.block * BLOCK, BLOCK, address.partition)[0][0]
        if at_byte not in self._files:
            entry = udf.parse_file_entry(self._reader(at_byte, BLOCK), address)
            if entry.embedded is None:
                pieces = self._pieces(entry)
            else:
                offset, size = entry.embedded
                pieces = ((at_byte + offset, size),) if size else ()
            self._files[at_byte] = UdfFile(entry, pieces, at_byte)
        return self._files[at_byte]

    def names(self, directory: UdfFile) -> list[FileIdentifier]:
        """The names in a directory, without its parent and what was deleted."""
        if directory.entry.size_bytes > min(MAX_DIRECTORY_BYTES, self.size_bytes):
            raise FormatError("A folder of the UDF filesystem is absurdly long.", _DAMAGED)
        data = self.contents(directory)
        return [fid for fid in udf.parse_directory(data) if not fid.is_parent and not fid.is_deleted]

    def contents(self, file: UdfFile) -> bytes:
        """Everything in a small file or a directory."""
        parts = [bytes(size) if at == HOLE else self._reader(at, size) for at, size in file.pieces]
        return b"".join(parts)

    def read_block(self, address: Address) -> bytes:
        """One logical block."""
        return self._reader(self._locate(address.block * BLOCK, BLOCK, address.partition)[0][0], BLOCK)

    def _pieces(self, entry: FileEntry) -> tuple[Piece, ...]:
        """The extents of a file as bytes of the image, neighbours joined; they add up to the file's size."""
        found: list[Piece] = []
        left = entry.size_bytes
        for allocation in self._allocations(entry):
            if left <= 0:
                break
            size = min(allocation.size_bytes, left)
            left -= size
            if allocation.kind != udf.EXTENT_RECORDED:
                _add(found, HOLE, size)
                continue
            address = allocation.address
            for offset, length in self._locate(address.block * BLOCK, size, address.partition):
                _add(found, offset, length)
        if left > 0:
            raise FormatError("A file of the UDF filesystem has fewer extents than it is long.", _DAMAGED)
        return tuple(found)

    def _allocations(self, entry: FileEntry) -> list[Allocation]:
        """All of them, continued in as many allocation extents as there are (4/12.1)."""
        found: list[Allocation] = []
        todo = list(reversed(entry.allocations))
        seen: set[Address] = set()
        while todo:
            allocation = todo.pop()
            if allocation.kind != udf.EXTENT_CONTINUES:
                found.append(allocation)
                continue
            address = allocation.address
            size = min(max(allocation.size_bytes, 24), 64 * BLOCK)
            # lists share no bytes on a sound medium, so all of them together are no longer than it is
            self._list_bytes_left -= size
            if address in seen or self._list_bytes_left < 0:
                raise FormatError("A UDF list of extents loops or is absurdly long.", _DAMAGED)
            seen.add(address)
            data = b"".join(
                self._reader(*piece) for piece in self._locate(address.block * BLOCK, size, address.partition)
            )
            more = udf.parse_allocation_extent(data, address.block, entry.descriptor_kind, address.partition)
            todo = list(reversed(list(more)))  # what follows the link is not used (4/12.1)
        return found

    def _locate(self, offset: int, size: int, reference: int) -> list[Piece]:
        """Bytes ``offset`` on of a partition map as pieces of the image; FormatError outside of it."""
        if reference >= len(self.logical.maps):
            raise FormatError("The UDF filesystem names a partition that it does not have.", _DAMAGED)
        chosen = self.logical.maps[reference]
        if chosen.kind == "metadata":
            return self._metadata_pieces(reference).slice(offset, size)
        if chosen.kind != "physical":
            raise FormatError(
                f"The UDF filesystem has {_KIND_NAMES[chosen.kind]}; mediakit does not read it.",
                "Copy its files on a computer that mounts the disc.",
            )
        partition = self._physical(chosen.number)
        if offset + size > partition.blocks * BLOCK:
            raise FormatError("The UDF filesystem points outside of its partition.", _DAMAGED)
        start = partition.start_lba * BLOCK + offset
        if start + size > self.size_bytes:
            raise FormatError(
                f"The UDF filesystem points to byte {start}, behind the end of the image.",
                "The image is truncated: copy or download it again.",
            )
        return [(start, size)]

    def _physical(self, number: int) -> Partition:
        partition = self._partitions.get(number)
        if partition is None:
            raise FormatError("A partition of the UDF filesystem is missing.", _DAMAGED)
        return partition

    def _metadata_pieces(self, reference: int) -> _Spread:
        """Where the metadata file lies; its mirror where its own entry is damaged (UDF §2.2.13)."""
        if reference in self._metadata:
            return self._metadata[reference]
        chosen = self.logical.maps[reference]
        physical = next(
            (n for n, m in enumerate(self.logical.maps) if (m.kind, m.number) == ("physical", chosen.number)),
            None,
        )
        if physical is None:
            raise FormatError("The partition under the UDF metadata partition is missing.", _DAMAGED)
        failure: FormatError | None = None
        for block in (chosen.metadata_block, chosen.mirror_block):
            try:
                found = self.file(Address(block, physical))
                if found.entry.file_type not in udf.FILE_METADATA:
                    raise FormatError("The UDF metadata file is none.", _DAMAGED)
            except FormatError as error:
                failure = failure or error
                continue
            self._metadata[reference] = _Spread(found.pieces)
            return self._metadata[reference]
        assert failure is not None
        raise failure


class _Spread:
    """A file in pieces, looked into at any place: a hostile one has thousands, and is asked for each name."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        self._pieces = pieces
        self._starts: list[int] = []
        end = 0
        for _, length in pieces:
            self._starts.append(end)
            end += length

    def slice(self, offset: int, size: int) -> list[Piece]:
        """Bytes ``offset`` on as pieces of the image; FormatError where there are none."""
        found: list[Piece] = []
        number = bisect_right(self._starts, offset) - 1
        while size and 0 <= number < len(self._pieces):
            start, length = self._pieces[number]
            skip = offset - self._starts[number]
            part = min(size, length - skip)
            if part <= 0:
                break
            if start == HOLE:
                raise FormatError("The UDF metadata file has holes.", _DAMAGED)
            found.append((start + skip, part))
            offset, size, number = offset + part, size - part, number + 1
        if size or not found:
            raise FormatError("The UDF filesystem points outside of its metadata.", _DAMAGED)
        return found


def _find_descriptors(reader: Reader, size_bytes: int) -> tuple[LogicalVolume, dict[int, Partition]]:
    """The logical volume and its partitions from the first sequence that holds them."""
    anchors = _anchors(reader, size_bytes)
    if not anchors:
        raise FormatError("The UDF filesystem has no anchor: it cannot be found.", _DAMAGED)
    failure: FormatError | None = None
    for block in anchors:
        for at in (16, 24):  # the main sequence, the reserve
            lba, size = udf.parse_extent(block, at)
            try:
                return _read_sequence(reader, size_bytes, lba, size)
            except FormatError as error:
                failure = failure or error
    assert failure is not None
    raise failure


def _anchors(reader: Reader, size_bytes: int) -> list[bytes]:
    last = size_bytes // BLOCK - 1
    found = []
    for lba in dict.fromkeys((ANCHOR_LBA, last, last - ANCHOR_LBA)):
        if lba < 16 or lba > last:
            continue
        block = reader(lba * BLOCK, BLOCK)
        try:
            if udf.check_tag(block[:512], lba) == udf.TAG_ANCHOR:
                found.append(block)
        except FormatError:
            continue
    return found


def _read_sequence(
    reader: Reader, size_bytes: int, lba: int, size: int
) -> tuple[LogicalVolume, dict[int, Partition]]:
    """One volume descriptor sequence: of several of a kind the highest number prevails (3/8.4.3)."""
    logical: tuple[int, bytes] | None = None
    partitions: dict[int, tuple[int, Partition]] = {}
    end = lba + min(size // BLOCK, MAX_SEQUENCE_BLOCKS)
    hops = 0
    while lba < end:
        if (lba + 1) * BLOCK > size_bytes:
            raise FormatError("The UDF volume descriptors lie outside the image.", _DAMAGED)
        block = reader(lba * BLOCK, BLOCK)
        if not any(block[:2]):
            break
        tag = udf.check_tag(block, lba)
        (number,) = struct.unpack_from("<I", block, 16)
        if tag == udf.TAG_TERMINATING:
            break
        if tag == udf.TAG_POINTER and hops < MAX_SEQUENCE_BLOCKS:
            lba, more = udf.parse_extent(block, 20)
            end = lba + min(more // BLOCK, MAX_SEQUENCE_BLOCKS)
            hops += 1
            continue
        if tag == udf.TAG_LOGICAL and (logical is None or number >= logical[0]):
            logical = (number, block)
        elif tag == udf.TAG_PARTITION:
            found = udf.parse_partition(block)
            if found.number not in partitions or number >= partitions[found.number][0]:
                partitions[found.number] = (number, found)
        lba += 1
    if logical is None or not partitions:
        raise FormatError("The UDF filesystem's volume descriptors are missing.", _DAMAGED)
    return udf.parse_logical_volume(logical[1]), {key: value for key, (_, value) in partitions.items()}


def _add(pieces: list[Piece], offset: int, size: int) -> None:
    """One more piece, joined with the last one where it goes on."""
    if not size:
        return
    if pieces and (offset == pieces[-1][0] == HOLE or (offset != HOLE and sum(pieces[-1]) == offset)):
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + size)
    else:
        pieces.append((offset, size))
