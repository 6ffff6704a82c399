"""One disk or file, opened for us alone, checked to be the one that was meant, read past the page cache.

Alignment is the target's worry, not the caller's: aligned blocks go straight through, edges are read and
rewritten. Threads may write different aligned blocks of one target at the same time.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mediakit.block import ioctl, sysfs
from mediakit.block.devices import Device, describe
from mediakit.errors import DeviceError, RefusedError, UsageError
from mediakit.formats.reader import Reader, sub_reader
from mediakit.units import MIB, SECTOR

BOUNCE_BYTES = 4 * MIB
_FILE_ALIGNMENT = 4096
_GONE = "The disk may have been pulled out, or is dying: look at its cable and at dmesg."


class Target:
    """Made by ``open_target``. Offsets and sizes in bytes; DeviceError names the byte where I/O failed."""

    def __init__(self, path: str, descriptor: int, device: Device, *, direct: bool, writable: bool) -> None:
        self.path = path
        self.device = device
        self.size_bytes = device.size_bytes
        self.sector_bytes = device.sector_bytes
        self.is_file = device.is_file
        self.is_direct = direct
        self._writable = writable
        self._descriptor = descriptor
        self._alignment = _FILE_ALIGNMENT if device.is_file else max(device.sector_bytes, SECTOR)
        self._local = threading.local()
        self._tail = self.size_bytes - self.size_bytes % self._alignment

    @property
    def reader(self) -> Reader:
        """This target, as large as it is now, as formats read it: past its end is FormatError."""
        return sub_reader(self.read, 0, self.size_bytes)

    def fileno(self) -> int:
        return self._descriptor

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from the medium itself."""
        self._check(offset, size, "read")
        parts = []
        while size:
            start = offset - offset % self._alignment
            length = min(BOUNCE_BYTES, -(-(offset + size - start) // self._alignment) * self._alignment)
            block = self._read_aligned(start, length)
            part = block[offset - start : offset - start + size]
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put ``data`` at ``offset``; durable only after ``flush``."""
        view = memoryview(data).cast("B")
        self._check(offset, len(view), "written")
        if not self._writable:
            raise UsageError(f"{self.path} was opened for reading only.")
        while len(view):
            room = BOUNCE_BYTES - offset % self._alignment
            part = view[:room]
            self._write_part(offset, part)
            offset += len(part)
            view = view[len(part) :]

    def zero(self, offset: int, size: int) -> None:
        """Write zeros."""
        zeros = memoryview(bytes(min(size, BOUNCE_BYTES)))
        while size:
            part = zeros[: min(size, BOUNCE_BYTES - offset % self._alignment)]
            self.write(offset, part)
            offset += len(part)
            size -= len(part)

    def flush(self) -> None:
        """Make what was written durable. Of a device the page cache forgets all; reading a file goes past it
        anyway, and to drop a large one from it takes longer than a small edit."""
        try:
            os.fdatasync(self._descriptor)
            if not self.is_file:
                ioctl.drop_cache(self._descriptor)
        except OSError as error:
            raise DeviceError(f"Flushing {self.path} failed: {error.strerror}.", _GONE) from error

    def resize(self, size_bytes: int) -> None:
        """Give a file another size; new bytes are zeros. A device keeps its own: DeviceError beyond it."""
        if not self.is_file:
            if size_bytes > self.size_bytes:
                raise DeviceError(f"{self.path} cannot grow to {size_bytes} bytes.", "Take a larger one.")
            return
        if not self._writable:
            raise UsageError(f"{self.path} was opened for reading only.")
        try:
            os.ftruncate(self._descriptor, size_bytes)
        except OSError as error:
            raise self._failed("Resizing", size_bytes, error) from error
        self.size_bytes = size_bytes
        self._tail = size_bytes - size_bytes % self._alignment

    def reread_partitions(self) -> bool:
        """Let the kernel see a new partition table; False where it would not (files, busy partitions)."""
        return not self.is_file and ioctl.reread_partitions(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _check(self, offset: int, size: int, verb: str) -> None:
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise DeviceError(
                f"Bytes {offset} to {offset + size} cannot be {verb}.",
                f"{self.path} has {self.size_bytes} bytes.",
            )

    def _bounce(self) -> mmap.mmap:
        """This thread's page-aligned buffer, which direct I/O needs (open(2), O_DIRECT)."""
        buffer: mmap.mmap | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = mmap.mmap(-1, BOUNCE_BYTES)
        return buffer

    def _read_aligned(self, start: int, length: int) -> bytes:
        """Aligned bytes from ``start``; fewer than ``length`` only at the end of the target."""
        buffer = self._bounce()
        wanted = min(length, self.size_bytes - start)
        length = -(-wanted // self._alignment) * self._alignment
        done = 0
        while done < wanted:
            try:
                if not self.is_direct:
                    os.posix_fadvise(self._descriptor, start + done, length - done, os.POSIX_FADV_DONTNEED)
                got = os.preadv(self._descriptor, [memoryview(buffer)[done:length]], start + done)
            except OSError as error:
                raise self._failed("Reading", start + done, error) from error
            if got == 0:
                raise DeviceError(f"{self.path} ends at byte {start + done}.", "It became smaller meanwhile.")
            done += got
        return buffer[:wanted]

    def _write_part(self, offset: int, data: memoryview) -> None:
        """At most one bounce buffer of data, whose edges may be unaligned."""
        start = offset - offset % self._alignment
        end = offset + len(data)
        stop = min(-(-end // self._alignment) * self._alignment, self.size_bytes)
        if start == offset and stop == end:
            self._bounce()[: len(data)] = data
        else:
            old = self._read_aligned(start, stop - start)
            self._bounce()[: len(old)] = old[: offset - start] + bytes(data) + old[end - start :]
        direct_end = min(stop, self._tail)
        if direct_end > start:
            self._write_aligned(start, memoryview(self._bounce())[: direct_end - start])
        if stop > self._tail:
            skip = max(0, self._tail - start)
            self._write_tail(max(start, self._tail), self._bounce()[skip : stop - start])

    def _write_aligned(self, start: int, view: memoryview) -> None:
        try:
            _write_all(self._descriptor, start, view)
        except OSError as error:
            raise self._failed("Writing", start, error) from error

    def _write_tail(self, start: int, data: bytes) -> None:
        """The last bytes of a file whose size is no multiple of 4096: not by direct I/O.

        The open file itself is opened again, not its name: another file may have that by now. It is one file
        to the kernel, so ``flush`` makes this durable too.
        """
        try:
            descriptor = os.open(f"/proc/self/fd/{self._descriptor}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                _write_all(descriptor, start, memoryview(data))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed("Writing", start, error) from error

    def _failed(self, verb: str, offset: int, error: OSError) -> DeviceError:
        hint = "Make room there." if error.errno == errno.ENOSPC else _GONE
        return DeviceError(f"{verb} {self.path} at byte {offset} failed: {error.strerror}.", hint)


@contextmanager
def open_target(
    path: str | os.PathLike[str],
    *,
    expected: Device | None = None,
    writable: bool = True,
    partition: bool = False,
) -> Iterator[Target]:
    """Open a disk or file. Writable: exclusively, only if it is safe and still the ``expected`` device.

    ``partition=True`` takes a partition that itself is in no use (the running Engine's other slot, its ESP).
    RefusedError when it is not safe, not the one, in use, or not permitted.
    """
    fresh = describe(path, with_contents=False)
    if writable:
        _refuse_unsafe(fresh, partition)
    descriptor, direct = _open(fresh, writable)
    try:
        if writable and fresh.is_file and not ioctl.lock_file(descriptor):
            raise RefusedError(
                f"{path} is in use by another program.", "Close it (a virtual machine?) first."
            )
        opened = _opened(fresh, descriptor)
        check_same(fresh, opened)
        if expected is not None:
            check_same(expected, opened)
        target = Target(fresh.path, descriptor, opened, direct=direct, writable=writable)
        yield target
    finally:
        os.close(descriptor)


def create_file(path: str | os.PathLike[str], size_bytes: int) -> Device:
    """A sparse file of ``size_bytes`` to be used as a disk; RefusedError if one is there already."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise RefusedError(
            f"{path} is there already.", "Leave out --size to write to it as it is."
        ) from error
    except OSError as error:
        raise RefusedError(f"{path} cannot be made: {error.strerror}.", "Choose another place.") from error
    try:
        os.ftruncate(descriptor, size_bytes)
    except OSError as error:
        Path(path).unlink(missing_ok=True)
        raise RefusedError(
            f"{path} cannot be {size_bytes} bytes large: {error.strerror}.", "Choose another place or size."
        ) from error
    finally:
        os.close(descriptor)
    return describe(path, with_contents=False)


def check_same(expected: Device, opened: Device) -> None:
    """RefusedError unless the opened disk is the one that was confirmed (law 2)."""
    pairs = (
        ("serial", expected.serial, opened.serial),
        ("size", expected.size_bytes, opened.size_bytes),
        ("sequence number", expected.diskseq, opened.diskseq),
        ("place in the machine", expected.sysfs_path, opened.sysfs_path),
        ("number", expected.number, opened.number),
    )
    for name, before, now in pairs:
        if before != now:
            raise RefusedError(
                f"{opened.path} is not the disk that was confirmed: its {name} was {before}, and is {now}.",
                "Disks were changed meanwhile. Start again.",
            )


def _write_all(descriptor: int, start: int, view: memoryview) -> None:
    """All of ``view``; OSError, never a loop, where the kernel takes nothing."""
    while len(view):
        put = os.pwrite(descriptor, view, start)
        if put <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        start += put
        view = view[put:]


def _refuse_unsafe(device: Device, partition: bool) -> None:
    if device.allowed or (partition and device.is_partition and device.is_unused):
        return
    raise RefusedError(device.reason, device.hint)


def _open(device: Device, writable: bool) -> tuple[int, bool]:
    flags = os.O_CLOEXEC | (os.O_RDWR if writable else os.O_RDONLY)
    if writable and not device.is_file:
        flags |= os.O_EXCL  # no fallback to a shared open
    try:
        return os.open(device.path, flags | os.O_DIRECT), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _not_opened(device, error) from error
    try:
        return os.open(device.path, flags), False
    except OSError as error:
        raise _not_opened(device, error) from error


def _not_opened(device: Device, error: OSError) -> RefusedError | DeviceError:
    if error.errno == errno.EBUSY:
        return RefusedError(
            f"{device.path} is in use by another program or the kernel.", "Unmount it or stop that program."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return RefusedError(f"{device.path} may not be opened by you.", "Use sudo.")
    if error.errno == errno.EROFS:
        return RefusedError(f"{device.path} is read-only.", "Look for a write-protect switch.")
    return DeviceError(f"{device.path} cannot be opened: {error.strerror}.", _GONE)


def _opened(fresh: Device, descriptor: int) -> Device:
    """The device as the open descriptor itself tells it, not as its name does."""
    status = os.fstat(descriptor)
    if fresh.is_file:
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{fresh.path} is no ordinary file any more.", "Start again.")
        return replace(fresh, size_bytes=status.st_size, number=f"{status.st_dev}:{status.st_ino}")
    if not stat.S_ISBLK(status.st_mode):
        raise RefusedError(f"{fresh.path} is no disk any more.", "Start again.")
    node = sysfs.directory(status.st_rdev)
    if node is None:
        raise RefusedError(f"{fresh.path} has gone.", "Start again.")
    return replace(
        fresh,
        size_bytes=ioctl.size_bytes(descriptor),
        sector_bytes=ioctl.sector_bytes(descriptor),
        diskseq=ioctl.diskseq(descriptor) or fresh.diskseq,
        sysfs_path=str(node),
        number=f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}",
    )
