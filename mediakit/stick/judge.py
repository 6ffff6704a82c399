"""Judging a written stick by its receipt: whether it still is the image that went onto it."""

from __future__ import annotations

from pathlib import Path

from mediakit.block.target import open_target
from mediakit.engine.sweep import Damage
from mediakit.engine.verify import Verification
from mediakit.errors import FormatError
from mediakit.progress import Cancel, Meter, Observer
from mediakit.stick import data, edits
from mediakit.stick.receipt import masked_digest
from mediakit.stick.source import DIGEST_BYTES
from mediakit.units import SECTOR

_CAUSE = "the stick is failing, or something wrote to it"


def judge(path: Path, observer: Observer, cancel: Cancel) -> Verification | None:
    """Compare each 4 MiB with the receipt on ENGINE-DATA; None where there is no receipt."""
    if path.is_dir():
        return None
    with open_target(path, writable=False) as target:
        if target.size_bytes < 34 * SECTOR:
            return None
        located = data.locate(target)
        found = data.read_receipt(target, located.span) if located else None
        if found is None or found.size_bytes > target.size_bytes:
            return None
        if len(found.digests.blocks) != -(-found.size_bytes // DIGEST_BYTES):
            raise FormatError("The stick's receipt does not fit its image.", "Write the stick again.")
        meter = Meter(observer, str(path), "verify", found.size_bytes)
        edited = edits.find(path, target.reader, target.size_bytes)
        damaged = list(edited.damage(target.reader))
        for number, wanted in enumerate(found.digests.blocks):
            cancel.check()
            offset = number * DIGEST_BYTES
            size = min(DIGEST_BYTES, found.size_bytes - offset)
            if masked_digest(edited.before(offset, size), offset, found.holes) != wanted:
                damaged.append(Damage(found.image, offset, size, _CAUSE))
            meter.add(size)
    notes = [f"It was written from {found.image}, SHA-256 {found.digests.sha256}."]
    if edited.records:
        count = "once" if len(edited.records) == 1 else f"{len(edited.records)} times"
        notes.append(f"It was edited {count} since; what was added then was not checked.")
    result = "damaged" if damaged else "ok"
    return Verification(str(path), "receipt", result, None, tuple(damaged), tuple(notes))
