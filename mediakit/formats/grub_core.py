"""What is built into a GRUB: the folder where it looks for its menu, and a configuration of its own. Pure.

Source: GRUB 2.06 ``include/grub/kernel.h`` (``grub_module_info32``, ``grub_module_header``): modules, a
memory disk, a configuration, the prefix; for UEFI in the section ``mods``, for BIOS behind the kernel in what
``grub-mkimage`` compressed (``include/grub/offsets.h``, ``boot/i386/pc/startup_raw.S``: LZMA without header,
its sizes in words 2 and 3 of the part that unpacks it).
"""

from __future__ import annotations

import struct

from mediakit.errors import FormatError
from mediakit.formats.pe import EfiProgram
from mediakit.formats.reader import Reader, bytes_reader
from mediakit.plain import dataclass

_INFO = struct.Struct("<4s4xQQ")
_INFO32 = struct.Struct("<4sII")
_MAGIC = b"mimg"
_CORE_OFFSET = 2048 + 512
_UNPACKER_BYTES = 0xB20  # lzma_decompress.img of 2.06
_MAX_CORE = 2 << 20
_MAX_TRIES = 16
_OBJECT = struct.Struct("<II")
_MEMDISK, _CONFIG, _PREFIX = 1, 2, 3
_MAX_OBJECTS = 1000
_MAX_TEXT = 65536


@dataclass(frozen=True)
class GrubCore:
    """``prefix`` as built in (it may name a device); ``config`` runs before the menu is looked for."""

    prefix: str
    config: bytes = b""
    has_memdisk: bool = False


def read_efi(reader: Reader, program: EfiProgram) -> GrubCore | None:
    """The objects in the program's ``mods`` section; None where it has none."""
    section = program.section("mods")
    if section is None or section.file_size < _INFO.size:
        return None
    start, end = section.file_offset, section.file_offset + section.file_size
    try:
        magic, at, size = _INFO.unpack(reader(start, _INFO.size))
        return _objects(reader, start + at, min(end, start + size)) if magic == _MAGIC else None
    except FormatError:
        return None


def read_bios(image: bytes) -> GrubCore | None:
    """The objects of an El Torito image (``cdboot.img``, ``diskboot.img``, then the core); None: unknown."""
    if len(image) < _CORE_OFFSET + 16:
        return None
    packed, unpacked = struct.unpack_from("<II", image, _CORE_OFFSET + 8)
    if not 0 < packed <= len(image) - _CORE_OFFSET or not 0 < unpacked <= _MAX_CORE:
        return None
    for start in _stream_starts(image):
        core = _unpack(image[start : start + packed], unpacked)
        at = core.find(_MAGIC)
        while at >= 0 and at + _INFO32.size <= len(core):
            _, offset, size = _INFO32.unpack_from(core, at)
            if offset == _INFO32.size and offset < size <= len(core) - at:
                return _objects(bytes_reader(core), at + offset, at + size)
            at = core.find(_MAGIC, at + 1)
    return None


def _stream_starts(image: bytes) -> list[int]:
    """Where the compressed part may start: behind the unpacking code, whose length differs."""
    places = range(_CORE_OFFSET + 0x800, min(_CORE_OFFSET + 0x1000, len(image)), 4)
    known = _CORE_OFFSET + _UNPACKER_BYTES
    likely = [place for place in (known, *places) if place < len(image) and image[place] == 0]
    return list(dict.fromkeys(likely))[:_MAX_TRIES]


def _unpack(raw: bytes, size_bytes: int) -> bytes:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}]
    try:
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(raw, max_length=size_bytes)
    except lzma.LZMAError:
        return b""


def _objects(reader: Reader, at: int, end: int) -> GrubCore:
    """Every object from ``at`` to ``end``, as far as they make sense; FormatError past the data."""
    prefix, config, memdisk = "", b"", False
    for _ in range(_MAX_OBJECTS):
        if at + _OBJECT.size > end:
            break
        kind, length = _OBJECT.unpack(reader(at, _OBJECT.size))
        if length < _OBJECT.size or at + length > end:
            break
        if kind in (_CONFIG, _PREFIX):
            raw = reader(at + _OBJECT.size, min(length - _OBJECT.size, _MAX_TEXT)).split(b"\0", 1)[0]
            config = raw if kind == _CONFIG else config
            prefix = raw.decode("utf-8", "replace") if kind == _PREFIX else prefix
        memdisk = memdisk or kind == _MEMDISK
        at += length
    return GrubCore(prefix, config, memdisk)
