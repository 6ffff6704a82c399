"""Owns what a build says about the Engine it makes: a JSON or TOML file, or the same as an object. Pure but
for reading that file. Names are those of the manifest.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from mediakit.engine.documents import Fields
from mediakit.engine.manifest import version_text
from mediakit.errors import FormatError, SourceError
from mediakit.plain import dataclass
from mediakit.reference.versions import Version

WORDS = "product, version, build, created, layout, upgrade_from, pv_driver, min_ram_bytes, min_disk_bytes"


@dataclass(frozen=True)
class Metadata:
    """What the manifest says before any file is looked at. ``created`` is an RFC 3339 time and every date."""

    product: str
    version: str
    build: int
    created: str
    layout: int
    upgrade_from: tuple[int, ...]
    pv_driver: str
    min_ram_bytes: int
    min_disk_bytes: int
    arch: str = "amd64"

    @property
    def epoch(self) -> int:
        """``created`` in seconds."""
        return int(datetime.fromisoformat(self.created).timestamp())


def of_version(version: Version) -> Metadata:
    """What a version of the reference Engine says of itself."""
    return Metadata(**{field.name: getattr(version, field.name) for field in fields(Metadata)})


def read(path: Path) -> Metadata:
    """The metadata in ``path``; SourceError if it cannot be read, FormatError says what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"The metadata {path} cannot be read: {error.strerror}.") from error
    return parse(data, is_toml=path.suffix == ".toml")


def parse(data: bytes, *, is_toml: bool = False) -> Metadata:
    """Metadata from JSON, or TOML."""
    try:
        text = data.decode()
        values = tomllib.loads(text) if is_toml else json.loads(text)
    except ValueError as error:
        kind = "TOML" if is_toml else "JSON"
        raise FormatError(f"The metadata is not {kind}: {str(error)[:120]}.", f"It needs: {WORDS}.") from None
    found = Fields(values, "The metadata")
    try:
        moment = datetime.fromisoformat(found.text("created"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise found.wrong("created", "a time such as 2024-05-01T12:00:00Z")
    return Metadata(
        product=found.text("product"),
        version=version_text(found, "version"),
        build=found.number("build"),
        created=found.text("created"),
        layout=found.number("layout", least=1),
        upgrade_from=found.numbers("upgrade_from"),
        pv_driver=version_text(found, "pv_driver"),
        min_ram_bytes=found.number("min_ram_bytes"),
        min_disk_bytes=found.number("min_disk_bytes"),
        arch=found.text("arch") if isinstance(values, dict) and "arch" in values else "amd64",
    )
