"""The block-device ioctls and the file lock, by number (linux/fs.h, linux/loop.h, fcntl(2)); here alone."""

from __future__ import annotations

import errno
import fcntl
import struct

_BLKGETSIZE64 = 0x80081272
_BLKSSZGET = 0x1268
_BLKROGET = 0x125E
_BLKRRPART = 0x125F
_BLKFLSBUF = 0x1261
_BLKGETDISKSEQ = 0x80081280
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_INFO_BYTES = 232
_FLOCK = "hh4xqqi4x"


def size_bytes(descriptor: int) -> int:
    """The device's size."""
    return int(struct.unpack("Q", fcntl.ioctl(descriptor, _BLKGETSIZE64, bytes(8)))[0])


def sector_bytes(descriptor: int) -> int:
    """The logical sector size: 512 or 4096."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, _BLKSSZGET, bytes(4)))[0])


def is_read_only(descriptor: int) -> bool:
    return bool(struct.unpack("i", fcntl.ioctl(descriptor, _BLKROGET, bytes(4)))[0])


def diskseq(descriptor: int) -> int:
    """The number the kernel gave this disk when it came (Linux 5.15 on); 0 where it counts none."""
    try:
        return int(struct.unpack("Q", fcntl.ioctl(descriptor, _BLKGETDISKSEQ, bytes(8)))[0])
    except OSError:
        return 0


def loop_backing(descriptor: int) -> tuple[int, int, int]:
    """A loop device's backing file: (st_dev, st_ino, st_rdev); the last is 0 unless it is a block device.

    OSError if nothing is attached (linux/loop.h, struct loop_info64).
    """
    info = fcntl.ioctl(descriptor, _LOOP_GET_STATUS64, bytes(_LOOP_INFO_BYTES))
    device, inode, real = struct.unpack_from("<3Q", info)
    return int(device), int(inode), int(real)


def drop_cache(descriptor: int) -> None:
    """Write back and forget the page cache of the device (needs CAP_SYS_ADMIN; else it stays)."""
    try:
        fcntl.ioctl(descriptor, _BLKFLSBUF)
    except PermissionError:
        pass


def reread_partitions(descriptor: int) -> bool:
    """Ask the kernel to read the partition table again; False where it would not."""
    try:
        fcntl.ioctl(descriptor, _BLKRRPART)
    except OSError:
        return False
    return True


def lock_file(descriptor: int) -> bool:
    """Take the whole file for ourselves (an OFD write lock, which QEMU respects and takes too).

    False when another program has any lock on it. Filesystems without locks give none, and True.
    """
    request = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in (errno.ENOLCK, errno.EINVAL, errno.ENOTSUP):
            raise
    return True
