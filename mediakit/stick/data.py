"""ENGINE-DATA: the FAT32 partition behind the image, for answers, reports and the receipt.

It is made whole, or kept: then files are added to the FAT that is there in an order that survives any cut.
"""

from __future__ import annotations

import time

from mediakit.block.target import Target
from mediakit.errors import DeviceError, FormatError
from mediakit.formats import fat, gpt
from mediakit.formats.reader import sub_reader
from mediakit.stick import receipt, signpost
from mediakit.stick.receipt import Receipt
from mediakit.stick.tables import DATA_NAME, MIN_DATA_BYTES, Located, Span, find_data
from mediakit.units import SECTOR

ANSWERS = "/answers.toml"
REPORTS = "/reports"
_README = (
    b"ENGINE-DATA\r\n\r\nanswers.toml  answers for an unattended installation (mediakit answers example)\r\n"
    b"reports       one file for each machine that was installed or upgraded with this stick\r\n"
)


def open_fat(target: Target, span: Span) -> fat.Fat:
    """The filesystem of ENGINE-DATA; FormatError if it is none."""
    return fat.Fat(sub_reader(target.reader, span.offset_bytes, span.size_bytes))


def locate(target: Target) -> Located | None:
    """Where ENGINE-DATA is, by the tables, or by the note of a writing that was cut off; None without one."""
    if target.size_bytes < MIN_DATA_BYTES:
        return None
    state = gpt.read(target.reader, target.size_bytes, SECTOR)
    found = find_data(state, target.read(0, SECTOR))
    found = found or signpost.parse(target.read(signpost.place(target.size_bytes), SECTOR))
    return found if found is not None and found.span.end <= target.size_bytes else None


def is_usable(target: Target, span: Span) -> bool:
    """Whether a whole FAT called ENGINE-DATA lies there."""
    try:
        filesystem = open_fat(target, span)
        list(filesystem.walk())
    except FormatError:
        return False
    return filesystem.label.strip() == DATA_NAME and filesystem.volume.size_bytes <= span.size_bytes


def read_file(target: Target, span: Span, path: str) -> bytes | None:
    """A file of ENGINE-DATA; None when it is not there or damaged."""
    try:
        filesystem = open_fat(target, span)
        return filesystem.read(path) if filesystem.exists(path) else None
    except FormatError:
        return None


def read_receipt(target: Target, span: Span) -> Receipt | None:
    """The receipt; None without a good one."""
    content = read_file(target, span, receipt.PATH)
    if content is None:
        return None
    try:
        return receipt.parse(content)
    except FormatError:
        return None


def add_files(target: Target, span: Span, files: dict[str, bytes]) -> int:
    """Add or replace ``files`` in the FAT that is there; returns how many bytes were written.

    After a cut each file is absent, old or new. RefusedError when there is no room.
    """
    written = 0
    for path, content in files.items():
        for offset, sectors in open_fat(target, span).plan_add(path, content, timestamp=int(time.time())):
            target.write(span.offset_bytes + offset, sectors)
            target.flush()
            written += len(sectors)
        if read_file(target, span, path) != content:
            raise _differs(target, span.offset_bytes)
    return written


def make(target: Target, span: Span, files: dict[str, bytes], *, serial: int, timestamp: int) -> int:
    """Build ENGINE-DATA anew and read it back, boot sector last; returns how many bytes were written."""
    wanted = {"/README.txt": _README} | files
    image = fat.build(
        span.size_bytes,
        [fat.FatFile(path, content) for path, content in sorted(wanted.items())],
        directories=[REPORTS],
        sector_bytes=SECTOR,
        label=DATA_NAME,
        serial=serial,
        hidden_sectors=span.offset_bytes // SECTOR,
        fat_type=32,
        timestamp=timestamp,
    )
    written = 0
    for offset, size in image.must_be_zero:
        target.zero(span.offset_bytes + offset, size)
        written += size
    target.flush()
    for kinds in (("data",), ("fat", "info"), ("directory",), ("boot",)):
        for region in image.regions:
            if region.kind in kinds:
                target.write(span.offset_bytes + region.offset, region.data)
                written += len(region.data)
        target.flush()
    for region in image.regions:
        if target.read(span.offset_bytes + region.offset, len(region.data)) != region.data:
            raise _differs(target, span.offset_bytes + region.offset)
    return written


def _differs(target: Target, offset: int) -> DeviceError:
    return DeviceError(
        f"{target.path}: ENGINE-DATA reads back differently at byte {offset}.",
        "The stick is failing: use another one.",
    )
