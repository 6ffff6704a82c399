"""A small Engine medium in a folder, signed with the public test key: what several tests start from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mediakit.engine import keys, manifest, signature
from mediakit.engine.manifest import Area, Manifest, ManifestFile

KEYS = Path(signature.__file__).parents[1] / "reference" / "keys"
SECRET = keys.load_secret_file(KEYS / "engine-test.key")
FILES = {
    "/engine/system.squashfs": b"hsqs" + bytes(range(256)) * 8192,
    "/engine/installer.squashfs": b"hsqs" + b"installer" * 1000,
    "/engine/licence/en.txt": b"Be kind.\n",
    "/boot/empty": b"",
}


def document(files: dict[str, bytes], areas: tuple[Area, ...] = (), version: str = "5.0") -> Manifest:
    entries = (ManifestFile(p, len(d), hashlib.sha256(d).hexdigest()) for p, d in files.items())
    return Manifest(
        "Engine", version, 5000, "amd64", "2024-01-01T00:00:00Z", 2, (1, 2), version, 0, 0,
        tuple(sorted(entries, key=lambda f: f.path)), areas,
    )  # fmt: skip


def sign(data: bytes) -> str:
    return signature.sign(data, SECRET, "Engine 5.0 build 5000")


def make(folder: Path, files: dict[str, bytes] = FILES, areas: tuple[Area, ...] = ()) -> Path:
    """Write the medium's files, manifest and signature into ``folder``."""
    data = document(files, areas).to_bytes()
    everything = files | {manifest.PATH: data, manifest.SIGNATURE_PATH: sign(data).encode()}
    for path, content in everything.items():
        target = folder / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder
