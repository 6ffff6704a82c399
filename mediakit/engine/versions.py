"""The order of versions, and what it allows: upgrades between Engines, VMs on Engines, drivers in VMs. Pure.

A VM that a Synchronizer published says the oldest Engine it runs on (``min_engine``); the driver in
a VM is older or newer than the one that an Engine brings (``pv_driver``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from mediakit.engine.manifest import Manifest
from mediakit.errors import FormatError
from mediakit.plain import dataclass

OLDER, SAME, NEWER = "older", "same", "newer"
RAM_TOLERANCE = 10
"""Percent: a machine of 1 GiB reports less than that."""


class Installed(Protocol):
    """What the rules need to know of an installed Engine."""

    @property
    def version(self) -> str: ...
    @property
    def build(self) -> int: ...
    @property
    def layout(self) -> int: ...


class Vm(Protocol):
    """What the rules need to know of a VM."""

    @property
    def name(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def pv_driver(self) -> str: ...
    @property
    def min_engine(self) -> str: ...


@dataclass(frozen=True)
class Verdict:
    """Whether something is allowed; if not, why, and what to do instead."""

    allowed: bool
    reason: str = ""
    way_forward: str = ""


def parse_version(text: str) -> tuple[int, ...]:
    """``5.0`` → (5,): trailing zeros do not count, so 5.0 equals 5.0.0. FormatError if it is no version."""
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}", text):
        raise FormatError(f"“{text[:40]}” is not a version.", "A version looks like 5.0 or 5.0.1.")
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def compare(version: str, other: str) -> int:
    """-1, 0 or 1: ``version`` is older than, the same as, newer than ``other``."""
    left, right = parse_version(version), parse_version(other)
    return (left > right) - (left < right)


def order(version: str, build: int, than_version: str, than_build: int) -> str:
    """Whether version and build are older than, the same as or newer than the other ones."""
    result = compare(version, than_version) or (build > than_build) - (build < than_build)
    return (OLDER, SAME, NEWER)[result + 1]


def judge_upgrade(installed: Installed, manifest: Manifest) -> Verdict:
    """Whether the medium may upgrade the installed Engine."""
    old, new = describe(installed.version, installed.build), describe(manifest.version, manifest.build)
    step = order(manifest.version, manifest.build, installed.version, installed.build)
    if step == OLDER:
        return Verdict(
            False,
            f"Engine {old} is installed; this medium has the older {new}.",
            "Use a newer medium, roll back, or remove and reinstall.",
        )
    if step == SAME:
        return Verdict(
            False, f"Engine {old} is installed already.", "Repair it if something is wrong with it."
        )
    if installed.layout not in manifest.upgrade_from:
        return Verdict(
            False,
            f"Engine {manifest.version} cannot upgrade disk layout {installed.layout}.",
            "Upgrade to a version in between first, or remove and reinstall.",
        )
    return Verdict(True)


def judge_repair(installed: Installed, manifest: Manifest) -> Verdict:
    """Whether the medium may repair the installed Engine: only the very same version and build may."""
    if order(manifest.version, manifest.build, installed.version, installed.build) == SAME:
        if installed.layout == manifest.layout:
            return Verdict(True)
        return Verdict(
            False,
            f"The disk has layout {installed.layout}, this medium makes layout {manifest.layout}.",
            "Remove and reinstall.",
        )
    old, new = describe(installed.version, installed.build), describe(manifest.version, manifest.build)
    return Verdict(
        False,
        f"Engine {old} is installed; this medium has {new}. Only a medium of the same version can repair it.",
        f"Use the medium of {old}, or upgrade.",
    )


def describe(version: str, build: int) -> str:
    """A version for people: ``5.0 (build 5000)``."""
    return f"{version} (build {build})"


def can_run(vm: Vm, engine_version: str) -> bool:
    """Whether an Engine may run the VM; one without ``min_engine`` runs everywhere."""
    return not vm.min_engine or compare(vm.min_engine, engine_version) <= 0


def refused_vms(vms: Iterable[Vm], engine_version: str) -> tuple[str, ...]:
    """Names of the VMs that an Engine of that version will refuse to run."""
    return tuple(vm.name for vm in vms if not can_run(vm, engine_version))


def needs_driver(vm: Vm, pv_driver: str) -> bool:
    """Whether the VM's own drivers are older than ``pv_driver``; the Synchronizer updates shared VMs."""
    if vm.origin == "shared":
        return False
    return not vm.pv_driver or compare(vm.pv_driver, pv_driver) < 0


def vms_needing_drivers(vms: Iterable[Vm], pv_driver: str) -> tuple[str, ...]:
    """Names of the local and custom VMs whose drivers are to be updated at their next start."""
    return tuple(vm.name for vm in vms if needs_driver(vm, pv_driver))


def is_enough_ram(ram_bytes: int, min_ram_bytes: int) -> bool:
    """Whether a machine has the RAM that a manifest asks for, with 10 % tolerance."""
    return ram_bytes * 100 >= min_ram_bytes * (100 - RAM_TOLERANCE)
