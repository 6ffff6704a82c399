"""One disk looked at, read-only: which Engine is on it, in what state, and why we think so.

Reads the partition table, the ESP (by our own FAT reader), the superblock and files of engine-state and
engine-vms (by debugfs). Damage is a finding, never an error; only failing I/O is raised.
"""

from __future__ import annotations

import json
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from mediakit.block.target import Target
from mediakit.engine import manifest as manifests
from mediakit.errors import MediakitError
from mediakit.formats import ext4, mbr, squashfs
from mediakit.formats.fat import Fat
from mediakit.install import bootenv, journal, room, soundness, state, windows
from mediakit.install.bootloader import SHIM_PATH
from mediakit.install.ext4files import Ext4Files
from mediakit.install.machine import Finding, Interrupted, Registration, Room, Slot, VmDefinition
from mediakit.install.windows import Window
from mediakit.plain import dataclass
from mediakit.units import KIB, SECTOR

RECEIPT_PATH = "/engine/receipt.json"
_BLANK_BYTES = 64 * KIB
"""As much of a partition's beginning tells whether anything was ever put there."""


@dataclass
class EngineEvidence:
    """What was found of an Engine of layout 2; empty where nothing could be read."""

    evidence: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    receipt: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    pending: journal.Pending | None = None
    slots: list[Slot] = field(default_factory=list)
    vms: list[VmDefinition] = field(default_factory=list)
    registration: Registration | None = None
    was_booted: bool = True
    has_loader: bool = False
    inactive_bytes: int = 0
    room: Room = field(default_factory=Room)
    is_state_read: bool = False
    is_state_dirty: bool = False
    unsound: Finding | None = None
    """Why nothing of this Engine may be written: its names, its boot choice or its table contradict."""

    @property
    def good(self) -> Slot | None:
        """The slot that last called itself good."""
        return next((slot for slot in self.slots if slot.name == self.environment.get("good")), None)

    @property
    def pending_action(self) -> str:
        """The action that was interrupted, or nothing."""
        return str(self.pending.plan.get("action", "")) if self.pending else ""

    @property
    def unreadable(self) -> str:
        """What a new system would take over and cannot; a state with a waiting journal may yet be read."""
        if not self.environment.get("good"):
            return "The Engine's boot choice cannot be read."
        return "" if self.is_state_read or self.is_state_dirty else "The Engine's settings cannot be read."

    @property
    def interrupted(self) -> Interrupted | None:
        """What the journal says of the action that was interrupted."""
        if self.pending is None:
            return None
        plan = self.pending.plan
        build = plan.get("build")
        return Interrupted(
            self.pending_action,
            plan.get("keep_vms") is True,
            str(plan.get("version", "")),
            build if isinstance(build, int) else 0,
            str(plan.get("install_id", "")),
        )

    @property
    def state(self) -> str:
        """ok, damaged, interrupted, trial or never_booted."""
        if self.unsound is not None:
            return "damaged"
        if self.pending is not None:
            return "interrupted"
        good = self.good
        if good is None or not good.whole or good.state == "damaged" or not self.is_state_read:
            return "damaged"
        if self.environment.get("try"):
            return "trial"
        return "ok" if self.was_booted else "never_booted"


def look(target: Target, state_mount: Path | None = None) -> EngineEvidence | None:
    """The Engine of layout 2 on this disk; None when nothing speaks for one.

    ``state_mount`` is where a running Engine has its engine-state: what is free there is asked of the kernel,
    because the superblock on the disk is not kept up to date meanwhile.
    """
    try:
        found = windows.partitions(target)
    except MediakitError:
        return None
    named = [name for name in windows.LAYOUT_2 if name in found]
    if windows.ESP not in named and len(named) < 3:
        return None
    if all(is_blank(found[name][1]) for name in named if name != windows.BIOS):
        return None  # a table, and nothing in it yet: a fresh install was cut there
    facts = EngineEvidence(room=room.sizes(found))
    facts.evidence.append(f"Partitions named {', '.join(named)}.")
    if windows.ESP in found:
        _look_at_esp(facts, target, found[windows.ESP][1])
    else:
        facts.findings.append(Finding("error", "The Engine's boot partition is missing.", "Reinstall it."))
    _look_at_state(facts, target, found)
    if state_mount is not None:
        facts.room = room.of_mounted(facts.room, state_mount, facts.environment.get("good", ""))
    facts.unsound = soundness.look(target)
    facts.findings += filter(None, (facts.unsound, soundness.behind_the_store(target)))
    if windows.VMS in found:
        _look_at_vms(facts, target, found[windows.VMS][1])
    if facts.pending is not None and (_is_finished(facts, target) or _has_run(facts, found)):
        facts.pending = None
    if facts.pending is not None:
        facts.evidence.append(f"The journal says that “{facts.pending_action}” was interrupted.")
    return facts


def is_blank(window: Window) -> bool:
    """Whether nothing was written to the partition's beginning since a fresh install cleared it."""
    return not any(window.read(0, min(_BLANK_BYTES, window.size_bytes)))


def _look_at_esp(facts: EngineEvidence, target: Target, window: Window) -> None:
    try:
        fat = Fat(window.reader)
        facts.has_loader = fat.exists(SHIM_PATH)
        facts.receipt = _object(fat.read(RECEIPT_PATH))
        facts.evidence.append(f"{RECEIPT_PATH} on the boot partition.")
    except MediakitError as error:
        facts.findings.append(Finding("error", f"The install receipt cannot be read: {error.message}", ""))
    try:
        facts.environment = bootenv.read(window.reader, 0, window.size_bytes)
        facts.evidence.append(f"{bootenv.PATH} says slot {facts.environment.get('good', '')}.")
    except MediakitError as error:
        facts.findings.append(
            Finding("error", f"The boot choice cannot be read: {error.message}", "Reinstall it.")
        )
    try:
        facts.pending = journal.read_pending(window.reader, 0, window.size_bytes)
    except MediakitError as error:
        facts.findings.append(Finding("warning", f"The journal cannot be read: {error.message}", ""))


def _is_finished(facts: EngineEvidence, target: Target) -> bool:
    """Whether only the journal's last mark is missing: the switch itself has happened."""
    assert facts.pending is not None
    plan = facts.pending.plan
    slot = plan.get("slot")
    if plan.get("action") in ("fresh", "reinstall"):
        sector = target.read(0, 512)
        is_whole = facts.environment.get("whole_a") == "1"
        if is_whole and facts.was_booted:
            return True  # by UEFI, for which the last sector, the MBR, does not matter
        if target.sector_bytes != SECTOR:
            return is_whole and facts.has_loader
        return mbr.has_signature(sector) and mbr.parse(sector).has_boot_code
    if plan.get("action") == "rollback":
        return True
    return slot in (facts.environment.get("try"), facts.environment.get("good"))


def _has_run(facts: EngineEvidence, found: dict[str, tuple[int, Window]]) -> bool:
    """Whether an install that is to make the VM store anew is older than what lies in it: going on would
    destroy that. A store that was never written, half made, or never mounted holds nothing."""
    assert facts.pending is not None
    plan = facts.pending.plan
    if plan.get("action") not in ("fresh", "reinstall") or plan.get("keep_vms") or windows.VMS not in found:
        return False
    window = found[windows.VMS][1]
    keys = plan.get("keys")
    step = keys.index("vms") + 1 if isinstance(keys, list) and "vms" in keys else 0
    is_half_made = step in facts.pending.begun and step not in facts.pending.done
    if is_half_made or is_blank(window):
        return False
    try:
        return bool(ext4.read(window.reader).last_mounted)
    except MediakitError:
        return True


def _look_at_state(facts: EngineEvidence, target: Target, found: dict[str, tuple[int, Window]]) -> None:
    files: dict[str, bytes] = {}
    if windows.STATE in found:
        window = found[windows.STATE][1]
        try:
            superblock = ext4.read(window.reader)
            facts.was_booted = bool(superblock.last_mounted)
            facts.is_state_dirty = superblock.needs_recovery
            if superblock.needs_recovery:
                what = "The state was not closed cleanly: what is read of it may be stale."
                facts.findings.append(Finding("note", what, "The Engine repairs it at its next start."))
            reader = Ext4Files(target.path, window.start)
            names = [f"/slots/{slot}/{name}" for slot in "ab" for name in ("state.json", "manifest.json")]
            files = reader.read(names)
            good = facts.environment.get("good", "")
            settings = reader.tree_bytes(f"/slots/{good}") if good in windows.SLOT_NAMES else -1
            size = superblock.block_bytes
            blocks, free = superblock.size_bytes // size, superblock.free_bytes // size
            free_bytes = room.usable_bytes(free, blocks, size)
            facts.room = replace(facts.room, state_free_bytes=free_bytes, settings_bytes=settings)
        except MediakitError as error:
            what = f"The state cannot be read: {error.message}"
            facts.findings.append(Finding("error", what, "Reinstall it; the VMs can be kept."))
    good = facts.environment.get("good", "")
    for slot, name in windows.SLOT_NAMES.items():
        if name in found:
            facts.slots.append(_slot(facts, slot, found[name][1], files.get(f"/slots/{slot}/manifest.json")))
            if slot == bootenv.inactive_slot(facts.environment):
                facts.inactive_bytes = found[name][1].size_bytes
    try:
        current = state.parse(files[f"/slots/{good}/state.json"])
        facts.is_state_read = True
        if current.registration:
            values = (str(current.registration.get(k, "")) for k in ("server", "machine_id", "registered"))
            facts.registration = Registration(*values)
    except (KeyError, MediakitError):
        if good:
            what = f"The settings of slot {good} cannot be read."
            facts.findings.append(Finding("error", what, "Reinstall it; the VMs can be kept."))


def _slot(facts: EngineEvidence, slot: str, window: Window, manifest_bytes: bytes | None) -> Slot:
    environment = facts.environment
    is_whole = environment.get(f"whole_{slot}") == "1"
    version, build = "", 0
    if manifest_bytes is not None:
        try:
            manifest = manifests.parse(manifest_bytes)
            version, build = manifest.version, manifest.build
        except MediakitError:
            pass
    try:
        squashfs.parse(window.read(0, squashfs.SUPERBLOCK_BYTES))
        has_system = True
    except MediakitError:
        has_system = False
    if is_whole and not has_system:
        kind = "damaged"
    elif not has_system or not is_whole:
        kind = "good" if environment.get("good") == slot and has_system else "empty"
    elif environment.get("good") == slot:
        kind = "good"
    else:
        kind = "trial" if environment.get("try") == slot else "other"
    if kind == "damaged":
        facts.findings.append(
            Finding("error", f"Slot {slot} holds no system that can be read.", "Repair it.")
        )
    return Slot(slot, version if kind != "empty" else "", build if kind != "empty" else 0, kind, is_whole)


def _look_at_vms(facts: EngineEvidence, target: Target, window: Window) -> None:
    try:
        if ext4.read(window.reader).needs_recovery:
            what = "The VM store was not closed cleanly: what is read of it may be stale."
            facts.findings.append(Finding("note", what, ""))
    except MediakitError as error:
        what = f"The VM store cannot be read: {error.message}"
        facts.findings.append(Finding("error", what, "Do not reinstall before the VMs are saved."))
        return
    files = Ext4Files(target.path, window.start)
    names = [entry.name for entry in files.folder("/") if entry.is_folder and entry.name != "lost+found"]
    definitions = files.read([f"/{name}/vm.json" for name in names])
    for path, data in sorted(definitions.items()):
        folder = path.rpartition("/")[0]
        size = sum(entry.size_bytes for entry in files.folder(folder) if entry.is_file)
        vm = vm_definition(data, size - len(data))
        if vm is None:
            facts.findings.append(Finding("warning", f"The VM definition {path} cannot be read.", ""))
        else:
            facts.vms.append(vm)


def vm_definition(data: bytes, size_bytes: int) -> VmDefinition | None:
    """A VM definition's dataclass; None when it is none."""
    document = _object(data)
    if not isinstance(document.get("name"), str):
        return None
    memory = document.get("memory_bytes")
    disks = document.get("disks")
    return VmDefinition(
        name=document["name"],
        uuid=str(document.get("uuid") or ""),
        origin=str(document.get("origin") or "local"),
        published_by=str(document.get("published_by") or ""),
        pv_driver=str(document.get("pv_driver") or ""),
        min_engine=_version(document.get("min_engine")),
        memory_bytes=memory if isinstance(memory, int) else 0,
        disks=tuple(_disk_name(disk) for disk in disks) if isinstance(disks, list) else (),
        size_bytes=max(0, size_bytes),
    )


def _disk_name(disk: object) -> str:
    if isinstance(disk, dict):
        return str(disk.get("path") or disk.get("file") or disk.get("name") or "")
    return str(disk)


def _version(value: object) -> str:
    text = str(value or "")
    return text if text.replace(".", "").isdigit() and text[0] != "." else ""


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
