"""The wizard's order and what it has learned so far: pure decisions, no screens.

``Draft`` is what the user has answered; ``path`` says which screens that makes, in which order; ``number`` is
what technicians call a screen (2 to 6, and the parts of 6).
"""

from __future__ import annotations

from dataclasses import field, replace
from enum import Enum
from pathlib import PurePath
from typing import Any

from mediakit.install.choice import Choice, Settings
from mediakit.install.machine import DetectedEngine as Engine
from mediakit.install.machine import Detection, Disk, Offer
from mediakit.install.plan import WHOLE_DISK, is_nothing_lost
from mediakit.install.state import Network
from mediakit.plain import dataclass


class Step(Enum):
    """One screen of the wizard; the value is its title, an English catalogue entry."""

    WELCOME = "Welcome"
    LICENCE = "Licence agreement"
    KEYBOARD = "Keyboard"
    FOUND = "What was found"
    DISK = "Disk"
    KEEP = "Virtual machines"
    HOST = "Host name"
    PASSWORD = "Administrator's password"
    NETWORK = "Network"
    ZONE = "Time zone"
    KEYS = "Trust in this medium"
    SUMMARY = "Summary"
    WORK = "Progress"
    DONE = "Done"


FRONT = (Step.WELCOME, Step.LICENCE, Step.KEYBOARD, Step.FOUND)
SETTINGS = (Step.HOST, Step.PASSWORD, Step.NETWORK, Step.ZONE)
END = (Step.SUMMARY, Step.WORK, Step.DONE)


@dataclass(frozen=True)
class Draft:
    """Everything answered so far; starts with the safe answers."""

    language: str = "en"
    keyboard: str = "us"
    action: str = ""
    continues: str = ""
    disk: str = ""
    install_id: str = ""
    keep_vms: bool = True
    host_name: str = "engine"
    password_hash: str = field(default="!", repr=False)
    network: Network = field(default_factory=Network)
    zone: str = "UTC"
    needs_keys: bool = False
    trusts: bool = False
    mode: str = "normal"

    @property
    def kind(self) -> str:
        """The action; where an interrupted one is continued, that one."""
        return self.continues or self.action

    def change(self, **answers: Any) -> Draft:
        return replace(self, **answers)


def path(draft: Draft) -> tuple[Step, ...]:
    """The screens that ``draft`` leads through, from first to last."""
    if draft.action == "fresh":
        return (*FRONT, Step.DISK, *SETTINGS, *END)
    if draft.action == "reinstall":
        return (*FRONT, Step.KEEP, *SETTINGS, *END)
    if draft.kind in WHOLE_DISK:
        return (*FRONT, *SETTINGS, *END)  # disk and VMs were decided when it was begun
    return (*FRONT, *((Step.KEYS,) if draft.needs_keys else ()), *END)


def after(step: Step, draft: Draft) -> Step:
    """The screen that follows ``step``."""
    steps = path(draft)
    return steps[steps.index(step) + 1]


def before(step: Step, draft: Draft) -> Step:
    """The screen that Esc leads to; the first has none before it, and there is no way back from progress."""
    steps = path(draft)
    at = steps.index(step)
    return step if at == 0 or step in (Step.WORK, Step.DONE) else steps[at - 1]


def number(step: Step, draft: Draft) -> tuple[int, int, int]:
    """Screen number as technicians know it, and for screen 6 which part of how many (else 0, 0)."""
    if step in FRONT:
        return FRONT.index(step) + 2, 0, 0
    parts = path(draft)[len(FRONT) :]
    return 6, parts.index(step) + 1, len(parts)


def find_disk(detection: Detection, draft: Draft) -> Disk | None:
    """The disk that ``draft`` means."""
    return next((disk for disk in detection.disks if disk.path == draft.disk), None)


def find_engine(detection: Detection, draft: Draft) -> Engine | None:
    """The Engine that ``draft`` means, if it means one."""
    disk = find_disk(detection, draft)
    engines = disk.engines if disk else ()
    return next((engine for engine in engines if engine.install_id == draft.install_id), None)


@dataclass(frozen=True)
class Option:
    """One thing that screen 5 offers; a fresh install has no disk yet."""

    offer: Offer
    disk: Disk | None = None
    engine: Engine | None = None


def continues(option: Option) -> str:
    """The interrupted action that an option continues, or nothing."""
    if option.offer.action != "continue" or option.engine is None or option.engine.interrupted is None:
        return ""
    return option.engine.interrupted.action


def fresh_offer(detection: Detection) -> Offer:
    """Whether a fresh install is possible at all, or why on no disk."""
    offers = [offer for disk in detection.disks for offer in disk.offers if offer.action == "fresh"]
    if any(offer.allowed for offer in offers):
        return Offer("fresh", True, "", "")
    if len(offers) == 1:
        return Offer("fresh", False, offers[0].reason, offers[0].way_forward)
    if offers:
        return Offer("fresh", False, "No disk can take a fresh install.", "Read the reason at each disk.")
    return Offer(
        "fresh",
        False,
        "No disk was found.",
        "Attach a disk, or set the controller to AHCI in the firmware, and look again.",
    )


ORDER = ("continue", "upgrade", "repair", "reinstall", "rollback")
"""How the offers of one Engine are listed."""


def default_option(options: list[Option]) -> int:
    """Which option is preselected: continue or upgrade where possible, a fresh install only without Engines.

    Nothing that destroys is ever preselected: with Engines that cannot be upgraded, the first row is marked,
    which shows its reason.
    """
    for action in ORDER[:2]:
        for index, option in enumerate(options):
            if option.offer.action == action and option.offer.allowed:
                return index
    if not any(option.engine for option in options):
        for index, option in enumerate(options):
            if option.offer.action == "fresh" and option.offer.allowed:
                return index
    return 0


def _rank(offer: Offer) -> int:
    return ORDER.index(offer.action) if offer.action in ORDER else len(ORDER)


def options(detection: Detection) -> list[Option]:
    """Everything that screen 5 offers, allowed or not, in the order shown."""
    found = [
        Option(offer, disk, engine)
        for disk in detection.disks
        for engine in disk.engines
        for offer in sorted(engine.offers, key=_rank)
    ]
    return [*found, Option(fresh_offer(detection))]


def wipe_identity(disk: Disk, draft: Draft) -> str:
    """The identity that is named when something is destroyed: install id, file name, or the disk's serial.

    A half-removed Engine has no install id; a disk without any name is named by its path.
    """
    if draft.action == "reinstall" and draft.install_id:
        return draft.install_id
    if disk.bus == "file" or not disk.path.startswith("/dev/"):
        return PurePath(disk.path).name
    known = [engine.install_id for engine in disk.engines if engine.install_id]
    return disk.serial or (known[0] if known else disk.path)


def is_destructive(detection: Detection, draft: Draft) -> bool:
    """Whether going on destroys something, so that it takes a typed word."""
    disk = find_disk(detection, draft)
    if draft.action not in WHOLE_DISK or disk is None:
        return False
    return draft.action == "reinstall" or not is_nothing_lost(disk)


def choice(detection: Detection, draft: Draft, *, accepted: str | None = None) -> Choice:
    """What ``draft`` asks of the installation; ``accepted`` is when the licence was (UTC)."""
    disk = find_disk(detection, draft)
    settings = Settings(
        host_name=draft.host_name,
        admin_password_hash=draft.password_hash,
        time_zone=draft.zone,
        language=draft.language,
        keyboard=draft.keyboard,
        network=draft.network,
        mode=draft.mode,
        licence_accepted=accepted,
    )
    wipe = wipe_identity(disk, draft) if disk and is_destructive(detection, draft) else ""
    keep = draft.action == "reinstall" and draft.keep_vms
    return Choice(draft.action, draft.disk, draft.install_id, keep, wipe, settings)
