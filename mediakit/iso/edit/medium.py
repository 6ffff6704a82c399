"""What edits and repairs write to: Protocols, and ordinary files. Devices come from who checked them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

from mediakit.errors import DeviceError, FormatError, RefusedError
from mediakit.formats.reader import Reader, file_reader
from mediakit.units import SECTOR


class Writer(Protocol):
    """What keeps its size; opened by who knows that it is safe (``block.target.Target``)."""

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes; FormatError or DeviceError past the end."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """Durable only after ``flush``."""
        ...

    def flush(self) -> None: ...


class Medium(Writer, Protocol):
    """What can grow. Offsets and sizes in bytes."""

    @property
    def size_bytes(self) -> int: ...

    def resize(self, size_bytes: int) -> None:
        """Give a file another size (new bytes are zeros); on a device nothing happens within its size."""
        ...


class SketchMedium:
    """What a medium would hold: sectors that were written lie over ``reader``; nothing reaches a disk."""

    def __init__(self, reader: Reader, size_bytes: int) -> None:
        self._reader = reader
        self._under_bytes = size_bytes
        self.size_bytes = size_bytes
        self.sectors: dict[int, bytes] = {}

    def read(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise FormatError(
                f"Bytes {offset} to {offset + size} lie outside of the {self.size_bytes} there."
            )
        inside = max(0, min(offset + size, self._under_bytes) - offset)
        data = bytearray(self._reader(offset, inside) if inside else b"")
        data += bytes(size - len(data))
        first = offset // SECTOR * SECTOR
        touched = range(first, offset + size, SECTOR)
        known = self.sectors if len(self.sectors) < len(touched) else touched
        for at in known:
            sector = self.sectors.get(at)
            low, high = max(at, offset), min(at + SECTOR, offset + size)
            if sector is not None and low < high:
                data[low - offset : high - offset] = sector[low - at : high - at]
        return bytes(data)

    def write(self, offset: int, data: bytes) -> None:
        """Behind the end it grows, as files do."""
        first = offset // SECTOR * SECTOR
        end = offset + len(data)
        self.size_bytes = max(self.size_bytes, end)
        for at in range(first, end, SECTOR):
            low, high = max(at, offset), min(at + SECTOR, end)
            there = min(SECTOR, self.size_bytes - at)
            sector = bytearray(self.read(at, there).ljust(SECTOR, b"\0"))
            sector[low - at : high - at] = data[low - offset : high - offset]
            self.sectors[at] = bytes(sector)

    def flush(self) -> None:
        pass

    def resize(self, size_bytes: int) -> None:
        """What lay behind the new end reads as zeros if it grows again."""
        self._under_bytes = min(self._under_bytes, size_bytes)
        self.size_bytes = size_bytes
        self.sectors = {at: sector for at, sector in self.sectors.items() if at < size_bytes}

    def runs(self) -> list[tuple[int, bytes]]:
        """What was written, as (offset, bytes) of neighbouring sectors, none beyond the end."""
        found: list[tuple[int, bytearray]] = []
        for at in sorted(self.sectors):
            sector = self.sectors[at][: self.size_bytes - at]
            if found and found[-1][0] + len(found[-1][1]) == at:
                found[-1][1].extend(sector)
            else:
                found.append((at, bytearray(sector)))
        return [(at, bytes(data)) for at, data in found]


class FileMedium:
    """An image file, locked (flock) against other editors while it is open."""

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path = path
        flags = os.O_RDWR if writable else os.O_RDONLY
        try:
            self._descriptor = os.open(path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise RefusedError(
                f"{path} cannot be opened for writing: {error.strerror}.", "Check its permissions."
            ) from error
        if writable:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._descriptor)
                raise RefusedError(
                    f"{path} is being edited by another program.", "Wait for it to finish."
                ) from error

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        return file_reader(self._descriptor, self.size_bytes)(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self._descriptor, view, offset)
                offset, view = offset + done, view[done:]
        except OSError as error:
            raise DeviceError(
                f"Writing {self.path} at byte {offset} failed: {error.strerror}.", "Is the disk full?"
            ) from error

    def flush(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise DeviceError(f"Flushing {self.path} failed: {error.strerror}.") from error

    def resize(self, size_bytes: int) -> None:
        try:
            os.ftruncate(self._descriptor, size_bytes)
        except OSError as error:
            raise DeviceError(f"{self.path} cannot be resized: {error.strerror}.") from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> FileMedium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
