"""What is built into a GRUB for UEFI: the folder where it looks for its menu, and a menu of its own. Pure.

Source: GRUB 2.06 ``include/grub/kernel.h`` (``grub_module_info64``, ``grub_module_header``): the section
``mods`` holds modules, a memory disk, a configuration, the prefix.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mediakit.errors import FormatError
from mediakit.formats.pe import EfiProgram
from mediakit.formats.reader import Reader

_INFO = struct.Struct("<4s4xQQ")
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
        if magic != b"mimg":
            return None
        end = min(end, start + size)
        at += start
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
    except FormatError:
        return None
    return GrubCore(prefix, config, memdisk)
