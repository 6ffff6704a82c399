"""What a structure's reader noticed: one sentence of *what*, one of *what to do*, and where the bytes are."""

from __future__ import annotations

from typing import Any, Literal

from mediakit.plain import dataclass

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is odd. ``offset_bytes`` and ``size_bytes`` are the bytes it is about, where known."""

    severity: Severity
    what: str
    hint: str = ""
    offset_bytes: int | None = None
    size_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The three keys of ``findings`` in ``inspect --json``."""
        return {"severity": self.severity, "what": self.what, "hint": self.hint}

    def to_audit_json(self) -> dict[str, Any]:
        """The five keys of ``findings`` in ``audit --json``."""
        return self.to_json() | {"offset_bytes": self.offset_bytes, "size_bytes": self.size_bytes}
