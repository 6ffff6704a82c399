"""The manifest ``/engine/manifest.json``: what a medium is, what it upgrades, every file and area with its
SHA-256. Pure: bytes ↔ ``Manifest``. Trusting it is the work of ``engine.signature``, comparing that of
``engine.verify``.

Paths are absolute in the medium (``/engine/system.squashfs``), in sorted order.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from mediakit.engine.documents import Fields, dump, load
from mediakit.errors import FormatError
from mediakit.plain import dataclass

PATH = "/engine/manifest.json"
SIGNATURE_PATH = "/engine/manifest.json.minisig"
SYSTEM_PATH = "/engine/system.squashfs"
INSTALLER_PATH = "/engine/installer.squashfs"
SCHEMA = 1
MAX_BYTES = 16 << 20
"""No manifest is larger; a reader stops there."""
MAX_AREAS = 64

_VERSION = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){1,3}")
_WHERE = "The manifest"


@dataclass(frozen=True)
class ManifestFile:
    """One file of the medium."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Hole:
    """Bytes of an area that an edit or a write may change, from the area's start; hashed as zeros."""

    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Area:
    """Bytes of the image that are no file: the system area, an El Torito or ESP image."""

    name: str
    offset_bytes: int
    size_bytes: int
    sha256: str
    holes: tuple[Hole, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What the medium is (FORMATS, manifest). ``upgrade_from`` lists layouts."""

    product: str
    version: str
    build: int
    arch: str
    created: str
    layout: int
    upgrade_from: tuple[int, ...]
    pv_driver: str
    min_ram_bytes: int
    min_disk_bytes: int
    files: tuple[ManifestFile, ...] = ()
    areas: tuple[Area, ...] = ()

    def file(self, path: str) -> ManifestFile:
        """The entry of ``path``; FormatError if the manifest does not list it."""
        for entry in self.files:
            if entry.path == path:
                return entry
        raise FormatError(
            f"The manifest does not list {path}.", "The image is incomplete: build or download it again."
        )

    @property
    def system(self) -> ManifestFile:
        """The system image, the bytes of a slot."""
        return self.file(SYSTEM_PATH)

    def to_bytes(self) -> bytes:
        """The signed bytes: sorted keys, sorted files, one newline at the end."""
        return dump(
            {
                "schema": SCHEMA,
                "product": self.product,
                "version": self.version,
                "build": self.build,
                "arch": self.arch,
                "created": self.created,
                "layout": self.layout,
                "upgrade_from": list(self.upgrade_from),
                "pv_driver": self.pv_driver,
                "min_ram_bytes": self.min_ram_bytes,
                "min_disk_bytes": self.min_disk_bytes,
                "files": [_file_json(entry) for entry in sorted(self.files, key=lambda f: f.path)],
                "areas": [_area_json(area) for area in sorted(self.areas, key=lambda a: a.offset_bytes)],
            }
        )


def parse(data: bytes) -> Manifest:
    """The manifest in ``data``; FormatError says which field is wrong."""
    if len(data) > MAX_BYTES:
        raise FormatError(f"The manifest has {len(data)} bytes; none has more than {MAX_BYTES}.")
    fields = load(data, _WHERE)
    fields.schema(SCHEMA)
    files = tuple(parse_file(entry) for entry in fields.objects("files"))
    areas = tuple(_area(entry) for entry in fields.objects("areas"))
    if len(areas) > MAX_AREAS:
        raise FormatError(f"{_WHERE} lists {len(areas)} areas; none has more than {MAX_AREAS}.")
    _must_be_unique([entry.path for entry in files], "file")
    _must_be_unique([area.name for area in areas], "area")
    return Manifest(
        product=fields.text("product"),
        version=version_text(fields, "version"),
        build=fields.number("build"),
        arch=fields.text("arch"),
        created=_time(fields, "created"),
        layout=fields.number("layout", least=1),
        upgrade_from=fields.numbers("upgrade_from"),
        pv_driver=version_text(fields, "pv_driver"),
        min_ram_bytes=fields.number("min_ram_bytes"),
        min_disk_bytes=fields.number("min_disk_bytes"),
        files=tuple(sorted(files, key=lambda f: f.path)),
        areas=tuple(sorted(areas, key=lambda a: a.offset_bytes)),
    )


def parse_file(fields: Fields) -> ManifestFile:
    """One ``{path size_bytes sha256}`` object, of a manifest or of ``/custom/index.json``."""
    return ManifestFile(fields.path("path"), fields.number("size_bytes"), fields.sha256("sha256"))


def version_text(fields: Fields, key: str) -> str:
    """A version such as ``5.0``: two to four numbers with dots."""
    value = fields.text(key)
    if not _VERSION.fullmatch(value):
        raise fields.wrong(key, "a version such as 5.0")
    return value


def _area(fields: Fields) -> Area:
    size_bytes = fields.number("size_bytes", least=1)
    holes = tuple(
        sorted(
            (
                Hole(h.number("offset_bytes"), h.number("size_bytes", least=1))
                for h in fields.objects("holes")
            ),
            key=lambda hole: hole.offset_bytes,
        )
    )
    end = 0
    for hole in holes:
        if hole.offset_bytes < end or hole.offset_bytes + hole.size_bytes > size_bytes:
            raise fields.wrong("holes", "ranges inside the area that do not overlap")
        end = hole.offset_bytes + hole.size_bytes
    return Area(
        fields.text("name"), fields.number("offset_bytes"), size_bytes, fields.sha256("sha256"), holes
    )


def _time(fields: Fields, key: str) -> str:
    value = fields.text(key)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise fields.wrong(key, "a time such as 2024-05-01T12:00:00Z")
    return value


def _must_be_unique(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise FormatError(f"{_WHERE} lists the {what} {name} twice.")
        seen.add(name)


def _file_json(entry: ManifestFile) -> dict[str, Any]:
    return {"path": entry.path, "size_bytes": entry.size_bytes, "sha256": entry.sha256}


def _area_json(area: Area) -> dict[str, Any]:
    return {
        "name": area.name,
        "offset_bytes": area.offset_bytes,
        "size_bytes": area.size_bytes,
        "sha256": area.sha256,
        "holes": [{"offset_bytes": h.offset_bytes, "size_bytes": h.size_bytes} for h in area.holes],
    }
