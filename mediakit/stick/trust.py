"""Whether the image may be trusted, for Engine images: the signature before, every hash while it is written.

The image is read once: hashes are computed from the same bytes that go to the sticks. It also knows which
file of the image lies at a byte, for errors that name it.
"""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import field
from typing import Any

from mediakit import iso
from mediakit.engine import manifest
from mediakit.engine.image import open_engine
from mediakit.errors import SourceError, TrustError
from mediakit.iso import implanting
from mediakit.plain import dataclass
from mediakit.stick.implants import Original
from mediakit.stick.source import Source

_REMEDY = "Get the image again from where it was published; do not use this one."


@dataclass(frozen=True)
class Segment:
    """Part of a file of the image, in bytes of the image."""

    start: int
    end: int
    path: str


@dataclass
class Judge:
    """Sees the image's bytes pass in order; ``approve`` says at the end whether they are the manifest's."""

    segments: list[Segment] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _hashes: dict[str, Any] = field(default_factory=dict)
    _first: int = 0

    def update(self, offset: int, data: bytes) -> None:
        """The next bytes of the image, which lie at ``offset``."""
        end = offset + len(data)
        while self._first < len(self.segments) and self.segments[self._first].end <= offset:
            self._first += 1
        for segment in self.segments[self._first :]:
            if segment.start >= end:
                break
            if segment.path in self.expected and segment.end > offset:
                part = data[max(0, segment.start - offset) : segment.end - offset]
                self._hashes.setdefault(segment.path, hashlib.sha256()).update(part)

    def approve(self) -> None:
        """TrustError naming the first file that is not what the manifest says; call it at the end."""
        for path, wanted in sorted(self.expected.items()):
            got = self._hashes.get(path, hashlib.sha256()).hexdigest()
            if got != wanted:
                raise TrustError(f"{path} in the image is not what its manifest says.", _REMEDY)

    def locate(self, offset: int) -> str:
        """The file of the image that holds byte ``offset``; empty for none."""
        number = bisect.bisect_right([segment.start for segment in self.segments], offset) - 1
        if number >= 0 and offset < self.segments[number].end:
            return self.segments[number].path
        return ""


def examine(source: Source) -> Judge:
    """Check the signature of an Engine image and prepare to check its files.

    TrustError if the signature is bad or missing, FormatError if the manifest is damaged. Other images have
    nothing to check: their files are still known by name.
    """
    judge = Judge(segments=_segments(source))
    if not any(segment.path == manifest.PATH.lstrip("/") for segment in judge.segments):
        _watch_implant(source)
        return judge
    with open_engine(source.path) as image:
        check = image.check_signature()
        if check.state in ("bad", "missing"):
            word = "does not fit its manifest" if check.state == "bad" else "is missing"
            raise TrustError(f"The signature of {source.name} {word}.", _REMEDY)
        if check.state == "unknown_key":
            judge.notes.append(f"{source.name} is signed with a key that is not known here.")
        judge.expected = {f.path.lstrip("/"): f.sha256 for f in image.manifest.files}
    source.watchers.append(judge)
    return judge


def _watch_implant(source: Source) -> None:
    """Have an implanted MD5 checked on the way: sticks get one that is right for their tables."""
    found = implanting.read(source.reader, source.size_bytes)
    if found is not None:
        source.implant = Original(found)
        source.watchers.append(source.implant)


def audit(path: str) -> dict[str, Any] | None:
    """How the written stick boots (the ``boot`` of ``inspect --json``); None where it is no ISO."""
    try:
        with iso.open_image(path) as image:
            boot = image.facts().to_json()["boot"]
    except SourceError:
        return None
    return boot if isinstance(boot, dict) else None


def _segments(source: Source) -> list[Segment]:
    found = []
    try:
        with iso.open_image(source.path) as image:
            for record in image.files():
                for extent in image.extents(record.path) if record.kind == "file" else ():
                    end = extent.offset_bytes + extent.size_bytes
                    found.append(Segment(extent.offset_bytes, end, record.path.lstrip("/")))
    except SourceError:
        return []
    return sorted(found, key=lambda segment: (segment.start, segment.end))
