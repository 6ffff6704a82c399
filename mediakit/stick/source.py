"""The image to be written: opened, recognised, unpacked if compressed, read once for all sticks together.

A block that one stick has asked for is kept for the others; a stick that falls behind reads for itself.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from mediakit import run
from mediakit.block import ioctl
from mediakit.errors import DeviceError, SourceError
from mediakit.formats import gpt, mbr
from mediakit.formats.reader import file_reader, patched_reader
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Observer, ignore
from mediakit.units import MIB, SECTOR

if TYPE_CHECKING:
    from mediakit.stick.implants import Original

BLOCK_BYTES = MIB
DIGEST_BYTES = 4 * MIB
_KEPT_BLOCKS = 96
_COPY_AGAIN = "Copy or download it again."
_PACKED = {b"\xfd7zXZ\0": "xz", b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


class Watcher(Protocol):
    """Sees every byte of the image once, in order."""

    def update(self, offset: int, data: bytes) -> None: ...


@dataclass(frozen=True)
class Digests:
    """SHA-256 of the whole image, and of each 4 MiB of it."""

    sha256: str
    blocks: tuple[str, ...]


class Source:
    """An open image of a known size; ``path`` is where its bytes are, ``name`` what people call it.

    ``origin`` is the file that was named: the packed one, where ``path`` is what came out of it.
    """

    def __init__(self, descriptor: int, path: Path, origin: Path, size_bytes: int) -> None:
        self.path = path
        self.origin = origin
        self.name = origin.name
        self.size_bytes = size_bytes
        self.reader = file_reader(descriptor, size_bytes)
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next = 0
        self._whole = hashlib.sha256()
        self._part = hashlib.sha256()
        self._parts: list[str] = []
        self._seen: dict[int, bytes] = {}
        self.watchers: list[Watcher] = []
        self.implant: Original | None = None
        """The image's implanted MD5, for those who change its first MiB."""

    @property
    def block_count(self) -> int:
        return -(-self.size_bytes // BLOCK_BYTES)

    def lay_over(self, patches: list[tuple[int, bytes]]) -> None:
        """Read the image as if these bytes (offset, data) were in it; before its first block is asked for."""
        assert not self._kept, "the image was read already"
        if patches:
            self.reader = patched_reader(self.reader, patches)

    def block(self, index: int) -> bytes:
        """MiB ``index`` of the image (the last one may be shorter)."""
        with self._lock:
            data = self._kept.get(index)
            if data is None:
                data = self._kept[index] = self._same(index, self._read(index))
                while len(self._kept) > _KEPT_BLOCKS:
                    self._kept.popitem(last=False)
            if index == self._next:
                self._digest(index * BLOCK_BYTES, data)
            return data

    def digests(self) -> Digests:
        """The hashes; reads what no stick has asked for yet."""
        while self._next < self.block_count:
            self.block(self._next)
        with self._lock:
            last = [self._part.hexdigest()] if self.size_bytes % DIGEST_BYTES else []
            return Digests(self._whole.hexdigest(), (*self._parts, *last))

    def _same(self, index: int, data: bytes) -> bytes:
        """``data``, if it is what was read before: what was judged, written and compared is one thing."""
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if self._seen.setdefault(index, digest) != digest:
            raise SourceError(f"{self.name} changed while it was read, in MiB {index}.", "Write it again.")
        return data

    def _read(self, index: int) -> bytes:
        offset = index * BLOCK_BYTES
        try:
            return self.reader(offset, min(BLOCK_BYTES, self.size_bytes - offset))
        except DeviceError as error:
            raise SourceError(f"{self.name}: {error.message}", _COPY_AGAIN) from error

    def _digest(self, offset: int, data: bytes) -> None:
        self._next += 1
        self._whole.update(data)
        self._part.update(data)
        if (offset + len(data)) % DIGEST_BYTES == 0:
            self._parts.append(self._part.hexdigest())
            self._part = hashlib.sha256()
        for watcher in self.watchers:
            watcher.update(offset, data)


@contextmanager
def open_source(
    path: str | os.PathLike[str], observer: Observer = ignore, cancel: Cancel | None = None
) -> Iterator[Source]:
    """Open an image, compressed or not; SourceError unless it is an ISO or a disk image, and whole."""
    where = Path(path)
    with _opened(where) as stream:
        magic = stream.read(8)
        stream.seek(0)
        kind = next((word for start, word in _PACKED.items() if magic.startswith(start)), "")
        if not kind:
            yield _source(stream, where, where)
            return
        with tempfile.NamedTemporaryFile(dir="/var/tmp", prefix="mediakit-") as spool:
            _spool(stream, kind, spool, where.name, observer, cancel or Cancel())
            yield _source(spool, Path(spool.name), where)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Check the name.") from error
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or device"
        raise SourceError(f"{path} is {kind}, not an image.", "Name an ISO or disk image file.")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    with stream:
        yield stream


def _source(stream: IO[bytes], path: Path, origin: Path) -> Source:
    descriptor = stream.fileno()
    is_device = stat.S_ISBLK(os.fstat(descriptor).st_mode)
    size = ioctl.size_bytes(descriptor) if is_device else os.fstat(descriptor).st_size
    _recognise(descriptor, origin.name, size)
    return Source(descriptor, path, origin, size)


def _spool(
    stream: IO[bytes], kind: str, spool: IO[bytes], name: str, observer: Observer, cancel: Cancel
) -> None:
    observer(Event("phase", phase="unpack", message=f"Unpacking {name}"))
    try:
        if kind == "zst":
            os.lseek(stream.fileno(), 0, os.SEEK_SET)  # where the tool reads, behind our buffer's back
            run.run(["zstd", "-dcq"], stdin=stream, stdout=spool, timeout=3600)
        else:
            with lzma.open(stream) if kind == "xz" else gzip.open(stream) as unpacked:
                while data := unpacked.read(BLOCK_BYTES):
                    cancel.check()
                    spool.write(data)
        spool.flush()
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile, run.ToolError) as error:
        raise SourceError(f"{name} is damaged: {error}", _COPY_AGAIN) from error
    except OSError as error:
        raise DeviceError(
            f"Unpacking {name} into /var/tmp failed: {error.strerror or error}.", "Make room there."
        ) from error


def _recognise(descriptor: int, name: str, size: int) -> None:
    """SourceError unless these bytes are an ISO 9660 image or a disk image, and all there."""
    reader = file_reader(descriptor, size)
    not_an_image = SourceError(f"{name} is neither an ISO nor a disk image.", "Name an image file.")
    if size < 34 * SECTOR:
        raise not_an_image
    is_iso = size >= 34816 and reader(32769, 5) == b"CD001"
    table = gpt.read(reader, size, SECTOR)
    if is_iso and size > 34816:
        # ECMA-119 §8.4.8: volume space size, both byte orders, in logical blocks (§8.4.12)
        descriptor_bytes = reader(32768, 2048)
        blocks = int.from_bytes(descriptor_bytes[80:84], "little")
        volume = blocks * int.from_bytes(descriptor_bytes[128:130], "little")
        if volume > size:
            raise SourceError(f"{name} is truncated: {size} of {volume} bytes are there.", _COPY_AGAIN)
    if table.gpt is not None:
        end = max((p.end_lba + 1 for p in table.gpt.partitions), default=0) * SECTOR
        if end > size:
            raise SourceError(f"{name} is truncated: {size} of {end} bytes are there.", _COPY_AGAIN)
    sector = reader(0, SECTOR)
    has_mbr = mbr.has_signature(sector) and bool(mbr.parse(sector).partitions)
    if not (is_iso or has_mbr or table.is_present):
        raise not_an_image
