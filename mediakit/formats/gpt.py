"""The GUID partition table: headers and entry arrays, read from either side and built for either. Pure.

Source: UEFI 2.10 §5.3. Primary and backup are judged apart: each is there only if the CRCs of its header
*and* its array are right, because Linux believes neither otherwise. The array may lie anywhere and hold
entries of 128·2ⁿ bytes; images made by grub-mkrescue keep theirs at LBA 20. Writing the bytes, and in which
order, is the caller's: new array into free sectors, flush, the one header sector, flush, then the backup.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import field

from mediakit.errors import FormatError
from mediakit.formats.findings import Finding, Severity
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass
from mediakit.units import align_up

ESP = uuid.UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
BIOS_BOOT = uuid.UUID("21686148-6449-6E6F-744E-656564454649")
LINUX = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
LINUX_SWAP = uuid.UUID("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F")
BASIC_DATA = uuid.UUID("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
MICROSOFT_RESERVED = uuid.UUID("E3C9E316-0B5C-4DB8-817D-F92DF00215AE")
WINDOWS_RECOVERY = uuid.UUID("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC")
APPLE_HFS = uuid.UUID("48465300-0000-11AA-AA11-00306543ECAC")

SIGNATURE = b"EFI PART"
HEADER_BYTES = 92
ENTRY_BYTES = 128
ENTRY_COUNT = 128
MAX_ARRAY_BYTES = 1 << 20  # a hostile header may say 2³² entries
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_EMPTY = uuid.UUID(int=0)


@dataclass(frozen=True)
class GptPartition:
    """One used entry; ``index`` counts from 1, ``end_lba`` is the last sector inside."""

    index: int
    name: str
    type_guid: uuid.UUID
    guid: uuid.UUID
    start_lba: int
    end_lba: int
    attributes: int = 0

    @property
    def sectors(self) -> int:
        return self.end_lba - self.start_lba + 1


@dataclass(frozen=True)
class GptBytes:
    """One side, ready to be written: a header of one sector, an array of whole sectors, and where they go."""

    header: bytes
    array: bytes
    header_offset: int
    array_offset: int


@dataclass(frozen=True)
class Gpt:
    """One side of a table (primary or backup, told apart by ``header_lba``)."""

    disk_guid: uuid.UUID
    partitions: tuple[GptPartition, ...]
    entries_lba: int
    entry_count: int
    first_usable_lba: int
    last_usable_lba: int
    header_lba: int
    alternate_lba: int
    entry_bytes: int = ENTRY_BYTES

    @property
    def array_bytes(self) -> int:
        return self.entry_count * self.entry_bytes

    def partition(self, name: str) -> GptPartition | None:
        """The first partition called ``name``."""
        return next((p for p in self.partitions if p.name == name), None)

    def has_same_content(self, other: Gpt) -> bool:
        """Whether both sides describe the same partitions of the same disk."""
        return self.disk_guid == other.disk_guid and self.partitions == other.partitions

    def build(self, sector_bytes: int) -> GptBytes:
        """This side's bytes; FormatError for partitions that do not fit the table."""
        self._check()
        array = bytearray(self.array_bytes)
        for p in self.partitions:
            name = p.name.encode("utf-16-le")
            if len(name) > 72:
                raise FormatError(f"The partition name “{p.name}” is longer than 36 characters.")
            _ENTRY.pack_into(
                array,
                (p.index - 1) * self.entry_bytes,
                p.type_guid.bytes_le,
                p.guid.bytes_le,
                p.start_lba,
                p.end_lba,
                p.attributes,
                name,
            )
        head = self._header(0, zlib.crc32(array))
        head = self._header(zlib.crc32(head), zlib.crc32(array))
        return GptBytes(
            head.ljust(sector_bytes, b"\0"),
            bytes(array).ljust(align_up(len(array), sector_bytes), b"\0"),
            self.header_lba * sector_bytes,
            self.entries_lba * sector_bytes,
        )

    def _header(self, header_crc: int, array_crc: int) -> bytes:
        return _HEADER.pack(
            SIGNATURE,
            0x00010000,
            HEADER_BYTES,
            header_crc,
            0,
            self.header_lba,
            self.alternate_lba,
            self.first_usable_lba,
            self.last_usable_lba,
            self.disk_guid.bytes_le,
            self.entries_lba,
            self.entry_count,
            self.entry_bytes,
            array_crc,
        )

    def _check(self) -> None:
        seen: set[int] = set()
        for p in self.partitions:
            if not 1 <= p.index <= self.entry_count or p.index in seen:
                raise FormatError(f"Partition number {p.index} is used twice or outside the table.")
            if not self.first_usable_lba <= p.start_lba <= p.end_lba <= self.last_usable_lba:
                raise FormatError(
                    f"Partition {p.index} ({p.start_lba} to {p.end_lba}) lies outside the usable sectors "
                    f"{self.first_usable_lba} to {self.last_usable_lba}."
                )
            seen.add(p.index)


@dataclass(frozen=True)
class GptState:
    """What a disk holds: each side only if it is whole, and what is wrong with what is not."""

    primary: Gpt | None
    backup: Gpt | None
    findings: tuple[Finding, ...] = field(default=())
    is_present: bool = False
    backup_at_end: bool = False

    @property
    def gpt(self) -> Gpt | None:
        """The side to believe: the primary, or the backup when only that is whole."""
        return self.primary or self.backup


def lay_out(
    partitions: Iterable[GptPartition], disk_guid: uuid.UUID, size_bytes: int, sector_bytes: int
) -> tuple[Gpt, Gpt]:
    """Primary and backup of a fresh table: 128 entries, primary array at LBA 2, backup at the end."""
    last_lba = size_bytes // sector_bytes - 1
    array_sectors = ENTRY_COUNT * ENTRY_BYTES // sector_bytes
    entries = tuple(sorted(partitions, key=lambda p: p.index))
    first, last = 2 + array_sectors, last_lba - array_sectors - 1
    if last < first:
        raise FormatError(f"A disk of {size_bytes} bytes has no room for a partition table.")
    primary = Gpt(disk_guid, entries, 2, ENTRY_COUNT, first, last, 1, last_lba)
    backup = Gpt(disk_guid, entries, last + 1, ENTRY_COUNT, first, last, last_lba, 1)
    return primary, backup


def read(reader: Reader, size_bytes: int, sector_bytes: int) -> GptState:
    """Both sides of the table on a disk or image of ``size_bytes``, never raising for what they hold.

    The backup is looked for where the primary says, then in the last sector. Only I/O errors are raised.
    """
    sectors = size_bytes // sector_bytes
    findings: list[Finding] = []
    primary = _side(reader, 1, sectors, sector_bytes, "primary", findings)
    present = primary is not None or bool(findings)
    places = [primary.alternate_lba] if primary else []
    backup = None
    backup_findings: list[Finding] = []
    for lba in dict.fromkeys([*places, sectors - 1]):
        backup = _side(reader, lba, sectors, sector_bytes, "backup", backup_findings)
        if backup is not None:
            break
    present = present or backup is not None
    at_end = backup is not None and backup.header_lba == sectors - 1
    if present:
        findings += backup_findings
        findings += _compare(primary, backup, backup_findings, sectors, sector_bytes)
    return GptState(primary, backup, tuple(findings), present, at_end)


def parse_header(sector: bytes, lba: int) -> tuple[Gpt, int]:
    """A header without its partitions, and its array's CRC; FormatError says what is wrong with it."""
    if len(sector) < HEADER_BYTES or sector[:8] != SIGNATURE:
        raise FormatError("the signature “EFI PART” is missing")
    (_, _, size, crc, _, own, alternate, first, last, guid, entries, count, entry_bytes, array_crc) = (
        _HEADER.unpack_from(sector)
    )
    if not HEADER_BYTES <= size <= len(sector):
        raise FormatError(f"its length of {size} bytes makes no sense")
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:size]) != crc:
        raise FormatError("the checksum of its header is wrong")
    if own != lba:
        raise FormatError(f"it says that it lies in sector {own}, but lies in {lba}")
    if entry_bytes < ENTRY_BYTES or entry_bytes & (entry_bytes - 1) or not count:
        raise FormatError(f"{count} entries of {entry_bytes} bytes make no sense")
    if count * entry_bytes > MAX_ARRAY_BYTES:
        raise FormatError(f"{count} entries of {entry_bytes} bytes are too many")
    header = Gpt(uuid.UUID(bytes_le=guid), (), entries, count, first, last, lba, alternate, entry_bytes)
    return header, array_crc


def moved_header(
    sector: bytes, *, header_lba: int, alternate_lba: int, entries_lba: int, last_usable_lba: int
) -> bytes:
    """A header as it must be in another place, all other fields as they are, with its checksum.

    ``sector`` is a whole header sector that ``parse_header`` takes; the array's checksum stays what it was.
    """
    header = bytearray(sector)
    (size,) = struct.unpack_from("<I", header, 12)
    struct.pack_into("<QQ", header, 24, header_lba, alternate_lba)
    struct.pack_into("<Q", header, 48, last_usable_lba)
    struct.pack_into("<Q", header, 72, entries_lba)
    header[16:20] = bytes(4)
    struct.pack_into("<I", header, 16, zlib.crc32(header[:size]))
    return bytes(header)


def parse_array(array: bytes, entry_bytes: int) -> tuple[GptPartition, ...]:
    """The used entries of an array."""
    found = []
    for number in range(len(array) // entry_bytes):
        offset = number * entry_bytes
        if array[offset : offset + 16] == _EMPTY.bytes:
            continue
        kind, guid, start, end, attributes, name = _ENTRY.unpack_from(array, offset)
        text = name.decode("utf-16-le", "replace").split("\0", 1)[0]
        found.append(
            GptPartition(
                number + 1, text, uuid.UUID(bytes_le=kind), uuid.UUID(bytes_le=guid), start, end, attributes
            )
        )
    return tuple(found)


def _side(
    reader: Reader, lba: int, sectors: int, sector_bytes: int, side: str, findings: list[Finding]
) -> Gpt | None:
    """One side if it is whole; a finding if there is one that is not."""
    if not 0 < lba < sectors:
        return None
    offset = lba * sector_bytes
    sector = reader(offset, sector_bytes)
    if sector[:8] != SIGNATURE:
        return None
    try:
        header, array_crc = parse_header(sector, lba)
        start, size = header.entries_lba, header.array_bytes
        if not 0 < start < sectors or start * sector_bytes + size > sectors * sector_bytes:
            raise FormatError("its entries lie outside the disk")
        array = reader(start * sector_bytes, size)
        if zlib.crc32(array) != array_crc:
            offset, sector_bytes = start * sector_bytes, size
            raise FormatError("the checksum of its entries is wrong")
    except FormatError as error:
        what = f"The {side} partition table (GPT) is damaged: {error.message}."
        findings.append(Finding("error", what, "A partitioning tool can repair it.", offset, sector_bytes))
        return None
    partitions = parse_array(array, header.entry_bytes)
    return Gpt(
        header.disk_guid,
        partitions,
        header.entries_lba,
        header.entry_count,
        header.first_usable_lba,
        header.last_usable_lba,
        lba,
        header.alternate_lba,
        header.entry_bytes,
    )


def _compare(
    primary: Gpt | None, backup: Gpt | None, known: list[Finding], sectors: int, sector_bytes: int
) -> list[Finding]:
    found: list[Finding] = []
    end = (sectors - 1) * sector_bytes
    if primary is None:
        what = "The primary partition table (GPT) is missing or damaged; only the backup is whole."
        if backup is not None:
            found.append(
                Finding("error", what, "Linux shows no partitions then.", sector_bytes, sector_bytes)
            )
        return found
    if backup is None:
        if not known:
            severity: Severity = "warning"
            what = "The backup partition table (GPT) is missing."
            hint = "The primary one is whole, and counts. Some makers, FreeBSD's among them, write no backup."
            if primary.alternate_lba >= sectors:
                what = (
                    f"The partition table (GPT) is made for {(primary.alternate_lba + 1) * sector_bytes} "
                    f"bytes, but there are {sectors * sector_bytes}."
                )
                severity, hint = "error", "The image may be truncated."
            found.append(Finding(severity, what, hint, end, sector_bytes))
    elif not primary.has_same_content(backup):
        what = "Primary and backup partition table (GPT) differ."
        found.append(Finding("warning", what, "A partitioning tool can repair it.", end, sector_bytes))
    elif backup.header_lba != sectors - 1:
        what = "The backup partition table (GPT) is not in the last sector."
        hint = "Expected on a stick that is larger than the image written to it; harmless."
        found.append(Finding("note", what, hint, backup.header_lba * sector_bytes, sector_bytes))
    for p in primary.partitions:
        if p.start_lba > p.end_lba or p.end_lba >= sectors:
            what = f"Partition {p.index} ({p.start_lba} to {p.end_lba}) does not lie on the disk."
            found.append(Finding("error", what, "The image may be truncated."))
    return found
