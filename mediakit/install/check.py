"""Whole slots held against their manifests (``detect --verify``); read-only, as slow as reading them."""

from __future__ import annotations

from dataclasses import replace

from mediakit.block.target import open_target
from mediakit.engine import manifest as manifests
from mediakit.errors import MediakitError
from mediakit.install import payload, windows
from mediakit.install.ext4files import Ext4Files
from mediakit.install.machine import DetectedEngine, Detection, Disk, Finding, Slot


def verified(found: Detection) -> Detection:
    """The same detection, with slots that are not what their manifest says marked as damaged."""
    return replace(found, disks=tuple(_disk(disk) if disk.engines else disk for disk in found.disks))


def _disk(disk: Disk) -> Disk:
    findings: list[Finding] = []
    engines = tuple(_engine(disk, engine, findings) for engine in disk.engines)
    return replace(disk, engines=engines, findings=(*disk.findings, *findings))


def _engine(disk: Disk, engine: DetectedEngine, findings: list[Finding]) -> DetectedEngine:
    slots: list[Slot] = []
    with open_target(disk.path, writable=False) as target:
        found = windows.partitions(target)
        files: dict[str, bytes] = {}
        if windows.STATE in found:
            reader = Ext4Files(target.path, found[windows.STATE][1].start)
            files = reader.read([f"/slots/{slot.name}/manifest.json" for slot in engine.slots])
        for listed in engine.slots:
            slot = listed
            if slot.whole and not _is_right(found, slot, files.get(f"/slots/{slot.name}/manifest.json")):
                what = f"Slot {slot.name} is not what its manifest says."
                findings.append(Finding("error", what, "Repair this Engine."))
                slot = replace(slot, state="damaged")
            slots.append(slot)
    is_damaged = any(
        new.state == "damaged" and old.state == "good" for new, old in zip(slots, engine.slots, strict=True)
    )
    return replace(engine, slots=tuple(slots), state="damaged" if is_damaged else engine.state)


def _is_right(found: dict[str, tuple[int, windows.Window]], slot: Slot, data: bytes | None) -> bool:
    try:
        window = found[windows.SLOT_NAMES[slot.name]][1]
        return data is not None and payload.is_slot_whole(window, manifests.parse(data).system)
    except (KeyError, MediakitError):
        return False
