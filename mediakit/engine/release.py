"""``/usr/lib/engine/release.json``, which every system image carries: what Engine it is. Pure."""

from __future__ import annotations

from mediakit.engine.documents import dump, load
from mediakit.engine.manifest import Manifest, version_text
from mediakit.plain import dataclass

PATH = "/usr/lib/engine/release.json"
SCHEMA = 1


@dataclass(frozen=True)
class Release:
    """Product, version, build, architecture and disk layout of a system image."""

    product: str
    version: str
    build: int
    arch: str
    layout: int
    schema: int = SCHEMA

    def to_bytes(self) -> bytes:
        """The file's bytes: sorted keys, one newline at the end."""
        return dump(
            {
                "schema": self.schema,
                "product": self.product,
                "version": self.version,
                "build": self.build,
                "arch": self.arch,
                "layout": self.layout,
            }
        )


def parse(data: bytes) -> Release:
    """The release in ``data``; FormatError says which field is wrong."""
    fields = load(data, "The release file")
    fields.schema(SCHEMA)
    return Release(
        product=fields.text("product"),
        version=version_text(fields, "version"),
        build=fields.number("build"),
        arch=fields.text("arch"),
        layout=fields.number("layout", least=1),
    )


def of_manifest(manifest: Manifest) -> Release:
    """The release that a medium with ``manifest`` installs."""
    return Release(manifest.product, manifest.version, manifest.build, manifest.arch, manifest.layout)
