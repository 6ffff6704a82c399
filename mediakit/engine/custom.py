"""What somebody customised on a medium: ``/custom/index.json`` and its optional signature. Reads only.

/custom is the only place that an edit of an Engine medium changes. Some of its files are room that a build
leaves there; without content they are nothing that anybody customised. ``engine.customise`` plans changes.
"""

from __future__ import annotations

from collections.abc import Iterable

from mediakit.engine import answers_example, documents, manifest, signature
from mediakit.engine.image import EngineImage
from mediakit.engine.manifest import ManifestFile
from mediakit.engine.signature import PublicKey
from mediakit.errors import FormatError
from mediakit.formats import grubenv
from mediakit.plain import dataclass
from mediakit.units import MIB

FOLDER = "/custom/"
BOOTENV_PATH = "/custom/bootenv"
ANSWERS_PATH = "/custom/answers.toml"
BRANDING_FOLDER = "/custom/branding/"
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


def holds_something(path: str, data: bytes) -> bool:
    """Whether a file under /custom says anything; empty room does not."""
    if path in (PATH, SIGNATURE_PATH):
        return False
    if path == ANSWERS_PATH:
        return not answers_example.is_empty(data.decode("utf-8", "replace"))
    if path == BOOTENV_PATH:
        try:
            return bool(grubenv.parse(data))
        except FormatError:
            return True
    return True


def unlisted(image: EngineImage, listed: Customised) -> list[str]:
    """Files under /custom that say something and are not in the list: nobody stands for them."""
    known = {entry.path for entry in listed.files}
    found = []
    for path in sorted(image.source.walk()):
        if not path.startswith(FOLDER) or path in known or path in (PATH, SIGNATURE_PATH):
            continue
        is_room = path in (ANSWERS_PATH, BOOTENV_PATH)
        if not is_room or image.size(path) > MIB or holds_something(path, image.read(path, MIB)):
            found.append(path)
    return found
