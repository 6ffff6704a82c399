"""Repairs of boot structures, as a plan of regions that is checked before anything is written.

A repair is taken only where the truth is unambiguous, and only if the image, judged with it in place, has
something better and nothing worse. File contents are never touched, but for the boot information tables that
loaders keep inside their boot image. Each region is written, flushed and read back before the next one; after
any cut the image is as it was or better, and a new plan completes it. Nothing here knows devices: who writes
passes a ``Writer`` (``iso.edit.medium``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mediakit.errors import DeviceError, FormatError, RefusedError
from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.formats.reader import patched_reader
from mediakit.iso import fix_boot, fix_tables
from mediakit.iso.facts import ImageFacts, gather
from mediakit.iso.fix_region import FixRegion
from mediakit.iso.image import Image
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.edit.medium import Writer

Repair = Callable[[Image], list[FixRegion]]
REPAIRS: tuple[Repair, ...] = (
    fix_tables.rebuild_primary,
    fix_tables.move_backup,
    fix_tables.restore_protective,
    fix_boot.restore_catalog,
    fix_boot.restore_boot_info,
    fix_boot.restore_pointer,
    fix_tables.restore_active,
)
"""In the order in which they are written: tables before what lies in them, the MBR's flag last."""


@dataclass(frozen=True)
class FixPlan:
    """The regions in the order of their writes; empty where nothing can be repaired safely."""

    regions: tuple[FixRegion, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.regions)

    @property
    def fixes(self) -> tuple[str, ...]:
        """What will be repaired, a sentence each."""
        return tuple(dict.fromkeys(region.fix for region in self.regions))

    def to_json(self) -> list[dict[str, Any]]:
        return [region.to_json() for region in self.regions]


def make_plan(image: Image) -> FixPlan:
    """What can be repaired, judged on the image with the regions laid over it; reads only."""
    taken: list[FixRegion] = []
    current, facts = image, image.facts()
    if facts.is_truncated:
        return FixPlan()
    for repair in REPAIRS:
        try:
            regions = repair(current)
        except FormatError:
            continue
        regions = [region for region in regions if region.before != region.data]
        if not regions:
            continue
        patched = with_regions(current, regions, facts)
        judged = patched.facts()
        if is_better(facts, judged):
            taken += regions
            current, facts = patched, judged
    return FixPlan(tuple(taken))


def is_better(before: ImageFacts, after: ImageFacts) -> bool:
    """At least one thing better and nothing worse: routes, findings, truncation.

    A route that works again may bring its own warnings: nobody looked at them while it was broken.
    """
    routes_before, routes_after = dict(before.boot.items()), dict(after.boot.items())
    if any(route.ok and not routes_after[name].ok for name, route in routes_before.items()):
        return False
    known = {finding.what for finding in before.findings}
    new = [finding for finding in after.findings if finding.what not in known]
    gained = any(route.ok and not routes_before[name].ok for name, route in routes_after.items())
    tolerated = ("note", "warning") if gained else ("note",)
    if after.is_truncated or any(finding.severity not in tolerated for finding in new):
        return False
    gone = known - {finding.what for finding in after.findings}
    return gained or bool(gone)


class _Patched(Image):
    """An image as if regions were written; closing it closes nothing."""

    def __init__(self, image: Image, regions: list[FixRegion], kept: ImageFacts | None) -> None:
        reader = patched_reader(image.reader, [(r.offset_bytes, r.data) for r in regions])
        super().__init__(image.path, reader, image.size_bytes, session_lba=image._session_lba)
        self._kept = kept
        self._judged: ImageFacts | None = None

    def facts(self) -> ImageFacts:
        if self._judged is None:
            self._judged = gather(self, self._kept)
        return self._judged


def with_regions(image: Image, regions: list[FixRegion], known: ImageFacts | None = None) -> Image:
    """The same image as if ``regions`` were written.

    ``known`` facts spare a second look at loaders and menus where no region lies in files or EFI volumes.
    """
    end = max(volume.space_blocks for volume in image.descriptors.volumes) * BLOCK
    spans = [(FIRST_DESCRIPTOR * BLOCK, end)]
    spans += [(v.offset_bytes, v.offset_bytes + v.size_bytes) for v in (known.efi_volumes if known else ())]
    touches = any(
        region.offset_bytes < stop and start < region.offset_bytes + len(region.data)
        for region in regions
        for start, stop in spans
    )
    return _Patched(image, regions, None if touches else known)


def apply(plan: FixPlan, writer: Writer) -> None:
    """Write the plan; RefusedError if the bytes are not those it was made for, DeviceError if I/O fails."""
    for region in plan.regions:
        now = writer.read(region.offset_bytes, len(region.data))
        if now == region.data:
            continue
        if now != region.before:
            raise RefusedError(
                f"The bytes at {region.offset_bytes} are not what they were when the repair was planned.",
                "Something else writes to it. Start again.",
            )
        writer.write(region.offset_bytes, region.data)
        writer.flush()
        if writer.read(region.offset_bytes, len(region.data)) != region.data:
            raise DeviceError(
                f"The bytes at {region.offset_bytes} read back differ from what was written.",
                "The medium may be dying or write-protected: use another one.",
            )
