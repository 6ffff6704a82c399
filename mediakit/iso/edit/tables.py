"""Partition tables of an image that grows: MBR, GPT and Apple map, each with its author's own habits kept.

A primary GPT is valid at every instant: the new backup is complete before the header, one sector, names it;
where entries change, a copy of the new array goes into the tail, the header is switched to it, the array in
its place is rewritten, and the header switched back. Sources: UEFI 2.10 §5.2, §5.3; Inside Macintosh:
Devices, “The Partition Map”; isohybrid (syslinux) and xorriso for whole cylinders.
"""

from __future__ import annotations

import struct
import zlib

from mediakit.errors import RefusedError
from mediakit.formats.gpt import Gpt
from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.formats.reader import Reader
from mediakit.iso.edit.draft import Draft, Phase, Tail
from mediakit.iso.edit.survey import Part, Survey
from mediakit.plain import dataclass
from mediakit.units import SECTOR, align_up, format_size

_GEOMETRIES = ((64, 32), (255, 63), (128, 32), (128, 63), (16, 63), (240, 63), (32, 63), (64, 63))
READ_AHEAD_BYTES = 32 << 10
"""GRUB reads discs by 64 sectors (GRUB_DISK_CACHE_SIZE): a piece that the end cuts it may not read at all."""
_MBR_ENTRIES, _ENTRY_BYTES = 446, 16
_APPLE_BLOCKS = (512, 2048)
MAX_MOVED_BYTES = 64 << 20
_MAKER = "Add the files with the program that made the image."


@dataclass(frozen=True)
class Move:
    """A partition that follows its contents to another place in the image."""

    old_start: int
    new_start: int
    size_bytes: int


@dataclass(frozen=True)
class Growth:
    """What the image needs behind its tail: ``image_end`` for the tables, ``new_size`` for the file."""

    image_end: int
    new_size: int


class Tables:
    """Plans all table changes of one edit."""

    def __init__(self, survey: Survey, reader: Reader, moves: tuple[Move, ...] = ()) -> None:
        self.survey = survey
        self.reader = reader
        self.moves = {move.old_start: move for move in moves}
        self.cylinder = self._cylinder()

    @property
    def needs_array(self) -> bool:
        """Whether entries of the GPT change, not its header alone."""
        return self.survey.gpt is not None and any(
            part.table == "gpt" and (self._follows(part) or part.start in self.moves)
            for part in self.survey.own
        )

    def array_bytes(self) -> int:
        assert self.survey.gpt is not None
        return align_up(self.survey.gpt.array_bytes, SECTOR)

    def blockers(self) -> tuple[Part, ...]:
        """The partitions that lie between one that is mounted by itself and the tail, which it must cover.

        They can move: behind the tail. RefusedError when they are too large for that.
        """
        ends = [part.end for part in self.survey.own if self._is_mountable(part) and self._is_blocked(part)]
        found = [
            part
            for part in self.survey.own
            if ends and part.start >= min(ends) and not _is_filler(part) and part.start not in self.moves
        ]
        if sum(part.end - part.start for part in found) > MAX_MOVED_BYTES:
            raise RefusedError(
                "A partition of the image is used by itself, and a large one lies directly behind it: "
                "what is appended would be out of its reach.",
                _MAKER,
            )
        return tuple(found)

    def move(self, part: Part, new_start: int) -> None:
        """From now on ``part`` lies at ``new_start``."""
        self.moves[part.start] = Move(part.start, new_start, part.end - part.start)

    def plan(self, draft: Draft, tail: Tail, tail_end: int, temporary: int) -> Growth:
        """Write everything to the draft; ``tail``, whose part in the volume ends at ``tail_end``, gets the
        backup GPT. ``temporary`` is the place for an array. RefusedError when there is no room."""
        growth = self._growth(tail.at)
        table = self.survey.gpt
        if table is not None:
            self._gpt(draft, tail, table, temporary, growth, tail_end)
        self._mbr(draft, growth, tail_end)
        self._apple(draft, tail_end, growth)
        return growth

    def _growth(self, tail_end: int) -> Growth:
        survey = self.survey
        end = tail_end
        if survey.backup_moves:
            end += self.array_bytes() + SECTOR
        image_end = align_up(end, self.cylinder or READ_AHEAD_BYTES)
        if survey.limit is None:
            return Growth(image_end, image_end)
        if image_end > survey.limit:
            missing = image_end - survey.limit
            raise RefusedError(
                f"There is no room behind the image on this medium: {format_size(missing)} are missing.",
                "Edit the image file and write the stick anew, or make the change smaller.",
            )
        return Growth(image_end, survey.size_bytes)

    def _is_mountable(self, part: Part) -> bool:
        """Whether a partition is an ISO 9660 filesystem by itself."""
        if part.end - part.start <= (FIRST_DESCRIPTOR + 1) * BLOCK:
            return False  # xorriso makes a partition of one sector to carry the active flag
        return any(volume.base * BLOCK == part.start for volume in self.survey.sets)

    def _covers_volume(self, part: Part) -> bool:
        """Whether a partition reaches from the image's first sectors to its end, as isohybrid's does."""
        slack = max(self.cylinder, 1 << 20)
        return part.start <= 64 * SECTOR and part.end + slack > self.survey.content_end

    def _is_blocked(self, part: Part) -> bool:
        others = [p for p in self.survey.own if p != part and not _is_filler(p) and p.start not in self.moves]
        return part.end < self.survey.content_end and any(p.start >= part.end for p in others)

    def _follows(self, part: Part) -> bool:
        """Whether the partition's end goes with the image's end."""
        if part.start in self.moves:
            return False
        return (self._is_mountable(part) or self._covers_volume(part)) and not self._is_blocked(part)

    def _new_end(self, part: Part, growth: Growth, tail_end: int) -> int:
        """Where the partition ends now: at the image's end, GPT's last usable sector, or the volume's."""
        table = self.survey.gpt
        if any(move.new_start >= tail_end for move in self.moves.values()):
            return max(part.end, tail_end)
        if table is not None and part.end == (table.last_usable_lba + 1) * SECTOR:
            if not self.survey.backup_moves:
                return tail_end
            return self._last_usable(table, growth) * SECTOR + SECTOR
        if part.end == self.survey.size_bytes or (self.cylinder and part.end % self.cylinder == 0):
            return growth.image_end
        return max(part.end, tail_end)

    def _last_usable(self, table: Gpt, growth: Growth) -> int:
        if not self.survey.backup_moves:
            return table.last_usable_lba
        return growth.image_end // SECTOR - 1 - (table.alternate_lba - table.last_usable_lba)

    # GPT

    def _gpt(
        self, draft: Draft, tail: Tail, table: Gpt, temporary: int, growth: Growth, tail_end: int
    ) -> None:
        old = self.reader(table.entries_lba * SECTOR, table.array_bytes)
        last = growth.image_end // SECTOR - 1 if self.survey.backup_moves else table.alternate_lba
        usable = self._last_usable(table, growth)
        if not 0 < usable <= last:
            raise RefusedError(
                f"The partition table (GPT) says that its last usable sector is {table.last_usable_lba}.",
                "Repair the table first (mediakit audit --fix).",
            )
        array = self._array(old, table, growth, tail_end)
        header = bytearray(self.reader(SECTOR, SECTOR))
        struct.pack_into("<Q", header, 32, last)
        struct.pack_into("<Q", header, 48, usable)
        struct.pack_into("<I", header, 88, zlib.crc32(array))
        home = _sealed(header)
        backup_array = last - self.array_bytes() // SECTOR
        backup = bytearray(home)
        struct.pack_into("<QQ", backup, 24, last, 1)
        struct.pack_into("<Q", backup, 72, backup_array)
        backup_bytes = array.ljust(self.array_bytes(), b"\0") + _sealed(backup)
        if self.survey.backup_moves:
            tail.put_raw(backup_array * SECTOR, backup_bytes, "backup partition table (GPT)")
        elif array != old:
            draft.write(Phase.PARENTS, backup_array * SECTOR, backup_bytes, "backup partition table (GPT)")
        if array == old:
            draft.write(Phase.TABLES, SECTOR, home, "partition table (GPT)")
            return
        struct.pack_into("<Q", header, 72, temporary // SECTOR)
        tail.put(temporary, len(array), array, "partition table (GPT): entries, for the switch")
        draft.write(Phase.TABLES, SECTOR, _sealed(header), "partition table (GPT)")
        draft.write(Phase.ARRAY, table.entries_lba * SECTOR, array, "partition table (GPT): entries")
        draft.write(Phase.ARRAY_USED, SECTOR, home, "partition table (GPT)")

    def _array(self, old: bytes, table: Gpt, growth: Growth, tail_end: int) -> bytes:
        array = bytearray(old)
        reach = [
            self._new_end(part, growth, tail_end)
            for part in self.survey.own
            if part.table == "gpt" and self._follows(part) and part.end < self.survey.content_end
        ]
        for part in self.survey.own:
            if part.table != "gpt":
                continue
            if _is_filler(part) and any(part.start < end for end in reach) and not self._follows(part):
                entry = (part.index - 1) * table.entry_bytes
                array[entry : entry + table.entry_bytes] = bytes(table.entry_bytes)
                continue
            at = (part.index - 1) * table.entry_bytes + 32
            move = self.moves.get(part.start)
            if move is not None:
                end = move.new_start + align_up(move.size_bytes, BLOCK)
                struct.pack_into("<QQ", array, at, move.new_start // SECTOR, end // SECTOR - 1)
            elif self._follows(part):
                struct.pack_into("<Q", array, at + 8, self._new_end(part, growth, tail_end) // SECTOR - 1)
        return bytes(array)

    # MBR

    def _mbr(self, draft: Draft, growth: Growth, tail_end: int) -> None:
        if self.survey.mbr is None:
            return
        sector = bytearray(self.reader(0, SECTOR))
        parts = {part.index: part for part in self.survey.own if part.table == "mbr"}
        for entry in self.survey.mbr.partitions:
            start, end = entry.start_lba, entry.start_lba + entry.sectors
            if entry.type == 0xEE:
                if end * SECTOR in (self.survey.size_bytes, self._old_image_end()):
                    total = growth.image_end if self.survey.backup_moves else self.survey.size_bytes
                    end = min(total // SECTOR, 0xFFFFFFFF)
            elif entry.index in parts:
                part = parts[entry.index]
                move = self.moves.get(part.start)
                if move is not None:
                    start = move.new_start // SECTOR
                    end = start + align_up(move.size_bytes, BLOCK) // SECTOR
                elif self._follows(part):
                    end = self._new_end(part, growth, tail_end) // SECTOR
            if (start, end) != (entry.start_lba, entry.start_lba + entry.sectors):
                _set_entry(sector, entry.index, start, end)
        if (
            sector[:2] == b"ER"
            and int.from_bytes(sector[4:8], "big") * int.from_bytes(sector[2:4], "big")
            == self.survey.size_bytes
        ):
            struct.pack_into(">I", sector, 4, growth.image_end // int.from_bytes(sector[2:4], "big"))
        draft.write(Phase.TABLES, 0, bytes(sector), "partition table (MBR)")

    def _old_image_end(self) -> int:
        table = self.survey.gpt
        return (table.alternate_lba + 1) * SECTOR if table else self.survey.content_end

    def _cylinder(self) -> int:
        """Bytes of a cylinder, where the ISO's partition ends at whole ones (isohybrid); else 0."""
        for entry in self.survey.mbr.partitions if self.survey.mbr else ():
            if entry.type == 0xEE or entry.start_lba > 64 or not entry.sectors or len(entry.end_chs) < 3:
                continue
            heads, sectors = entry.end_chs[0] + 1, entry.end_chs[1] & 63
            whole = heads * sectors
            if (heads, sectors) in _GEOMETRIES and (entry.start_lba + entry.sectors) % whole == 0:
                return whole * SECTOR
        return 0

    # Apple

    def _apple(self, draft: Draft, tail_end: int, growth: Growth) -> None:
        """Entries of an Apple map that follow the image's end or a moved image (both block sizes)."""
        for block in _APPLE_BLOCKS:
            for number in range(1, 64):
                where = number * block
                if where + SECTOR > min(self.survey.size_bytes, 32768):
                    break
                sector = bytearray(self.reader(where, SECTOR))
                if sector[:2] != b"PM" or number > int.from_bytes(sector[4:8], "big"):
                    break
                start, count = struct.unpack_from(">II", sector, 8)
                end = (start + count) * block
                move = self.moves.get(start * block)
                if move is not None:
                    count = align_up(move.size_bytes, BLOCK) // block
                    struct.pack_into(">II", sector, 8, move.new_start // block, count)
                    struct.pack_into(">I", sector, 84, count)
                elif end in (self.survey.size_bytes, self.survey.content_end) and start * block <= 32768:
                    count = growth.image_end // block - start
                    struct.pack_into(">I", sector, 12, count)
                    struct.pack_into(">I", sector, 84, count)
                draft.write(Phase.TABLES, where, bytes(sector), "partition map (Apple)")


def _is_filler(part: Part) -> bool:
    """xorriso fills the space between GPT partitions with ones of this name: nothing is in them."""
    return part.table == "gpt" and part.name.startswith("Gap")


def _sealed(header: bytearray) -> bytes:
    """A header with its checksum right."""
    size = int.from_bytes(header[12:16], "little")
    header[16:20] = bytes(4)
    struct.pack_into("<I", header, 16, zlib.crc32(header[:size]))
    return bytes(header)


def _set_entry(sector: bytearray, index: int, start: int, end: int) -> None:
    """Start, length and CHS of an MBR entry, in the geometry its author used."""
    at = _MBR_ENTRIES + (index - 1) * _ENTRY_BYTES
    old_start, old_count = struct.unpack_from("<II", sector, at + 8)
    old_end = bytes(sector[at + 5 : at + 8])
    geometry = next((g for g in _GEOMETRIES if _chs(old_start + max(old_count, 1) - 1, g) == old_end), None)
    if geometry is None and old_end != b"\xff\xff\xfe":
        heads, sectors = old_end[0] + 1, old_end[1] & 63
        geometry = (
            (heads, sectors) if sectors and (old_start + old_count) % (heads * sectors) == 0 else (255, 63)
        )
    struct.pack_into("<II", sector, at + 8, start, end - start)
    if old_end in (b"\xfe\xff\xff", b"\xff\xff\xff") or geometry is None:
        return  # its author said “look at the LBA”
    if start != old_start:
        sector[at + 1 : at + 4] = _chs(start, geometry)
    sector[at + 5 : at + 8] = _chs(end - 1, geometry)


def _chs(lba: int, geometry: tuple[int, int]) -> bytes:
    heads, sectors = geometry
    cylinder, rest = divmod(lba, heads * sectors)
    head, sector = divmod(rest, sectors)
    if cylinder > 1023:
        cylinder, head, sector = 1023, heads - 1, sectors - 1
    return bytes((head, sector + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))
