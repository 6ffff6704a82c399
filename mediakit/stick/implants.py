"""Keeping isomd5sum's implanted MD5 true where we change an image on purpose: edits, repairs, sticks' tables.

What the sum is and how it is made is ``iso.implanting``'s; here it is fitted to what changes. A sum that
was wrong before is never made right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mediakit.formats.reader import Reader
from mediakit.iso import implanting
from mediakit.iso.edit import implant
from mediakit.iso.edit.draft import Phase
from mediakit.iso.edit.model import EditPlan, Region
from mediakit.iso.edit.overlay import overlay_reader, planned_image
from mediakit.iso.edit.plan import IMPLANT_REMOVED
from mediakit.iso.image import Image
from mediakit.iso.implanting import FIELD_BYTES, FIELD_OFFSET, RENEWED, WRONG, Implant, Sum
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Meter, Observer
from mediakit.units import SECTOR, align_up

_START = FIELD_OFFSET // SECTOR * SECTOR
_BYTES = align_up(FIELD_OFFSET + FIELD_BYTES, SECTOR) - _START


def renewed(image: Image, plan: EditPlan, observer: Observer, cancel: Cancel) -> EditPlan:
    """The plan of an edit with the implanted sum made anew at its end; reads the image once or twice."""
    found = implant.known(image)
    if found is None:
        return plan
    old, before = found
    after = planned_image(image, plan).reader
    volume = implanting.volume_bytes(after)
    meter = Meter(observer, str(image.path), "check", old.end + old.for_volume(volume).end)
    field = implanting.renew(old, before, after, volume, meter.add, cancel)
    notes = tuple(note for note in plan.notes if note != IMPLANT_REMOVED)
    if field is None:
        return replace(plan, notes=(*notes, WRONG))
    region = Region(_START, _BYTES, "implanted checksum", Phase.DONE + 1, _sectors(after, field))
    return replace(plan, regions=(*plan.regions, region), notes=(*notes, RENEWED))


def missing(image: Image, observer: Observer, cancel: Cancel) -> tuple[int, bytes] | None:
    """What gives an edited image the sum that a cut kept from it (offset, sectors); None for nothing."""
    found = implant.known(image) if implanting.read(image.reader, image.size_bytes) is None else None
    if found is None:
        return None
    old, before = found
    volume = implanting.volume_bytes(image.reader)
    meter = Meter(observer, str(image.path), "check", old.end + old.for_volume(volume).end)
    field = implanting.renew(old, before, image.reader, volume, meter.add, cancel)
    return None if field is None else (_START, _sectors(image.reader, field))


def announced(image: Image, plan: EditPlan) -> EditPlan:
    """The plan for showing: the sum itself is not made."""
    if implant.known(image) is None:
        return plan
    notes = tuple(RENEWED if note == IMPLANT_REMOVED else note for note in plan.notes)
    return replace(plan, notes=notes)


def after_writes(
    reader: Reader, size_bytes: int, writes: Iterable[tuple[int, bytes]]
) -> tuple[int, bytes] | None:
    """What else has to be written (offset, whole sectors) once ``writes`` are done; None for nothing."""
    old = implanting.read(reader, size_bytes)
    regions = [Region(offset, len(data), "", 0, data) for offset, data in writes]
    if old is None or not regions:
        return None
    after = overlay_reader(reader, size_bytes, regions, size_bytes)
    field = implanting.renew(old, reader, after, implanting.volume_bytes(after))
    return None if field is None or field == old.field else (_START, _sectors(after, field))


@dataclass
class Original:
    """Sees the image's bytes pass in order on their way to sticks: whether its own sum is right."""

    implant: Implant
    _sum: Sum | None = None

    def update(self, offset: int, data: bytes) -> None:
        self._sum = self._sum or Sum(self.implant.end)
        self._sum.update(offset, data)

    @property
    def is_right(self) -> bool:
        """Once all bytes have passed."""
        return self._sum is not None and self._sum.digest() == self.implant.digest


class OnStick:
    """The sum of what goes onto one stick: the first MiB with its tables, then the image's."""

    def __init__(self, original: Original, head: bytes) -> None:
        self._original = original
        self._head = head
        self._sum = Sum(original.implant.end)
        self._sum.update(0, head)

    def update(self, offset: int, data: bytes) -> None:
        self._sum.update(offset, data)

    def head(self) -> bytes:
        """The first MiB with its sum; as it was where the image itself does not have the sum it says."""
        if not self._original.is_right:
            return self._head
        field = self._sum.field(self._original.implant)
        return self._head[:FIELD_OFFSET] + field + self._head[FIELD_OFFSET + FIELD_BYTES :]


def _sectors(reader: Reader, field: bytes) -> bytes:
    here = reader(_START, _BYTES)
    at = FIELD_OFFSET - _START
    return here[:at] + field + here[at + FIELD_BYTES :]
