"""The receipt on ENGINE-DATA: what was written, with a digest of each 4 MiB, to judge the stick by later."""

from __future__ import annotations

import hashlib
import json

from mediakit.errors import FormatError
from mediakit.plain import dataclass
from mediakit.stick.source import DIGEST_BYTES, Digests

PATH = "/.mediakit/receipt.json"


@dataclass(frozen=True)
class Receipt:
    """``holes`` are byte ranges (offset, size) where stick and image differ on purpose, or Windows writes.

    ``digests.blocks`` are of the image with the holes as zeros, so that the stick can be held against them.
    """

    image: str
    size_bytes: int
    digests: Digests
    holes: tuple[tuple[int, int], ...] = ()

    def to_bytes(self) -> bytes:
        """The document, one line."""
        document = {
            "schema": 1,
            "image": self.image,
            "size_bytes": self.size_bytes,
            "sha256": self.digests.sha256,
            "block_bytes": DIGEST_BYTES,
            "blocks": list(self.digests.blocks),
            "holes": [{"offset_bytes": offset, "size_bytes": size} for offset, size in self.holes],
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def parse(data: bytes) -> Receipt:
    """FormatError for what is no receipt."""
    try:
        document = json.loads(data)
        digests = Digests(str(document["sha256"]), tuple(str(block) for block in document["blocks"]))
        holes = tuple((int(h["offset_bytes"]), int(h["size_bytes"])) for h in document["holes"])
        found = Receipt(str(document["image"]), int(document["size_bytes"]), digests, holes)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise FormatError(
            f"The stick's receipt cannot be read ({error}).", "Write the stick again."
        ) from error
    if found.size_bytes <= 0:
        raise FormatError("The stick's receipt is of an empty image.", "Write the stick again.")
    return found


def masked_digest(block: bytes, offset: int, holes: tuple[tuple[int, int], ...]) -> str:
    """SHA-256 of a block at ``offset`` of the stick with what lies in ``holes`` taken as zeros."""
    clean = bytearray(block)
    for start, size in holes:
        first, last = max(start - offset, 0), min(start + size - offset, len(clean))
        if first < last:
            clean[first:last] = bytes(last - first)
    return hashlib.sha256(clean).hexdigest()
