"""isomd5sum's sum of an edited image, also where an edit took it out and was cut off before the new one."""

from __future__ import annotations

from contextlib import suppress

from mediakit.errors import FormatError, RefusedError
from mediakit.formats.reader import Reader
from mediakit.iso import implanting
from mediakit.iso.edit.record import IMPLANT_WHY
from mediakit.iso.edit.undo import history
from mediakit.iso.image import Image
from mediakit.iso.implanting import Implant


def known(image: Image) -> tuple[Implant, Reader] | None:
    """The sum that the image has, or had before its edits, and the bytes it is of; None where it had none."""
    old = implanting.read(image.reader, image.size_bytes)
    if old is not None:
        return old, image.reader
    with suppress(RefusedError, FormatError):
        if any(step.why == IMPLANT_WHY for record in history(image) for step in record.steps):
            from mediakit.iso.compacting.rebase import unedited  # seldom needed, and slow to load

            before = unedited(image)
            old = implanting.read(before.read, before.size_bytes)
            return (old, before.read) if old is not None else None
    return None
