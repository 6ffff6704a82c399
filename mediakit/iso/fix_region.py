"""One region of a repair: where, what was there, what will be, and why. Pure."""

from __future__ import annotations

from typing import Any

from mediakit.plain import dataclass


@dataclass(frozen=True)
class FixRegion:
    """``fix`` is the repair as a sentence, ``why`` what these bytes are. Written, flushed, read back."""

    offset_bytes: int
    before: bytes
    data: bytes
    fix: str
    why: str

    def to_json(self) -> dict[str, Any]:
        return {
            "offset_bytes": self.offset_bytes,
            "size_bytes": len(self.data),
            "why": f"{self.fix} {self.why}",
        }
