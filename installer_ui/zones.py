"""Time zones as people choose them: region, then city. From the tz database's zone.tab."""

from __future__ import annotations

from pathlib import Path

TABLES = (Path("/usr/share/zoneinfo/zone.tab"), Path("/usr/share/zoneinfo/zone1970.tab"))


def parse(table: str) -> dict[str, tuple[str, ...]]:
    """Region to its zones' names without the region, sorted; ``UTC`` comes first and has none."""
    regions: dict[str, list[str]] = {}
    for line in table.splitlines():
        fields = line.split("\t")
        if line.startswith("#") or len(fields) < 3 or "/" not in fields[2]:
            continue
        region, city = fields[2].split("/", 1)
        regions.setdefault(region, []).append(city)
    return {"UTC": ()} | {region: tuple(sorted(cities)) for region, cities in sorted(regions.items())}


def load() -> dict[str, tuple[str, ...]]:
    """The zones of this system; only UTC where tzdata is not installed."""
    for table in TABLES:
        if table.is_file():
            return parse(table.read_text(encoding="utf-8"))
    return {"UTC": ()}


def name(region: str, city: str) -> str:
    """``Europe`` and ``Madrid``: ``Europe/Madrid``."""
    return f"{region}/{city}" if city else region


def split(zone: str) -> tuple[str, str]:
    """``Europe/Madrid``: ``Europe`` and ``Madrid``."""
    region, _, city = zone.partition("/")
    return region, city
