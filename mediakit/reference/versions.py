"""The versions of the reference Engine, and what tells them apart. Pure."""

from __future__ import annotations

from mediakit.errors import UsageError
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Version:
    """One version: ``tool_bytes`` is the size of the guest drivers that it brings along."""

    version: str
    build: int
    layout: int
    pv_driver: str
    upgrade_from: tuple[int, ...]
    tool_bytes: int
    created: str
    min_ram_bytes: int = 1 << 30
    min_disk_bytes: int = 8 << 30
    product: str = "Engine"
    arch: str = "amd64"


VERSIONS = {
    "5.0": Version("5.0", 5000, 2, "8.2.0", (1, 2), 0, "2024-01-15T00:00:00Z"),
    "5.1": Version("5.1", 5100, 2, "8.3.0", (1, 2), 700_000, "2024-06-15T00:00:00Z"),
}


def find(version: str) -> Version:
    """The version called ``version``; UsageError lists those that exist."""
    if version not in VERSIONS:
        raise UsageError(f"There is no reference Engine {version}.", f"Choose one of: {', '.join(VERSIONS)}.")
    return VERSIONS[version]
