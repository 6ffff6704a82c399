"""Rock Ridge: POSIX names and kinds in the system use area of directory records. Pure.

Sources: SUSP 1.12 (IEEE P1281: ``SP CE ST``) and RRIP 1.12 (IEEE P1282: ``NM SL PX CL RE``); ``ZF`` is zisofs
(``formats.zisofs``). Continuation areas are followed a bounded number of times, as Linux does: they can be
made to loop. One never leaves its block (SUSP §5.1).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator

from mediakit.errors import FormatError
from mediakit.formats import zisofs
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

MAX_CONTINUATIONS = 32
MAX_NAME_BYTES = 4096


@dataclass(frozen=True, slots=True)
class RockRidge:
    """What Rock Ridge says of one record; ``child_lba`` is where a relocated directory really is (CL).

    ``modified`` is TF's time of the last change, raw (7 or 17 bytes: ``iso9660.moment_seconds``).
    ``uncompressed_bytes`` is None for a zisofs file too, if it is compressed in an unknown way.
    """

    name: str | None = None
    mode: int | None = None
    symlink: str | None = None
    child_lba: int | None = None
    is_relocated: bool = False
    is_zisofs: bool = False
    uncompressed_bytes: int | None = None
    has_continuation: bool = False
    modified: bytes = b""

    @property
    def is_symlink(self) -> bool:
        return self.symlink is not None or (self.mode is not None and stat.S_ISLNK(self.mode))

    @property
    def is_special(self) -> bool:
        """A device node, socket or pipe."""
        return self.mode is not None and not (
            stat.S_ISREG(self.mode) or stat.S_ISDIR(self.mode) or stat.S_ISLNK(self.mode)
        )


def find_skip(root_system_use: bytes) -> int | None:
    """Bytes to skip in every system use area (the root's SP entry); None where there is no SUSP.

    XA discs put 14 bytes of their own before it (SUSP §5.3).
    """
    for start in (0, 14):
        entry = root_system_use[start : start + 7]
        if entry[:2] == b"SP" and len(entry) == 7 and entry[4:6] == b"\xbe\xef":
            return entry[6]
    return None


def parse(system_use: bytes, skip: int, reader: Reader) -> RockRidge:
    """The entries of one record's system use area, continuation areas included."""
    name, target = bytearray(), bytearray()
    has_name = continues = False
    mode = child = uncompressed = None
    modified = b""
    symlink = relocated = compressed = continued = False
    for tag, body in _entries(system_use[skip:], reader):
        if tag == b"NM" and body:
            has_name = True
            name += {2: b".", 4: b".."}.get(body[0] & 6, body[1:])
        elif tag == b"SL" and body:
            symlink = True
            continues = _add_target(target, body[1:], continues)
        elif tag == b"PX" and len(body) >= 4:
            mode = struct.unpack_from("<I", body)[0]
        elif tag == b"CL" and len(body) >= 4:
            child = struct.unpack_from("<I", body)[0]
        elif tag == b"TF" and body:
            modified = _modified(body) or modified
        elif tag == b"RE":
            relocated = True
        elif tag == b"ZF":
            compressed = True
            uncompressed = zisofs.uncompressed_bytes(body)
        elif tag == b"CE":
            continued = True
        if len(name) > MAX_NAME_BYTES or len(target) > MAX_NAME_BYTES:
            raise FormatError("A Rock Ridge name is absurdly long.")
    return RockRidge(
        name=name.decode("utf-8", "surrogateescape") if has_name else None,
        mode=mode,
        symlink=target.decode("utf-8", "surrogateescape") if symlink else None,
        child_lba=child,
        is_relocated=relocated,
        is_zisofs=compressed,
        uncompressed_bytes=uncompressed,
        has_continuation=continued,
        modified=modified,
    )


def _entries(area: bytes, reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """Tag and body of each entry, CE included and followed."""
    seen: set[tuple[int, int]] = set()
    while True:
        following = None
        for tag, body in _area(area):
            if tag == b"CE" and len(body) >= 24:
                block, offset, length = (struct.unpack_from("<I", body, at)[0] for at in (0, 8, 16))
                following = (block * BLOCK + offset, length)
            yield tag, body
        if following is None:
            return
        is_inside = following[0] % BLOCK + following[1] <= BLOCK
        if following in seen or len(seen) >= MAX_CONTINUATIONS or not is_inside:
            raise FormatError("A Rock Ridge continuation loops or is absurdly long.")
        seen.add(following)
        area = reader(*following)


def _area(area: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 4 <= len(area):
        tag, length = area[at : at + 2], area[at + 2]
        if length < 4 or at + length > len(area) or tag == b"ST":
            return
        yield tag, area[at + 4 : at + length]
        at += length


def _modified(body: bytes) -> bytes:
    """The modification time of a TF entry (RRIP §4.1.6): it follows the creation time, if that is there."""
    flags, size = body[0], 17 if body[0] & 0x80 else 7
    start = 1 + size * (flags & 1)
    return body[start : start + size] if flags & 2 and len(body) >= start + size else b""


def _add_target(target: bytearray, components: bytes, continues: bool) -> bool:
    """Add the components of one SL entry (RRIP §4.1.3.1); returns whether the last one goes on."""
    at = 0
    while at + 2 <= len(components):
        flags, length = components[at], components[at + 1]
        text = components[at + 2 : at + 2 + length]
        if target and not continues and not target.endswith(b"/"):
            target += b"/"
        if flags & 8:
            target[:] = b"/"
        else:
            target += {2: b".", 4: b".."}.get(flags & 6, text)
        continues = bool(flags & 1)
        at += 2 + length
    return continues
