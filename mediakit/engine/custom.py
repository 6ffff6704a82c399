"""What somebody customised on a medium: ``/custom/index.json`` and its optional signature. Reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mediakit.engine import documents, manifest, signature
from mediakit.engine.image import EngineImage
from mediakit.engine.manifest import ManifestFile
from mediakit.engine.signature import PublicKey
from mediakit.units import MIB

PATH = "/custom/index.json"
SIGNATURE_PATH = "/custom/index.json.minisig"
SCHEMA = 1


@dataclass(frozen=True)
class Customised:
    """Who customised the medium (``by``), which files, and how the list is signed (missing is fine)."""

    by: str = ""
    files: tuple[ManifestFile, ...] = ()
    signature: str = signature.MISSING

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.files:
            return ()
        how = {
            signature.GOOD: "signed",
            signature.MISSING: "not signed",
            signature.BAD: "with a signature that does not match",
        }.get(self.signature, "signed with an unknown key")
        who = f" by {self.by}" if self.by else ""
        return (f"Customised{who} ({how}): {', '.join(entry.path for entry in self.files)}.",)


def parse(data: bytes) -> Customised:
    """The list in ``data``; FormatError says which field is wrong."""
    fields = documents.load(data, f"The list {PATH}")
    fields.schema(SCHEMA)
    files = tuple(manifest.parse_file(entry) for entry in fields.objects("files"))
    return Customised(fields.text("by", empty_ok=True), files)


def to_bytes(by: str, files: Iterable[ManifestFile]) -> bytes:
    """The list's bytes: sorted, one newline at the end."""
    entries = [
        {"path": f.path, "size_bytes": f.size_bytes, "sha256": f.sha256}
        for f in sorted(files, key=lambda f: f.path)
    ]
    return documents.dump({"schema": SCHEMA, "by": by, "files": entries})


def load(image: EngineImage, trusted: Iterable[PublicKey]) -> Customised:
    """What was customised on ``image``; nothing if there is no list."""
    if not image.exists(PATH) or not image.size(PATH):
        return Customised()
    data = image.read(PATH, MIB)
    found = parse(data)
    text = None
    if image.exists(SIGNATURE_PATH) and image.size(SIGNATURE_PATH):
        text = image.read(SIGNATURE_PATH, signature.MAX_TEXT).decode("utf-8", "replace")
    return Customised(found.by, found.files, signature.check(data, text, trusted).state)
