"""Reports that installers left on ENGINE-DATA, read from a stick, its image, or a folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mediakit.block.target import open_target
from mediakit.errors import FormatError, SourceError
from mediakit.plain import dataclass
from mediakit.stick import data
from mediakit.units import MIB

_LIMIT = 4 * MIB
COLUMNS = ("started", "vendor", "model", "serial", "action", "found", "target", "result", "reason", "seconds")


@dataclass(frozen=True)
class Reports:
    """Documents in order of their names (which begin with the time), and names of what cannot be read."""

    reports: tuple[dict[str, Any], ...] = ()
    damaged: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"schema": 1, "reports": list(self.reports), "damaged": list(self.damaged)}

    def to_csv(self) -> str:
        """A table with a heading; a cell that a spreadsheet would run as a formula is quoted with ’."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for report in self.reports:
            writer.writerow([_cell(value(report, column)) for column in COLUMNS])
        return out.getvalue()


def collect(places: Iterable[Path]) -> Reports:
    """The reports of all ``places``; SourceError for one that is neither a stick nor a folder of reports."""
    files: list[tuple[str, bytes | None]] = []
    for place in places:
        files += _folder(place) if place.is_dir() else _stick(place)
    good: list[dict[str, Any]] = []
    damaged: list[str] = []
    for name, content in sorted(files, key=lambda item: item[0]):
        report = None if content is None else _parse(content)
        if report is None:
            damaged.append(name)
        else:
            good.append(report)
    return Reports(tuple(good), tuple(damaged))


def value(report: dict[str, Any], column: str) -> str:
    """One column of a report as text; machine's words lie one level deeper."""
    machine = report.get("machine")
    inner = machine if column in ("vendor", "model", "serial") and isinstance(machine, dict) else report
    found = inner.get(column, "")
    if isinstance(found, dict):
        return " ".join(str(part) for part in found.values() if isinstance(part, str | int))
    return "" if found is None else str(found)


def _folder(place: Path) -> list[tuple[str, bytes | None]]:
    inner = place / "reports"
    root = inner if inner.is_dir() else place
    found: list[tuple[str, bytes | None]] = []
    for path in sorted(root.glob("*.json")):
        try:
            found.append((path.name, path.read_bytes() if path.stat().st_size <= _LIMIT else None))
        except OSError:
            found.append((path.name, None))
    return found


def _stick(place: Path) -> list[tuple[str, bytes | None]]:
    if not place.exists():
        raise SourceError(f"{place} is not there.", "Name a stick, an image of one, or a folder.")
    with open_target(place, writable=False) as target:
        located = data.locate(target)
        if located is None:
            raise SourceError(
                f"{place} has no ENGINE-DATA partition.", "It was not written by mediakit write."
            )
        filesystem = data.open_fat(target, located.span)
        found: list[tuple[str, bytes | None]] = []
        for entry in filesystem.walk():
            folder, _, name = entry.path.lstrip("/").rpartition("/")
            if entry.is_directory or folder.lower() != "reports" or not name.lower().endswith(".json"):
                continue
            try:
                found.append((name, filesystem.read(entry.path) if entry.size_bytes <= _LIMIT else None))
            except FormatError:
                found.append((name, None))
        return found


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and document.get("schema") == 1 else None


def _cell(text: str) -> str:
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
