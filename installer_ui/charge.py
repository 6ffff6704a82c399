"""Which console is in charge: the installer runs on the screen and on the serial line, one works.

A lock (flock(2)) on a file under ``/run/engine`` that names the holder; the kernel lets go of it when the
holder dies. Another console asks the holder by SIGUSR1 to hand over, which it does until the work has begun.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

from mediakit.plain import dataclass

RUN = Path("/run/engine")
SIGNAL = signal.SIGUSR1


@dataclass(frozen=True)
class Holder:
    """Who is in charge; ``is_working`` once it cannot hand over any more."""

    pid: int
    tty: str
    is_working: bool


class Charge:
    """One console's view of the lock. Not in charge until ``take`` has said so."""

    def __init__(self, folder: Path = RUN, tty: str = "") -> None:
        self._path = folder / "charge.json"
        self._tty = tty
        self._fd: int | None = None

    @property
    def is_mine(self) -> bool:
        return self._fd is not None

    def take(self) -> bool:
        """Be in charge, unless another console is."""
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        self._write(is_working=False)
        return True

    def begin(self) -> None:
        """The work begins: from now on nobody takes over."""
        self._write(is_working=True)

    def end(self) -> None:
        """The work is over."""
        self._write(is_working=False)

    def release(self) -> None:
        """Hand over."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def holder(self) -> Holder | None:
        """The other console that is in charge, or None."""
        if self._fd is not None:
            return None
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _parse(os.pread(fd, 4096, 0))
        finally:
            os.close(fd)
        return None

    def ask(self) -> None:
        """Ask the holder to hand over; it decides."""
        holder = self.holder()
        if holder is not None and holder.pid > 1 and not holder.is_working:
            try:
                os.kill(holder.pid, SIGNAL)
            except ProcessLookupError:
                return

    def _write(self, *, is_working: bool) -> None:
        if self._fd is None:
            return
        document = {"pid": os.getpid(), "tty": self._tty, "is_working": is_working}
        data = json.dumps(document).encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, data, 0)


def _parse(data: bytes) -> Holder:
    """What the holder wrote; between its lock and its writing there may be nothing yet."""
    try:
        document = json.loads(data)
        return Holder(int(document["pid"]), str(document["tty"]), bool(document["is_working"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "", False)
