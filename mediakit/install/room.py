"""Whether what is to be written fits into the partitions that stay: asked before the first byte is written.

Owns the sizes of an Engine's partitions and the "no, because" of too little room. Writes nothing.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mediakit.engine.manifest import Manifest
from mediakit.errors import FormatError, RefusedError
from mediakit.install import bootenv, bootloader, journal, windows
from mediakit.install.machine import Offer, Room
from mediakit.install.windows import Window
from mediakit.units import KIB, MIB, align_up, format_size

_BLOCK_BYTES = 4 * KIB
_SPARE_BYTES = 256 * KIB
"""For folders, the signature, and settings that grow when they are migrated."""
_STATE_LEAST_BYTES = 64 * MIB
"""The least for a new state beside kept VMs: ext4, the settings of two slots, some logs."""
_RECEIPT_BYTES = 4 * KIB
_SAVE = "Save the VMs elsewhere, then reinstall without keeping them: that makes a new partition table."


def sizes(found: dict[str, tuple[int, Window]]) -> Room:
    """The partitions' sizes; nothing of what is free."""
    size = {name: window.size_bytes for name, (_, window) in found.items()}
    return Room(
        esp_bytes=size.get(windows.ESP, 0),
        bios_bytes=size.get(windows.BIOS, 0),
        slot_a_bytes=size.get("engine-a", 0),
        slot_b_bytes=size.get("engine-b", 0),
        state_bytes=size.get(windows.STATE, 0),
        vms_bytes=size.get(windows.VMS, 0),
    )


def of_mounted(known: Room, state: Path, slot: str) -> Room:
    """``known`` with what the kernel says of the mounted ``state``; ``slot`` has the settings in use."""
    found = os.statvfs(state)
    total = _BLOCK_BYTES
    for folder, folders, files in os.walk(state / "slots" / slot):
        total += _BLOCK_BYTES * len(folders)
        for name in files:
            total += align_up((Path(folder) / name).lstat().st_size, _BLOCK_BYTES)
    free = usable_bytes(found.f_bfree, found.f_blocks, found.f_frsize)
    return replace(known, state_free_bytes=free, settings_bytes=total)


def usable_bytes(free_blocks: int, blocks: int, block_bytes: int) -> int:
    """What root can write of an ext4's free blocks: all but those that it keeps for itself, 2 % or 4096
    (Linux ``fs/ext4/super.c``, ``ext4_calculate_resv_clusters``)."""
    return max(0, free_blocks - min(blocks // 50, 4096)) * block_bytes


def for_settings(action: str, room: Room, manifest: Manifest) -> Offer:
    """Whether the settings can be copied for the other slot, beside those that are there."""
    if room.state_free_bytes < 0 or room.settings_bytes < 0:
        return Offer(action, True)
    need = room.settings_bytes + align_up(len(manifest.to_bytes()), _BLOCK_BYTES) + _SPARE_BYTES
    if room.state_free_bytes >= need:
        return Offer(action, True)
    free = format_size(room.state_free_bytes)
    return Offer(
        action,
        False,
        f"The Engine's state partition has {free} free, a copy of the settings needs {format_size(need)}.",
        "Usually logs fill it: in the running Engine, delete old files in /engine/state/logs, and try again.",
    )


def for_kept_vms(room: Room, manifest: Manifest, sector_bytes: int) -> Offer:
    """Whether a new Engine fits into the partitions beside a VM store that is kept."""
    try:
        _check_kept(room, manifest, sector_bytes)
    except RefusedError as error:
        return Offer("reinstall", False, error.message, error.hint)
    return Offer("reinstall", True)


def _check_kept(room: Room, manifest: Manifest, sector_bytes: int) -> None:
    there = {
        windows.ESP: room.esp_bytes,
        windows.BIOS: room.bios_bytes,
        "engine-a": room.slot_a_bytes,
        "engine-b": room.slot_b_bytes,
        windows.STATE: room.state_bytes,
        windows.VMS: room.vms_bytes,
    }
    for name, size in there.items():
        if size == 0:
            raise RefusedError(
                f"This disk lacks the partition {name}, so its VM store cannot be kept in place.",
                "Repair its partition table first, or save the VMs elsewhere.",
            )
    need, least = manifest.system.size_bytes, _STATE_LEAST_BYTES
    if need > min(room.slot_a_bytes, room.slot_b_bytes):
        has = format_size(min(room.slot_a_bytes, room.slot_b_bytes))
        raise RefusedError(
            f"The new system needs {format_size(need)}, the slots beside the kept VM store have {has}.", _SAVE
        )
    bootloader.check_room(manifest.file(f"{bootloader.FOLDER}core.img").size_bytes, room.bios_bytes)
    _check_esp(room.esp_bytes, manifest, sector_bytes)
    if room.state_bytes < least:
        has = format_size(room.state_bytes)
        raise RefusedError(
            f"A new state needs {format_size(least)}, the partition beside the kept VM store has {has}.",
            _SAVE,
        )


def _check_esp(size_bytes: int, manifest: Manifest, sector_bytes: int) -> None:
    """Lay the boot partition out, with files of the right sizes and nothing in them."""
    listed = {entry.path: entry.size_bytes for entry in manifest.files}
    files = {
        path: listed[bootloader.FOLDER + name]
        for name, path in bootloader.ESP_FILES.items()
        if bootloader.FOLDER + name in listed
    }
    files |= {bootenv.PATH: bootenv.SIZE_BYTES, journal.PATH: journal.SIZE_BYTES}
    files["/engine/receipt.json"] = _RECEIPT_BYTES
    try:
        bootloader.check_layout(size_bytes, sector_bytes, files)
    except FormatError as error:
        need, has = format_size(sum(files.values())), format_size(size_bytes)
        raise RefusedError(
            f"The boot files need {need}, the boot partition beside the kept VM store has {has}.", _SAVE
        ) from error
