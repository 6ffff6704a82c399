"""What will happen, as data: made without side effects, printed by ``--dry-run``, shown on the summary
screen, stored in the journal, and only then executed. Same detection, choice and image: the same plan.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, field, replace
from pathlib import PurePath
from typing import Any, Protocol

from mediakit.block.devices import Device
from mediakit.engine.manifest import Manifest
from mediakit.errors import RefusedError, UsageError
from mediakit.install import offers, room, secureboot
from mediakit.install.choice import Choice
from mediakit.install.machine import Content, DetectedEngine, Detection, Disk, Offer
from mediakit.plain import dataclass
from mediakit.units import format_size

WHOLE_DISK = ("fresh", "reinstall")


def is_loss(content: Content) -> bool:
    """Whether somebody may miss this content: all but boot areas and what Windows reserves for nothing."""
    return bool(content.kind) or content.what.startswith("unknown")


class HasManifest(Protocol):
    """An Engine image, as far as a plan looks at it."""

    @property
    def manifest(self) -> Manifest: ...


@dataclass(frozen=True)
class Step:
    """One journaled step; ``cancel`` says whether one may stop before it."""

    n: int
    key: str
    what: str
    bytes: int = 0
    cancel: bool = True


@dataclass(frozen=True)
class InstallPlan:
    """A plan; ``already`` means that there is nothing to do.

    ``device`` is the disk that was looked at, whole: what is opened must be the same (serial, size, number of
    its appearance, place in the machine). It is of this run alone, and in no document.
    ``attended`` says why somebody has to be there, and what they can do: an unattended run stops.
    """

    id: str
    action: str
    disk: str
    keeps: tuple[str, ...]
    rewrites: tuple[str, ...]
    loses: tuple[str, ...]
    steps: tuple[Step, ...]
    slot: str = ""
    install_id: str = ""
    version: str = ""
    build: int = 0
    system_sha256: str = ""
    keep_vms: bool = False
    already: bool = False
    notes: tuple[str, ...] = ()
    attended: tuple[str, ...] = ()
    choice: Choice = field(default_factory=lambda: Choice("", ""), repr=False, compare=False)
    device: Device | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The plan as ``install --json`` prints it (FORMATS)."""
        return {
            "id": self.id,
            "action": self.action,
            "disk": self.disk,
            "keeps": list(self.keeps),
            "rewrites": list(self.rewrites),
            "loses": list(self.loses),
            "steps": [{"n": s.n, "what": s.what, "bytes": s.bytes, "cancel": s.cancel} for s in self.steps],
        }

    def to_journal(self) -> dict[str, Any]:
        """What the journal keeps: the plan and what continuing it needs; never a secret."""
        return self.to_json() | {
            "keys": [step.key for step in self.steps],
            "slot": self.slot,
            "install_id": self.install_id,
            "version": self.version,
            "build": self.build,
            "system_sha256": self.system_sha256,
            "keep_vms": self.keep_vms,
        }

    @property
    def total_bytes(self) -> int:
        """What all steps write and read back."""
        return sum(step.bytes for step in self.steps)


def make_plan(detection: Detection, choice: Choice, image: HasManifest | None) -> InstallPlan:
    """The plan for a choice; RefusedError with the offer's own words when it is not possible."""
    plan = _make(detection, choice, image)
    obstacle = secureboot.obstacle(detection.machine)
    is_here = plan.disk.startswith("/dev/")
    if obstacle is None or not is_here or plan.already or plan.action == "rollback":
        return plan
    return replace(plan, notes=(*plan.notes, " ".join(obstacle)), attended=obstacle)


def _make(detection: Detection, choice: Choice, image: HasManifest | None) -> InstallPlan:
    disk = detection.disk(choice.disk)
    if disk is None:
        raise UsageError(
            f"{choice.disk} is not among the disks that were looked at.", "Choose a listed disk."
        )
    engine = find_engine(disk, choice)
    choice = _resolve(choice, engine)
    action = choice.action
    manifest = image.manifest if image is not None else None
    if action == "upgrade" and engine and manifest and _is_there(engine, manifest):
        return _plan(disk, choice, action, manifest, engine, already=True)
    offer = _offer(disk, engine, action)
    if not offer.allowed:
        raise RefusedError(offer.reason, offer.way_forward)
    if action in WHOLE_DISK:
        assert manifest is not None
        if choice.keep_vms and (action == "fresh" or engine is None):
            raise RefusedError(
                "The VMs were to be kept, and this would destroy them: only the reinstall of an Engine "
                "that was recognised keeps them.",
                "Choose reinstall, or leave out --keep-vms (keep_vms in the answers) to destroy them.",
            )
        if choice.keep_vms and engine is not None and engine.room is not None:
            fits = room.for_kept_vms(engine.room, manifest, disk.sector_bytes)
            if not fits.allowed:
                raise RefusedError(fits.reason, fits.way_forward)
        check_wipe(disk, choice)
        return _whole_disk(disk, choice, action, manifest, engine)
    assert engine is not None
    if action == "rollback":
        return _rollback(disk, choice, engine)
    assert manifest is not None
    return _into_slot(disk, choice, action, manifest, engine)


def _is_there(engine: DetectedEngine, manifest: Manifest) -> bool:
    return engine.state != "damaged" and offers.is_same(engine.version, engine.build, manifest)


def find_engine(disk: Disk, choice: Choice) -> DetectedEngine | None:
    """The Engine that the choice means; UsageError when several are there and none is named."""
    if choice.install_id:
        for engine in disk.engines:
            if engine.install_id == choice.install_id:
                return engine
        raise RefusedError(f"There is no Engine {choice.install_id} on {disk.path}.", "Detect again.")
    if len(disk.engines) > 1:
        raise UsageError(f"{disk.path} holds several Engines.", "Name one by its install id.")
    return disk.engines[0] if disk.engines else None


def is_nothing_lost(disk: Disk) -> bool:
    """Whether the disk holds nothing that a fresh install would destroy."""
    return not disk.engines and not any(is_loss(content) for content in disk.contents)


def check_wipe(disk: Disk, choice: Choice) -> None:
    """RefusedError unless what is destroyed was named: serial, file name or install id (law 2)."""
    if is_nothing_lost(disk) or _goes_on(disk, choice):
        return
    name = PurePath(disk.path).name
    is_file = disk.bus == "file" or not disk.path.startswith("/dev/")
    known = {engine.install_id for engine in disk.engines} | {name if is_file else disk.serial}
    known |= {engine.interrupted.install_id for engine in disk.engines if engine.interrupted}
    if not known - {""}:
        known = {disk.path}  # it has no other name
    what = describe_loss(disk)
    if choice.wipe and choice.wipe in known - {""}:
        return
    expected = name if is_file else disk.serial or next(iter(sorted(known - {""})))
    if choice.wipe:
        raise RefusedError(
            f"“{choice.wipe}” is not the identity of {disk.path}, which holds {what}.",
            f"To destroy it, name it: --wipe {expected}",
        )
    raise RefusedError(f"{disk.path} holds {what}.", f"To destroy it, name it: --wipe {expected}")


def describe_loss(disk: Disk) -> str:
    """What the disk holds, in a few words."""
    words = [f"Engine {engine.version}".rstrip() for engine in disk.engines]
    if not words:
        kinds = dict.fromkeys(c.what or c.kind for c in disk.contents if is_loss(c))
        words = list(kinds)[:4]
    return ", ".join(words) or "nothing"


def _resolve(choice: Choice, engine: DetectedEngine | None) -> Choice:
    """``continue`` becomes the action that was interrupted, as it was chosen then."""
    if choice.action != "continue":
        return choice
    offer = engine.offer("continue") if engine else Offer("continue", False, "Nothing was interrupted here.")
    if not offer.allowed:
        raise RefusedError(offer.reason, offer.way_forward)
    interrupted = engine.interrupted if engine else None
    if interrupted is None:
        raise RefusedError("It cannot be told which action was interrupted here.", "Detect again.")
    keep_vms = choice.keep_vms or interrupted.keep_vms
    if engine and interrupted.action in WHOLE_DISK and engine.vms and not keep_vms:
        raise RefusedError(
            "There are VMs on this Engine, and the interrupted action would destroy them.",
            "Choose reinstall, which can keep them.",
        )
    return replace(choice, action=interrupted.action, keep_vms=keep_vms)


def _goes_on(disk: Disk, choice: Choice) -> bool:
    """Whether the choice ends what was begun on this disk, and nothing is destroyed that was not then."""
    engine = find_engine(disk, choice)
    begun = engine.interrupted if engine else None
    if engine is None or begun is None or begun.action not in WHOLE_DISK or begun.action != choice.action:
        return False
    return choice.keep_vms or not (engine.vms or begun.keep_vms)


def _offer(disk: Disk, engine: DetectedEngine | None, action: str) -> Offer:
    if action == "fresh":
        return disk.offer("fresh")
    if action == "reinstall" and engine is None:
        return disk.offer("fresh")
    if engine is None:
        return Offer(action, False, f"There is no Engine on {disk.path}.", "Choose a fresh install.")
    return engine.offer(action)


def _whole_disk(
    disk: Disk, choice: Choice, action: str, manifest: Manifest, engine: DetectedEngine | None
) -> InstallPlan:
    keep = action == "reinstall" and choice.keep_vms and engine is not None
    size = manifest.system.size_bytes
    steps = [
        ("clear", "Make the old contents unbootable", 0),
        ("table", "Keep the partition table" if keep else "Write a new partition table", 0),
        ("esp", "Write the boot partition", 0),
        ("slot", f"Write Engine {manifest.version} into slot a", size),
        ("verify", "Read slot a back and compare it with the manifest", size),
        ("state", "Make the state partition", 0),
    ]
    if not is_nothing_lost(disk):
        steps.insert(0, ("check", "Read the new system from the medium before anything is destroyed", size))
    if not keep:
        steps.append(("vms", "Make the VM store", 0))
    steps += [("whole", "Mark slot a as whole", 0), ("boot", "Make the disk bootable", 0)]
    vms = [f"VM “{vm.name}” ({format_size(vm.size_bytes)})" for vm in engine.vms] if engine else []
    loses: list[str] = []
    if engine is not None:
        loses.append(f"Engine {engine.version} with its settings, users and registration")
    elif not is_nothing_lost(disk):
        loses += [f"{c.what or c.kind} ({format_size(c.size_bytes)})" for c in disk.contents if is_loss(c)]
    keeps = [*vms, "The VM store, byte for byte"] if keep else []
    rewrites = ["Boot partition, system slot a and state"] if keep else [f"The whole disk {disk.path}"]
    return _plan(
        disk,
        choice,
        action,
        manifest,
        engine,
        steps=steps,
        slot="a",
        keep_vms=keep,
        keeps=keeps,
        rewrites=rewrites,
        loses=loses if keep else [*loses, *vms],
    )


def _into_slot(
    disk: Disk, choice: Choice, action: str, manifest: Manifest, engine: DetectedEngine
) -> InstallPlan:
    slot = _inactive(engine)
    size = manifest.system.size_bytes
    old = next((s for s in engine.slots if s.name == slot), None)
    steps = [
        ("unmark", f"Mark slot {slot} as not whole", 0),
        ("slot", f"Write Engine {manifest.version} into slot {slot}", size),
        ("verify", f"Read slot {slot} back and compare it with the manifest", size),
        ("state", f"Copy the settings for slot {slot}", 0),
        ("whole", f"Mark slot {slot} as whole", 0),
        ("try", f"Try slot {slot} at the next start", 0),
    ]
    keeps = [
        f"Engine {engine.version}, to fall back to",
        "Settings, users, registration",
        "The VM store, byte for byte",
    ]
    keeps += [f"VM “{vm.name}” ({format_size(vm.size_bytes)})" for vm in engine.vms]
    loses = [f"Engine {old.version} in slot {slot}"] if old is not None and old.version else []
    return _plan(
        disk,
        choice,
        action,
        manifest,
        engine,
        steps=steps,
        slot=slot,
        keeps=keeps,
        rewrites=[f"System slot {slot}"],
        loses=loses,
    )


def _rollback(disk: Disk, choice: Choice, engine: DetectedEngine) -> InstallPlan:
    keeps = ["Both system slots", "Settings, users, registration", "The VM store, byte for byte"]
    if engine.state in ("trial", "interrupted"):
        steps = [("untry", "Stay with the Engine that last called itself good", 0)]
        slot = ""
    else:
        last = offers.last_whole(engine.slots)
        slot = last.name if last is not None else _inactive(engine)
        steps = [("try", f"Try slot {slot} at the next start", 0)]
    return _plan(
        disk,
        choice,
        "rollback",
        None,
        engine,
        steps=steps,
        slot=slot,
        keeps=keeps,
        rewrites=["The boot choice"],
    )


def _inactive(engine: DetectedEngine) -> str:
    """The slot to write: not the good one, and never the last whole one."""
    if (last := offers.last_whole(engine.slots)) is not None:
        raise RefusedError(
            f"The system that starts is damaged, and the only whole one is in slot {last.name}.",
            "Roll back to it first.",
        )
    good = next((slot.name for slot in engine.slots if slot.state == "good"), "a")
    return "b" if good == "a" else "a"


def _plan(
    disk: Disk,
    choice: Choice,
    action: str,
    manifest: Manifest | None,
    engine: DetectedEngine | None,
    *,
    steps: list[tuple[str, str, int]] | None = None,
    slot: str = "",
    keep_vms: bool = False,
    already: bool = False,
    keeps: list[str] | None = None,
    rewrites: list[str] | None = None,
    loses: list[str] | None = None,
) -> InstallPlan:
    numbered = tuple(
        Step(n, key, what, size, cancel=key not in ("whole", "try", "boot"))
        for n, (key, what, size) in enumerate(steps or [], 1)
    )
    notes = []
    if engine is not None and engine.registration is not None and action in ("upgrade", "repair"):
        notes.append(f"This Engine belongs to {engine.registration.server}, which usually upgrades it.")
    plan = InstallPlan(
        id="",
        action=action,
        disk=disk.path,
        keeps=tuple(keeps or ()),
        rewrites=tuple(rewrites or ()),
        loses=tuple(loses or ()),
        steps=numbered,
        slot=slot,
        install_id=engine.install_id if engine else "",
        version=manifest.version if manifest else "",
        build=manifest.build if manifest else 0,
        system_sha256=manifest.system.sha256 if manifest else "",
        keep_vms=keep_vms,
        already=already,
        notes=tuple(notes),
        choice=choice,
        device=disk.device,
    )
    seed = json.dumps(plan.to_journal() | {"settings": asdict(choice.settings)}, sort_keys=True, default=str)
    return InstallPlan(**{**plan.__dict__, "id": hashlib.sha256(seed.encode()).hexdigest()[:32]})
