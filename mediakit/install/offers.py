"""Which action is possible on an Engine or a disk, and if not: why, and what then. Pure.

Every "no" is a sentence (``reason``) and a way forward; the plan refuses with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mediakit.engine import layout, versions
from mediakit.engine.manifest import Manifest
from mediakit.install import room
from mediakit.install.machine import Finding, Machine, Offer, Room, Slot, VmDefinition
from mediakit.plain import dataclass
from mediakit.units import SECTOR, format_size

NO_IMAGE = Offer(
    "", False, "No Engine image was given.", "Name one: --image IMAGE, or boot the Engine medium."
)


def is_same(version: str, build: int, manifest: Manifest) -> bool:
    """Whether the image is the very version and build."""
    return bool(version) and versions.order(version, build, manifest.version, manifest.build) == versions.SAME


def fresh(
    machine: Machine, size_bytes: int, sector_bytes: int, blocked: str, hint: str, manifest: Manifest | None
) -> Offer:
    """The fresh install of a disk; ``blocked`` is why the disk may not be written at all."""
    if blocked:
        return Offer("fresh", False, blocked, hint)
    if sector_bytes != SECTOR and machine.firmware == "bios":
        return Offer(
            "fresh",
            False,
            f"A machine that starts by BIOS cannot boot from sectors of {sector_bytes} bytes.",
            "Switch the firmware to UEFI, or choose a disk with 512-byte sectors.",
        )
    if not machine.cpu_ok:
        return Offer("fresh", False, "This machine's processor cannot run Xen.", "Use a 64-bit machine.")
    if manifest is None:
        return _no_image("fresh")
    need = max(layout.minimum_disk_bytes(manifest.system.size_bytes), manifest.min_disk_bytes)
    if size_bytes < need:
        return Offer(
            "fresh",
            False,
            f"This disk has {format_size(size_bytes)}, the Engine needs {format_size(need)}.",
            "Choose a larger disk.",
        )
    ram, least = format_size(machine.ram_bytes), format_size(manifest.min_ram_bytes)
    if machine.ram_bytes and not versions.is_enough_ram(machine.ram_bytes, manifest.min_ram_bytes):
        return Offer(
            "fresh",
            False,
            f"This machine has {ram} of memory, the Engine needs {least}.",
            "Add memory, or use another machine.",
        )
    return Offer("fresh", True)


@dataclass(frozen=True)
class Known:
    """What the offers of one Engine depend on; ``slot_room`` is the inactive slot's size, ``pending`` an
    interrupted action, ``can_write`` whether the disk may be written at all, ``unreadable`` says
    what a new system would have to take over and cannot, ``unsound`` why nothing of this Engine
    may be written, though the whole disk may."""

    version: str
    build: int
    layout: int
    state: str
    slots: Sequence[Slot]
    vms: Sequence[VmDefinition]
    pending: str
    slot_room: int
    can_write: Offer
    room: Room | None = None
    unreadable: str = ""
    unsound: Finding | None = None


def engine_offers(known: Known, fresh_offer: Offer, manifest: Manifest | None) -> tuple[Offer, ...]:
    """All offers of one Engine."""
    if not known.can_write.allowed:
        why, then = known.can_write.reason, known.can_write.way_forward
        return tuple(Offer(a, False, why, then) for a in ("upgrade", "repair", "reinstall", "rollback"))
    found = [
        _upgrade(known, manifest),
        _new_system("repair", known, manifest, versions.judge_repair),
        Offer("reinstall", fresh_offer.allowed, fresh_offer.reason, fresh_offer.way_forward),
        _rollback(known),
    ]
    if (odd := known.unsound) is not None:
        found = [o if o.action == "reinstall" else Offer(o.action, False, odd.what, odd.hint) for o in found]
    if known.pending:
        found.append(_continue(known.pending, found))
    return tuple(found)


def _upgrade(known: Known, manifest: Manifest | None) -> Offer:
    offer = _new_system("upgrade", known, manifest, versions.judge_upgrade)
    if offer.allowed and known.layout != 2:
        reason = "Upgrading an Engine with disk layout 1 is not part of this version of the installer."
        return Offer("upgrade", False, reason, "Use a newer Engine medium.")
    return offer


def _new_system(
    action: str,
    known: Known,
    manifest: Manifest | None,
    judge: Callable[[versions.Installed, Manifest], versions.Verdict],
) -> Offer:
    """What an upgrade and a repair have in common: a new system in the other slot, with the settings."""
    if manifest is None:
        return _no_image(action)
    if not known.version:
        reason = "It cannot be told which version this Engine is."
        return Offer(action, False, reason, "Reinstall it; the VMs can be kept.")
    if known.unreadable:
        return Offer(action, False, known.unreadable, "Reinstall it; the VMs can be kept.")
    verdict = judge(known, manifest)
    if not verdict.allowed:
        return Offer(action, False, verdict.reason, verdict.way_forward)
    slot = _room(action, known, manifest)
    return slot if not slot.allowed or known.room is None else room.for_settings(action, known.room, manifest)


def _room(action: str, known: Known, manifest: Manifest) -> Offer:
    need, room = manifest.system.size_bytes, known.slot_room
    if (last := last_whole(known.slots)) is not None:
        return Offer(
            action,
            False,
            f"The system that starts is damaged, and the only whole one is in slot {last.name}.",
            "Roll back to it first.",
        )
    if room < need:
        return Offer(
            action,
            False,
            f"The new system needs {format_size(need)}, this Engine's slots have {format_size(room)}.",
            "Reinstall: that makes larger slots.",
        )
    return Offer(action, True)


def last_whole(slots: Sequence[Slot]) -> Slot | None:
    """The slot that must not be written because it holds the only whole system; None if the good one is."""
    if any(slot.state == "good" for slot in slots):
        return None
    return next((slot for slot in slots if slot.whole and slot.state in ("other", "trial")), None)


def _rollback(known: Known) -> Offer:
    if known.pending in ("upgrade", "repair"):
        reason = "The interrupted change is taken back; the old system stays as it is."
        return Offer("rollback", True, reason)
    if known.state == "trial":
        return Offer("rollback", True, "The trial is ended; the Engine before it starts next.")
    other = next((slot for slot in known.slots if slot.state == "other" and slot.whole), None)
    if other is None:
        reason = "There is no other whole version on this disk to go back to."
        return Offer("rollback", False, reason, "Upgrade or reinstall instead.")
    refused = versions.refused_vms(known.vms, other.version) if other.version else ()
    if refused:
        reason = f"Engine {other.version} will not run these VMs: {', '.join(refused)}."
        return Offer("rollback", True, reason)
    return Offer("rollback", True)


def _continue(pending: str, found: Sequence[Offer]) -> Offer:
    same = next((offer for offer in found if offer.action == pending), None)
    if pending in ("fresh", "reinstall"):
        same = found[2]
    if same is None or not same.allowed:
        reason = same.reason if same else f"It cannot be told how to go on with “{pending}”."
        return Offer("continue", False, reason, same.way_forward if same else "Choose another action.")
    return Offer("continue", True, f"The interrupted action “{pending}” goes on where it stopped.")


def _no_image(action: str) -> Offer:
    return Offer(action, False, NO_IMAGE.reason, NO_IMAGE.way_forward)
