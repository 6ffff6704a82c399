"""The one exception tree. Libraries raise it; only ``cli`` and ``__main__`` modules print it and exit.

::

    MediakitError             status 5   (an effect failed: I/O, read-back)
    ├── UsageError            status 2   what was asked makes no sense, or is not enough to act on
    ├── SourceError           status 3   unreadable, truncated, or not what it should be
    │   └── FormatError       status 3   bytes that break the format's standard
    ├── RefusedError          status 4   not safe, not allowed, too small, in use
    ├── DeviceError           status 5   I/O failed, or what was read back differs
    ├── TrustError            status 6   signature or payload cannot be trusted
    ├── MissingToolError      status 7   a system tool or package is missing (named)
    └── CancelledError        status 130

Every error says *what happened* (``message``) and *what to do* (``hint``), as sentences for people.
"""

from __future__ import annotations


class MediakitError(Exception):
    """Base of everything mediakit raises on purpose; ``exit_status`` is the documented process status."""

    exit_status = 5

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(MediakitError):
    exit_status = 2


class SourceError(MediakitError):
    exit_status = 3


class FormatError(SourceError):
    """Bytes that are not what the format's standard says."""


class RefusedError(MediakitError):
    exit_status = 4


class DeviceError(MediakitError):
    exit_status = 5


class TrustError(MediakitError):
    exit_status = 6


class MissingToolError(MediakitError):
    exit_status = 7


class CancelledError(MediakitError):
    exit_status = 130

    def __init__(self, message: str = "Cancelled.", hint: str = "") -> None:
        super().__init__(message, hint)
