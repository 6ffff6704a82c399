"""``newc`` cpio archives (Linux ``Documentation/driver-api/early-userspace/buffer-format.rst``). Pure.

The same bytes for the same entries: owner root, no times, inode numbers in order.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from mediakit.plain import dataclass

_MAGIC = b"070701"


@dataclass(frozen=True)
class Entry:
    """One file, folder, link or device node; ``path`` has no leading slash, ``mode`` its type bits."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, stat.S_IFREG | mode, data)


def link(path: str, target: str) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def node(path: str, major: int, minor: int) -> Entry:
    """A character device."""
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """``entries`` by path, every parent folder in front of what it holds."""
    known = {entry.path: entry for entry in entries}
    for path in list(known):
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            parent = "/".join(parts[:count])
            known.setdefault(parent, folder(parent))
    return [known[path] for path in sorted(known)]


def build(entries: Iterable[Entry]) -> bytes:
    """The archive with its trailer, padded to 512 bytes."""
    out = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.path.encode() + b"\0"
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        fields = (number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        out += _MAGIC + b"".join(b"%08x" % value for value in fields) + name
        out += b"\0" * (-len(out) % 4) + entry.data
        out += b"\0" * (-len(out) % 4)
    return bytes(out + b"\0" * (-len(out) % 512))
