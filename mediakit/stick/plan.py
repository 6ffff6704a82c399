"""What writing an image to a stick will do: regions, what is kept, what is lost. Pure; nothing is opened."""

from __future__ import annotations

import uuid
from dataclasses import replace

from mediakit.errors import RefusedError
from mediakit.formats import gpt
from mediakit.plain import dataclass
from mediakit.stick import tables
from mediakit.stick.tables import Located, Span, Tables
from mediakit.units import MIB, SECTOR, format_size


@dataclass(frozen=True)
class ImageShape:
    """What a plan needs to know of the image: its size, its first MiB, its partition table."""

    name: str
    size_bytes: int
    head: bytes
    gpt: gpt.Gpt | None = None


@dataclass(frozen=True)
class StickShape:
    """What a plan needs to know of the stick: its size and the ENGINE-DATA that is on it already."""

    path: str
    size_bytes: int
    sector_bytes: int = SECTOR
    data: Located | None = None
    data_is_damaged: bool = False
    contents: tuple[str, ...] = ()


@dataclass(frozen=True)
class WritePlan:
    """Regions in bytes: the first MiB (``tables.head``, last), the body, ENGINE-DATA, the backup GPT."""

    image: str
    target: str
    image_bytes: int
    body: Span
    tables: Tables
    data: Span | None
    data_is_kept: bool
    data_guid: uuid.UUID
    data_survives: bool
    """Whether the stick says outside its first MiB where its ENGINE-DATA is."""
    keeps: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    holes: tuple[Span, ...] = ()
    """Where the stick's first MiB is not the image's: MBR and GPT."""

    @property
    def total_bytes(self) -> int:
        """What is read back in the end: image and tables."""
        return len(self.tables.head) + self.body.size_bytes + len(self.tables.tail)


def make_plan(image: ImageShape, stick: StickShape, *, with_data: bool = True) -> WritePlan:
    """The plan for one stick; RefusedError with numbers if image or ENGINE-DATA does not fit."""
    if stick.sector_bytes != SECTOR:
        raise RefusedError(
            f"{stick.path} has sectors of {stick.sector_bytes} bytes; the image's tables count 512.",
            "Use another stick.",
        )
    tail_bytes = SECTOR + image.gpt.array_bytes if image.gpt else 0
    needed = max(image.size_bytes, tables.HEAD_BYTES) + tail_bytes
    if needed > stick.size_bytes:
        raise RefusedError(
            f"{image.name} needs {format_size(needed)} ({needed} bytes), "
            f"{stick.path} has {format_size(stick.size_bytes)} ({stick.size_bytes} bytes).",
            "Use a larger stick.",
        )
    data, kept, notes = _data(image, stick, with_data)
    guid = (stick.data and stick.data.guid) or uuid.uuid4()
    merged = tables.merge(image.head, image.gpt, stick.size_bytes, data, guid)
    body = Span(tables.HEAD_BYTES, max(0, image.size_bytes - tables.HEAD_BYTES))
    return WritePlan(
        image.name,
        stick.path,
        image.size_bytes,
        body,
        merged,
        data,
        kept,
        guid,
        data_survives=stick.data is not None and stick.data.survives,
        keeps=("ENGINE-DATA with its answers and reports",) if kept else (),
        loses=stick.contents,
        notes=(*notes, *merged.notes),
        holes=_differences(image.head, merged.head),
    )


def with_head(plan: WritePlan, image_head: bytes, head: bytes) -> WritePlan:
    """The plan with another first MiB for the stick."""
    holes = _differences(image_head, head)
    return replace(plan, tables=replace(plan.tables, head=head), holes=holes)


def _differences(old: bytes, new: bytes) -> tuple[Span, ...]:
    """The 512-byte sectors in which two first MiBs differ, joined to spans."""
    found: list[Span] = []
    for offset in range(0, len(old), SECTOR):
        if old[offset : offset + SECTOR] == new[offset : offset + SECTOR]:
            continue
        if found and found[-1].end == offset:
            found[-1] = Span(found[-1].offset_bytes, found[-1].size_bytes + SECTOR)
        else:
            found.append(Span(offset, SECTOR))
    return tuple(found)


def _data(image: ImageShape, stick: StickShape, wanted: bool) -> tuple[Span | None, bool, list[str]]:
    if not wanted:
        return None, False, []
    if not tables.has_room_table(image.head, image.gpt):
        return None, False, [f"{image.name} has no partition table: it gets no ENGINE-DATA."]
    old = stick.data.span if stick.data else None
    if old is not None:
        end = stick.size_bytes - (SECTOR + image.gpt.array_bytes if image.gpt else 0)
        if old.offset_bytes >= max(image.size_bytes, MIB) and old.end <= end:
            return old, True, []
        missing = max(image.size_bytes, MIB) - old.offset_bytes
        if missing <= 0:
            what = f"ENGINE-DATA on {stick.path} reaches into where the backup partition table belongs."
        else:
            what = (
                f"ENGINE-DATA on {stick.path} leaves {format_size(old.offset_bytes)} for the image: "
                f"{image.name} needs {format_size(missing)} more."
            )
        raise RefusedError(
            what,
            "Copy its reports away and write again with --no-data, or use another stick.",
        )
    notes = ["The ENGINE-DATA on it is damaged, and is made anew."] if stick.data_is_damaged else []
    span = tables.place_data(image.size_bytes, stick.size_bytes)
    if span is None:
        left = max(0, stick.size_bytes - image.size_bytes)
        return None, False, [f"No ENGINE-DATA: {format_size(left)} are left, it needs 40 MiB."]
    return span, False, notes
