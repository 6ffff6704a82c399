"""Superblocks: which filesystem or volume member some bytes begin with, with label and UUID. Pure.

Names are libblkid's. Each probe cites where its magic comes from; checksums are not judged here.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from itertools import pairwise

from mediakit.errors import FormatError
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Found:
    """What a probe recognised."""

    kind: str
    label: str = ""
    uuid: str = ""


Probe = Callable[[bytes, Reader], Found | None]
_HEAD_BYTES = 0x11000


def probe(reader: Reader, size_bytes: int) -> Found | None:
    """What the ``size_bytes`` of ``reader`` hold, the first probe that fits; None for nothing known.

    Containers come before filesystems, as an old filesystem's magic may survive inside their space.
    """
    head = reader(0, min(_HEAD_BYTES, size_bytes)).ljust(_HEAD_BYTES, b"\0")

    def near(offset: int, size: int) -> bytes:
        return head[offset : offset + size] if offset + size <= _HEAD_BYTES else _far(reader, offset, size)

    for candidate in (*_PROBES, _md_end(size_bytes)):
        found = candidate(head, near)
        if found is not None:
            return found
    return None


def _far(reader: Reader, offset: int, size: int) -> bytes:
    try:
        return reader(offset, size)
    except FormatError:
        return bytes(size)


def _text(data: bytes, encoding: str = "utf-8") -> str:
    return data.decode(encoding, "replace").split("\0", 1)[0].rstrip()


def _luks(head: bytes, _read: Reader) -> Found | None:
    """LUKS1 on-disk format §2.1, LUKS2 §3.1: magic, version, label at 24 (2), UUID at 168."""
    if head[:6] != b"LUKS\xba\xbe":
        return None
    label = _text(head[24:72]) if head[6:8] == b"\0\2" else ""
    return Found("crypto_LUKS", label, _text(head[168:208]))


def _bitlocker(head: bytes, _read: Reader) -> Found | None:
    """The OEM name of a BitLocker volume's boot sector."""
    return Found("BitLocker") if head[3:11] in (b"-FVE-FS-",) else None


def _lvm(head: bytes, _read: Reader) -> Found | None:
    """A PV label in one of the first four sectors (lib/format_text/layout.h)."""
    for sector in range(4):
        start = sector * 512
        if head[start : start + 8] == b"LABELONE" and head[start + 24 : start + 32] == b"LVM2 001":
            raw = head[start + 32 : start + 64].decode("ascii", "replace")
            cuts = (0, 6, 10, 14, 18, 22, 26, 32)
            return Found("LVM2_member", "", "-".join(raw[a:b] for a, b in pairwise(cuts)))
    return None


def _md(head: bytes, _read: Reader) -> Found | None:
    """md 1.1 (at 0) and 1.2 (at 4096) superblocks (linux/raid/md_p.h)."""
    for start in (0, 4096):
        if head[start : start + 8] == b"\xfc\x4e\x2b\xa9\x01\0\0\0":
            return _md_found(head[start : start + 64])
    return None


def _md_end(size_bytes: int) -> Probe:
    """md 1.0 lies 8 KiB before the end, 0.90 at the last 64 KiB boundary but one."""

    def check(_head: bytes, read: Reader) -> Found | None:
        one = (size_bytes // 512 - 16) // 8 * 8 * 512
        if one > 0 and read(one, 8) == b"\xfc\x4e\x2b\xa9\x01\0\0\0":
            return _md_found(read(one, 64))
        old = size_bytes // 65536 * 65536 - 65536
        if old > 0 and read(old, 4) == b"\xfc\x4e\x2b\xa9":
            return Found("linux_raid_member")
        return None

    return check


def _md_found(block: bytes) -> Found:
    return Found("linux_raid_member", _text(block[32:64]), str(uuid.UUID(bytes=bytes(block[16:32]))))


def _ntfs(head: bytes, _read: Reader) -> Found | None:
    """OEM name of NTFS's boot sector; serial at 72."""
    if head[3:11] != b"NTFS    ":
        return None
    return Found("ntfs", "", f"{struct.unpack_from('<Q', head, 72)[0]:016X}")


def _refs(head: bytes, _read: Reader) -> Found | None:
    return Found("ReFS") if head[3:11] == b"ReFS\0\0\0\0" else None


def _exfat(head: bytes, _read: Reader) -> Found | None:
    """exFAT specification §3.1; serial at 100. The label is a directory entry (§7.3) of the root."""
    if head[3:11] != b"EXFAT   ":
        return None
    heap, root = struct.unpack_from("<I", head, 88)[0], struct.unpack_from("<I", head, 96)[0]
    sector, cluster = head[108], head[109]
    serial = struct.unpack_from("<I", head, 100)[0]
    label = ""
    if 9 <= sector <= 12 and cluster <= 16 and root >= 2:
        entries = _read((heap + ((root - 2) << cluster)) << sector, 512)
        for start in range(0, 512, 32):
            if entries[start] == 0x83:
                count = min(entries[start + 1], 11)
                label = _text(entries[start + 2 : start + 2 + count * 2], "utf-16-le")
    return Found("exfat", label, _serial(serial))


def _vfat(head: bytes, read: Reader) -> Found | None:
    """Microsoft FAT specification 1.03: sane BPB, and the type's text or FAT32's zeros."""
    if head[510:512] != b"\x55\xaa" or head[0] not in (0xEB, 0xE9):
        return None
    sector, cluster, reserved, fats = struct.unpack_from("<HBHB", head, 11)
    if sector not in (512, 1024, 2048, 4096) or not cluster or cluster & (cluster - 1):
        return None
    if not reserved or fats not in (1, 2):
        return None
    wide = struct.unpack_from("<H", head, 22)[0] == 0
    base = 67 if wide else 39
    if not wide and head[54:57] != b"FAT":
        return None
    label = _fat_root_label(head, read, wide) or _text(head[base + 4 : base + 15], "cp437")
    return Found(
        "vfat", "" if label == "NO NAME" else label, _serial(struct.unpack_from("<I", head, base)[0])
    )


def _fat_root_label(head: bytes, read: Reader, wide: bool) -> str:
    sector, cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", head, 11)
    size = struct.unpack_from("<I" if wide else "<H", head, 36 if wide else 22)[0]
    start = (reserved + fats * size) * sector
    length = entries * 32
    if wide:
        start += (struct.unpack_from("<I", head, 44)[0] - 2) * cluster * sector
        length = cluster * sector
    if start < 0:
        return ""
    table = read(start, min(length, 16384))
    for at in range(0, len(table) - 31, 32):
        if table[at] == 0:
            break
        if table[at] != 0xE5 and table[at + 11] & 0x3F == 0x08:
            return _text(table[at : at + 11], "cp437")
    return ""


def _serial(value: int) -> str:
    return f"{value >> 16:04X}-{value & 0xFFFF:04X}"


def _ext(head: bytes, _read: Reader) -> Found | None:
    """ext4's superblock at 1024 (Documentation/filesystems/ext4/super.rst)."""
    if head[1080:1082] != b"\x53\xef":
        return None
    compatible, incompatible, read_only = struct.unpack_from("<III", head, 1024 + 92)
    if incompatible & 0x8:
        kind = "jbd"
    elif incompatible & ~0x16 or read_only & ~0x7:
        kind = "ext4"
    else:
        kind = "ext3" if compatible & 0x4 else "ext2"
    return Found(kind, _text(head[1144:1160]), str(uuid.UUID(bytes=head[1128:1144])))


def _xfs(head: bytes, _read: Reader) -> Found | None:
    """xfs_sb (XFS Algorithms and Data Structures §13)."""
    if head[:4] != b"XFSB":
        return None
    return Found("xfs", _text(head[108:120]), str(uuid.UUID(bytes=head[32:48])))


def _btrfs(head: bytes, _read: Reader) -> Found | None:
    """btrfs superblock at 64 KiB (btrfs_tree.h)."""
    block = head[0x10000:0x11000]
    if block[64:72] != b"_BHRfS_M":
        return None
    return Found("btrfs", _text(block[299:555]), str(uuid.UUID(bytes=block[32:48])))


def _swap(head: bytes, _read: Reader) -> Found | None:
    """linux/swap.h, 4 KiB pages; a hibernation image leaves S1SUSPEND there."""
    mark = head[4086:4096]
    if mark in (b"SWAPSPACE2", b"SWAP-SPACE"):
        return Found("swap", _text(head[1052:1068]), str(uuid.UUID(bytes=head[1036:1052])))
    if mark[:9] in (b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND") or mark == b"LINHIB0001":
        return Found("swsuspend", _text(head[1052:1068]), str(uuid.UUID(bytes=head[1036:1052])))
    return None


def _squashfs(head: bytes, _read: Reader) -> Found | None:
    return Found("squashfs") if head[:4] == b"hsqs" else None


def _erofs(head: bytes, _read: Reader) -> Found | None:
    return Found("erofs", _text(head[1088:1104])) if head[1024:1028] == b"\xe2\xe1\xf5\xe0" else None


def _apfs(head: bytes, _read: Reader) -> Found | None:
    """Apple File System Reference, nx_superblock_t."""
    return Found("apfs", "", str(uuid.UUID(bytes=head[72:88]))) if head[32:36] == b"NXSB" else None


def _hfs(head: bytes, _read: Reader) -> Found | None:
    """Technical Note TN1150: H+ or HX at 1024."""
    return Found("hfsplus") if head[1024:1026] in (b"H+", b"HX") else None


def _iso9660(head: bytes, read: Reader) -> Found | None:
    """ECMA-119 §8.4 (volume identifier at 40), ECMA-167 2/9.1 for UDF's recognition sequence."""
    recognition = [read(32768 + 2048 * number, 6)[1:6] for number in range(16)]
    is_iso = recognition[0] == b"CD001"
    if any(mark in (b"NSR02", b"NSR03") for mark in recognition) and read(256 * 2048, 2) == b"\x02\0":
        return Found("udf", _text(head[32808:32840], "ascii") if is_iso else "")
    if not is_iso:
        return None
    date = head[33581:33597]  # modification, else creation (§8.4.27, §8.4.26)
    if not date.strip(b"0\0"):
        date = head[33581 - 17 : 33581 - 1]
    text = date.decode("ascii", "replace")
    stamp = "-".join((text[:4], *(text[at : at + 2] for at in range(4, 16, 2)))) if date.isdigit() else ""
    return Found("iso9660", _text(head[32808:32840], "ascii"), stamp)


_PROBES: tuple[Probe, ...] = (
    _luks,
    _lvm,
    _md,
    _bitlocker,
    _ntfs,
    _refs,
    _exfat,
    _ext,
    _xfs,
    _btrfs,
    _squashfs,
    _erofs,
    _swap,
    _apfs,
    _hfs,
    _iso9660,
    _vfat,
)
