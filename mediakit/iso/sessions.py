"""Sessions of an image: several ISO 9660 filesystems, each of which adds to the one before. Reads only.

ECMA-119 knows volumes, not sessions: which one counts is said by the disc's table of contents, which a file
does not have. Linux asks the drive (``isofs_get_last_session``) and takes block 16 where there is none to
ask; so does everything that boots from a file or a stick. So here: block 16 for files and sticks, the drive's
last session for discs. xorriso, when it adds to a file, puts the last session's descriptors into block 16 and
keeps the first one's own in block 48; sessions of a disc that were copied one behind the other leave the
first one's in block 16.
"""

from __future__ import annotations

import struct

from mediakit.errors import FormatError
from mediakit.formats import iso9660
from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass
from mediakit.units import align_up

MAX_SESSIONS = 99  # a CD's table of contents has room for no more
FIRST_OF_FILE = 32
_STEP_BLOCKS, _SEARCHED_STEPS = (
    16,
    64,
)  # sessions start at multiples of 16 wherever software chooses the place
_CD_GAPS = (
    0,
    150,
    6900,
    11400,
)  # post-gap of a track; lead-out and lead-in behind later and the first sessions
CDROM_MULTISESSION = 0x5310
_CDROM_LBA = 0x01


@dataclass(frozen=True)
class Sessions:
    """Start blocks, oldest first. ``shown`` is the index of the one whose tree is read."""

    starts: tuple[int, ...]
    shown: int

    @property
    def are_several(self) -> bool:
        return len(self.starts) > 1


def find(reader: Reader, size_bytes: int, start: int = 0) -> Sessions:
    """The sessions of an image whose tree was read through the descriptors behind block ``start``."""
    if start:  # a drive says where its last session is; the first one is at 0
        return Sessions((0, start), 1)
    grown = _follow(reader, size_bytes, FIRST_OF_FILE)
    if grown:
        return Sessions(tuple(grown), len(grown) - 1)
    return Sessions(tuple(_follow(reader, size_bytes, 0)) or (0,), 0)


def last_session_of_drive(descriptor: int) -> int:
    """Where the last session of the disc in an optical drive starts, in blocks; 0 for all else."""
    import fcntl

    # struct cdrom_multisession: a union of 4 bytes, then xa_flag and addr_format (linux/cdrom.h)
    request = struct.pack("=iBB2x", 0, 0, _CDROM_LBA)
    try:
        answer = fcntl.ioctl(descriptor, CDROM_MULTISESSION, request)
    except OSError:
        return 0
    start, is_xa, _ = struct.unpack("=iBB2x", answer)
    return int(start) if is_xa and start > 0 else 0


def _follow(reader: Reader, size_bytes: int, start: int) -> list[int]:
    """The chain of sessions from block ``start`` on; empty if none begins there."""
    found: list[int] = []
    following: int | None = start
    while following is not None and len(found) < MAX_SESSIONS:
        blocks = _session_blocks(reader, size_bytes, following)
        if blocks is None:
            break
        found.append(following)
        # the size counts from the session's start (xorriso) or from the disc's (mkisofs)
        candidates: set[int] = set()
        for end in (following + blocks, max(blocks, following + 1)):
            first = align_up(end, _STEP_BLOCKS)
            candidates |= set(range(first, first + _SEARCHED_STEPS * _STEP_BLOCKS, _STEP_BLOCKS))
            candidates |= {end + gap for gap in _CD_GAPS}
        following = next(
            (c for c in sorted(candidates) if _session_blocks(reader, size_bytes, c) is not None), None
        )
    return found


def _session_blocks(reader: Reader, size_bytes: int, start: int) -> int | None:
    """The size of the session that begins at ``start``; None if none does.

    A descriptor alone is not enough: a second one for a partition (``-partition_offset``) counts its blocks
    from there. A session's root directory lies behind its start and says so itself.
    """
    lba = start + FIRST_DESCRIPTOR
    if not iso9660.has_descriptor(reader, size_bytes, lba):
        return None
    try:
        volume = iso9660.parse_volume(reader(lba * BLOCK, BLOCK), lba)
        root = volume.root.lba
        if root < start or (root + 1) * BLOCK > size_bytes:
            return None
        own = iso9660.parse_record(reader(root * BLOCK, BLOCK), 0)
    except FormatError:
        return None
    is_own = own is not None and own.name == b"\0" and own.lba == root
    return volume.space_blocks if is_own else None
