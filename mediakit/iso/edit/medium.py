"""What an edit writes to: a Protocol, and ordinary files. Devices come from the caller, who checked them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Protocol

from mediakit.errors import DeviceError, RefusedError
from mediakit.formats.reader import file_reader


class Medium(Protocol):
    """Offsets and sizes in bytes. What was written is durable after ``flush`` only."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes; FormatError or DeviceError past the end."""
        ...

    def write(self, offset: int, data: bytes) -> None: ...

    def flush(self) -> None: ...

    def resize(self, size_bytes: int) -> None:
        """Give a file another size (new bytes are zeros); on a device nothing happens within its size."""
        ...


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
