"""From answers to choices: which Engine or disk the answers mean on this machine. Pure.

What they do not say for certain is a refusal that names what was found; nothing is guessed.
"""

from __future__ import annotations

from pathlib import PurePath

from mediakit.engine import versions
from mediakit.engine.answers import Answers, Match
from mediakit.errors import RefusedError, TrustError
from mediakit.install.choice import Choice, Settings
from mediakit.install.machine import DetectedEngine, Detection, Disk
from mediakit.install.state import Network

_LOOK = "Look at what was found, and make the answers fit: mediakit detect."


def settings_of(answers: Answers, *, mode: str = "normal", accepted: str | None = None) -> Settings:
    """The settings of a fresh install; ``accepted`` is when the licence was accepted."""
    network = answers.network
    system = answers.system
    return Settings(
        host_name=system.host_name if system else "engine",
        admin_password_hash=(system.admin_password_hash if system else "") or "!",
        time_zone=system.time_zone if system else "UTC",
        language=answers.language,
        keyboard=answers.keyboard,
        network=Network(network.mode, network.address, network.gateway, tuple(network.dns)),
        mode=mode,
        licence_accepted=accepted,
    )


def choices(detection: Detection, answers: Answers, settings: Settings | None = None) -> tuple[Choice, ...]:
    """What the answers choose; RefusedError when they say stop, TrustError on the wrong machine (6)."""
    serials = answers.match.machine_serials
    if serials and detection.machine.serial not in serials:
        raise TrustError(
            f"These answers are for other machines; this one is “{detection.machine.serial}”.",
            "Use the right stick, or add its serial to machine_serials.",
        )
    settings = settings or settings_of(answers)
    disks = [disk for disk in detection.disks if fits_disk(disk, answers.match)]
    if answers.action == "fresh":
        return (_fresh(disks, answers, settings),)
    found = [
        (disk, engine) for disk in disks for engine in disk.engines if fits_engine(engine, answers.match)
    ]
    if answers.wipe is not None and answers.action == "reinstall":
        found = [(disk, engine) for disk, engine in found if _is_named(disk, engine, answers)]
    if not found:
        if answers.when_none == "fresh":
            return (_fresh(disks, answers, settings),)
        raise RefusedError("No Engine that fits the answers was found, and they say stop.", _LOOK)
    return tuple(_choice(answers, disk, engine, settings) for disk, engine in _which(found, answers))


def fits_disk(disk: Disk, match: Match) -> bool:
    """Whether all that [match] says of a disk holds."""
    return (
        (not match.disk_serial or match.disk_serial == identity(disk))
        and (not match.disk_model or match.disk_model == disk.model)
        and (match.min_size is None or disk.size_bytes >= match.min_size)
        and (match.max_size is None or disk.size_bytes <= match.max_size)
    )


def fits_engine(engine: DetectedEngine, match: Match) -> bool:
    """Whether all that [match] says of an Engine holds; an unknown version fits no limit."""
    if not (match.min_version or match.max_version):
        return True
    if not engine.version:
        return False
    above = not match.min_version or versions.compare(engine.version, match.min_version) >= 0
    return above and (not match.max_version or versions.compare(engine.version, match.max_version) <= 0)


def identity(disk: Disk) -> str:
    """What names a disk: its serial, a file's name for a file."""
    return PurePath(disk.path).name if disk.bus == "file" else disk.serial


def _which(found: list[tuple[Disk, DetectedEngine]], answers: Answers) -> list[tuple[Disk, DetectedEngine]]:
    if len(found) == 1 or answers.when_many == "all":
        return found
    if answers.when_many == "newest":
        newest = max(found, key=lambda pair: _age(pair[1]))
        if sum(_age(engine) == _age(newest[1]) for _, engine in found) == 1:
            return [newest]
    names = ", ".join(f"{disk.path} ({engine.install_id})" for disk, engine in found)
    raise RefusedError(f"Several Engines fit the answers: {names}.", _LOOK)


def _age(engine: DetectedEngine) -> tuple[tuple[int, ...], int]:
    return (versions.parse_version(engine.version) if engine.version else (), engine.build)


def _fresh(disks: list[Disk], answers: Answers, settings: Settings) -> Choice:
    wipe = answers.wipe
    if wipe is not None and wipe.identity:
        disks = [
            disk
            for disk in disks
            if wipe.identity == identity(disk) or any(_is_named(disk, e, answers) for e in disk.engines)
        ]
    able = [disk for disk in disks if disk.offer("fresh").allowed]
    if not able:
        reasons = "; ".join(f"{disk.path}: {disk.offer('fresh').reason}" for disk in disks)
        raise RefusedError(f"No disk fits the answers. {reasons}".rstrip(), _LOOK)
    if len(able) > 1:
        names = ", ".join(disk.path for disk in able)
        raise RefusedError(f"Several disks fit the answers: {names}.", _LOOK)
    return Choice("fresh", able[0].path, wipe=wipe.identity if wipe else "", settings=settings)


def _choice(answers: Answers, disk: Disk, engine: DetectedEngine, settings: Settings) -> Choice:
    wipe = answers.wipe
    return Choice(
        answers.action,
        disk.path,
        install_id=engine.install_id,
        keep_vms=bool(wipe and wipe.keep_vms),
        wipe=wipe.identity if wipe else "",
        settings=settings,
    )


def _is_named(disk: Disk, engine: DetectedEngine, answers: Answers) -> bool:
    wipe = answers.wipe
    before = engine.interrupted.install_id if engine.interrupted else ""
    return wipe is None or not wipe.identity or wipe.identity in (identity(disk), engine.install_id, before)
