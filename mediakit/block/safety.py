"""May this disk be written? The judgement of law 2 (“no wrong disk”), pure over what ``usage`` saw.

Size is for the caller; that the disk is still the one confirmed is checked again in ``target``.
"""

from __future__ import annotations

from pathlib import PurePath

from mediakit.block.stack import Shared
from mediakit.block.usage import Usage
from mediakit.plain import dataclass

SYSTEM_MOUNTS = ("/", "/usr", "/boot", "/boot/efi", "/efi", "/var", "/home")
AUTOMOUNT_ROOTS = ("/media/", "/run/media/")


@dataclass(frozen=True)
class Verdict:
    """``reason`` and ``hint`` are sentences, empty when the device may be written."""

    allowed: bool
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Use:
    """How a device's whole family (partitions and what is stacked on them) is used."""

    mounts: tuple[str, ...] = ()
    is_swap: bool = False
    is_booted: bool = False
    holders: tuple[str, ...] = ()
    read_only: bool = False
    size_bytes: int = 0


def use_of(shared: Shared, usage: Usage) -> Use:
    """How everything is used that shares its bytes; the caller adds what only it knows."""
    points = dict.fromkeys(p for number in shared.numbers for p in usage.mounts.get(number, ()))
    members = set(shared.numbers)
    held = shared.holders + (("btrfs",) if members & usage.btrfs and not points else ())
    is_swap = bool(members & usage.swaps) or not usage.swap_files.isdisjoint(shared.files)
    return Use(tuple(points), is_swap, bool(members & usage.booted), held)


def judge(name: str, use: Use) -> Verdict:
    """May the disk ``name`` be written? The first thing that forbids it, with a way forward."""
    system = [point for point in use.mounts if point in SYSTEM_MOUNTS]
    if system:
        return Verdict(
            False, f"{name} holds the running system ({', '.join(system)}).", "Choose another disk."
        )
    if use.is_booted:
        return Verdict(False, f"{name} is the medium this machine was started from.", "Choose another disk.")
    if use.is_swap:
        return Verdict(False, f"{name} holds swap space in use.", "Choose another disk, or end it: swapoff.")
    if use.mounts:
        return Verdict(
            False, f"{name} is mounted at {_some(use.mounts)}.", "Unmount it first, if it is the right one."
        )
    if use.holders:
        return Verdict(
            False,
            f"{name} is held by {_some(use.holders)}.",
            "Close what uses it first (vgchange -an, cryptsetup close, mdadm --stop, losetup -d).",
        )
    if use.size_bytes == 0:
        return Verdict(False, f"{name} has no medium in it.", "Insert one.")
    if use.read_only:
        return Verdict(
            False,
            f"{name} is read-only.",
            "Look for a write-protect switch; a worn-out stick goes read-only.",
        )
    return Verdict(True)


def judge_file(path: str, use: Use) -> Verdict:
    """May the ordinary file ``path`` be written? ``use`` counts what is made of it by loop devices."""
    name = PurePath(path).name
    if use.is_booted:
        return Verdict(False, f"{name} is the medium this machine was started from.", "Choose another file.")
    if use.mounts:
        return Verdict(
            False,
            f"{name} is in use: a loop device on it is mounted at {_some(use.mounts)}.",
            "Unmount it first.",
        )
    if use.is_swap:
        return Verdict(False, f"{name} is swap space in use.", "Choose another file, or end it: swapoff.")
    if use.holders:
        return Verdict(False, f"{name} is in use by {_some(use.holders)}.", "Detach it first: losetup -d.")
    if use.read_only:
        return Verdict(False, f"{name} may not be written by you.", "Change its permissions, or use sudo.")
    return Verdict(True)


def is_automount(points: tuple[str, ...]) -> bool:
    """Whether a desktop mounted it all by itself (udisks): then unmounting it takes nothing from anybody."""
    return bool(points) and all(point.startswith(AUTOMOUNT_ROOTS) for point in points)


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
