"""The system image into a slot: streamed, hashed as it passes, flushed, read back past the page cache.

What does not match the manifest is a matter of trust (6); what was written and reads back different is the
disk's fault (5).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mediakit.engine.manifest import SYSTEM_PATH, Manifest, ManifestFile
from mediakit.errors import DeviceError, RefusedError, TrustError
from mediakit.install.windows import Window
from mediakit.progress import Cancel, Event, Observer
from mediakit.units import MIB


class Image(Protocol):
    """What the install core needs of ``engine.image.EngineImage``."""

    @property
    def path(self) -> Path: ...
    @property
    def manifest(self) -> Manifest: ...
    @property
    def manifest_bytes(self) -> bytes: ...
    @property
    def signature_text(self) -> str | None: ...
    def read(self, path: str, limit: int = ...) -> bytes: ...
    def stream(self, path: str) -> Iterator[bytes]: ...
    def exists(self, path: str) -> bool: ...


class Meter:
    """Progress events for one phase, at most ten a second."""

    def __init__(self, observer: Observer, target: str, phase: str, total_bytes: int) -> None:
        self._observer, self._target, self._phase, self._total = observer, target, phase, total_bytes
        self._done = 0
        self._started = self._last = time.monotonic()
        observer(Event("phase", target, phase, total_bytes=total_bytes))

    def add(self, size: int) -> None:
        """``size`` more bytes are done."""
        self._done += size
        now = time.monotonic()
        if now - self._last >= 0.1 or self._done >= self._total:
            self._last = now
            speed = self._done / max(now - self._started, 1e-6)
            rest = max(0, self._total - self._done) / speed if speed else None
            self._observer(Event("progress", self._target, self._phase, self._done, self._total, speed, rest))


def read_checked(image: Image, path: str, limit: int = 64 * MIB) -> bytes:
    """A file of the image, held against the manifest; TrustError when it differs."""
    data = image.read(path, limit)
    entry = image.manifest.file(path)
    if len(data) != entry.size_bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _differs(path)
    return data


def check_image(image: Image, target: str, observer: Observer, cancel: Cancel) -> None:
    """Read the whole system image from the medium; TrustError unless every byte is the manifest's."""
    for _ in _checked(image, Meter(observer, target, "check", image.manifest.system.size_bytes), cancel):
        pass


def _checked(image: Image, meter: Meter, cancel: Cancel) -> Iterator[bytes]:
    """The system image's blocks; TrustError, at the latest at the end, unless they are the manifest's."""
    entry = image.manifest.system
    digest = hashlib.sha256()
    size = 0
    for block in image.stream(SYSTEM_PATH):
        cancel.check()
        size += len(block)
        if size > entry.size_bytes:
            raise _differs(SYSTEM_PATH)
        digest.update(block)
        yield block
        meter.add(len(block))
    if size != entry.size_bytes or digest.hexdigest() != entry.sha256:
        raise _differs(SYSTEM_PATH)


def write_slot(window: Window, image: Image, target: str, observer: Observer, cancel: Cancel) -> None:
    """Write the system image into the slot; TrustError unless every byte is the manifest's."""
    entry = image.manifest.system
    if entry.size_bytes > window.size_bytes:
        raise RefusedError(
            f"The new system needs {entry.size_bytes} bytes, the slot has {window.size_bytes}.",
            "Choose a fresh install: it makes larger slots.",
        )
    offset = 0
    for block in _checked(image, Meter(observer, target, "write", entry.size_bytes), cancel):
        window.write(offset, block)
        offset += len(block)
    window.flush()


def verify_slot(window: Window, entry: ManifestFile, target: str, observer: Observer, cancel: Cancel) -> None:
    """Read the slot back past the page cache; DeviceError unless it is what the manifest says."""
    meter = Meter(observer, target, "verify", entry.size_bytes)
    digest = hashlib.sha256()
    for offset in range(0, entry.size_bytes, MIB):
        cancel.check()
        block = window.read(offset, min(MIB, entry.size_bytes - offset))
        digest.update(block)
        meter.add(len(block))
    if digest.hexdigest() != entry.sha256:
        raise DeviceError(
            "The new system was written, and reads back different.",
            "The disk may be failing: replace it. The old system was not touched.",
        )


def is_slot_whole(window: Window, entry: ManifestFile) -> bool:
    """Whether the slot holds exactly the manifest's system image."""
    digest = hashlib.sha256()
    for offset in range(0, entry.size_bytes, MIB):
        digest.update(window.read(offset, min(MIB, entry.size_bytes - offset)))
    return digest.hexdigest() == entry.sha256


def _differs(path: str) -> TrustError:
    return TrustError(
        f"{path} on the medium is not what its signed manifest says.",
        "The medium is damaged or forged: check it (mediakit verify), or make it again.",
    )
