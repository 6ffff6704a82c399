"""An Engine medium, opened: its manifest, its signature, its files. Reads only, trusts nothing by itself.

``open_engine`` takes an ISO file, a device with it, or the folder where it is mounted
(``/run/engine/medium``). Ask ``check_signature`` before you believe ``manifest``, and ``read_checked`` or
``stream_checked`` for bytes that are held against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from types import TracebackType

from mediakit.engine import keys, manifest, signature
from mediakit.engine.manifest import Manifest
from mediakit.engine.signature import PublicKey, SignatureCheck
from mediakit.engine.sources import Source, open_source
from mediakit.errors import MediakitError, SourceError, TrustError
from mediakit.units import MIB


class EngineImage(AbstractContextManager["EngineImage"]):
    """One Engine medium; a context manager."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.manifest_bytes = self.read(manifest.PATH, manifest.MAX_BYTES)

    @property
    def path(self) -> Path:
        return self.source.path

    @cached_property
    def manifest(self) -> Manifest:
        """The parsed manifest; FormatError if it is none."""
        return manifest.parse(self.manifest_bytes)

    @cached_property
    def signature_text(self) -> str | None:
        """The detached signature as it lies there; None if there is none."""
        if not self.exists(manifest.SIGNATURE_PATH):
            return None
        return self.read(manifest.SIGNATURE_PATH, signature.MAX_TEXT).decode("utf-8", "replace")

    def check_signature(self, trusted: Iterable[PublicKey] | None = None) -> SignatureCheck:
        """The manifest's signature against ``trusted`` keys (by default the built-in ones)."""
        return signature.check(
            self.manifest_bytes, self.signature_text, keys.built_in() if trusted is None else tuple(trusted)
        )

    def require_signature(self, trusted: Iterable[PublicKey] | None = None) -> SignatureCheck:
        """As ``check_signature``, but TrustError with the reason unless it is good."""
        return require_good(self.check_signature(trusted), str(self.path))

    def exists(self, path: str) -> bool:
        """Whether the medium has the file ``path``."""
        return self.source.exists(path)

    def size(self, path: str) -> int:
        """The size of ``path`` in bytes."""
        return self.source.size(path)

    def read(self, path: str, limit: int = 64 * MIB) -> bytes:
        """The whole file; SourceError if it is larger than ``limit`` bytes or not there."""
        if not self.exists(path):
            raise SourceError(f"{self.path} has no {path}.", "It is incomplete, or not an Engine medium.")
        size = self.size(path)
        if size > limit:
            raise SourceError(f"{path} has {size} bytes; {limit} are expected at most.")
        return b"".join(self.source.stream(path, 0, size))

    def stream(self, path: str, start: int = 0, size: int | None = None) -> Iterator[bytes]:
        """``size`` bytes of ``path`` from ``start`` in blocks of at most 1 MiB; to its end without size."""
        rest = self.size(path) - start
        return self.source.stream(path, start, rest if size is None else min(size, rest))

    def read_checked(self, path: str, limit: int = 64 * MIB) -> bytes:
        """The whole file, held against the manifest; TrustError if it differs."""
        data = self.read(path, limit)
        entry = self.manifest.file(path)
        if len(data) != entry.size_bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise self._differs(path)
        return data

    def stream_checked(self, path: str) -> Iterator[bytes]:
        """``stream`` of a whole file that ends with TrustError if what came by is not the manifest's.

        Nothing of it may be used before the end has been reached.
        """
        entry = self.manifest.file(path)
        if self.size(path) != entry.size_bytes:
            raise self._differs(path)
        digest = hashlib.sha256()
        for block in self.stream(path):
            digest.update(block)
            yield block
        if digest.hexdigest() != entry.sha256:
            raise self._differs(path)

    def close(self) -> None:
        self.source.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _differs(self, path: str) -> TrustError:
        spans = self.source.spans(path) if self.source.is_image else ()
        where = f", bytes {spans[0][0]} to {sum(spans[-1])} of the image" if spans else ""
        return TrustError(
            f"{path} (bytes 0 to {self.size(path)}{where}) is not what the manifest says.",
            "The image is damaged or forged: download it again, or write the stick again.",
        )


def open_engine(path: Path | str) -> EngineImage:
    """Open the Engine medium at ``path``; SourceError (3) if it is unreadable or no Engine medium."""
    source = open_source(Path(path))
    try:
        if not source.exists(manifest.PATH):
            raise SourceError(
                f"{path} is not an Engine medium: it has no {manifest.PATH}.", "Choose an Engine ISO."
            )
        return EngineImage(source)
    except (MediakitError, OSError):
        source.close()
        raise


def require_good(checked: SignatureCheck, name: str) -> SignatureCheck:
    """``checked`` itself if it is good, else TrustError with the reason and a way forward."""
    if checked.is_good:
        return checked
    hints = {
        signature.UNKNOWN_KEY: "If you trust whoever signed it, give their public key with --key.",
        signature.MISSING: "Unsigned media are not used: get the original.",
    }
    raise TrustError(
        f"{name}: {checked.reason}", hints.get(checked.state, "It is damaged or forged: get it again.")
    )
