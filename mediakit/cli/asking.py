"""Before a disk is written: what a desktop mounted of it goes, and a person types which disk is meant.

What every verb that writes to sticks and disks shares. Writes nothing, and unmounts only what desktops mount
by themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mediakit.errors import CancelledError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mediakit.block.devices import Device
    from mediakit.progress import Observer


def free_device(
    path: str | Path, observer: Observer, *, may_unmount: Callable[[Device], bool] = lambda _: True
) -> Device:
    """The disk or file as it is now; a stick that only the desktop mounted is unmounted first."""
    from mediakit.block import devices, mounts
    from mediakit.progress import Event

    device = devices.describe(path)
    if device.allowed or not mounts.can_unmount(device) or not may_unmount(device):
        return device
    for point in device.mounts:
        mounts.unmount(point)
        observer(Event("warning", device.path, message=f"Unmounted {point}, which the desktop had mounted."))
    return devices.describe(path)


def need_terminal(what: str, hint: str) -> None:
    """UsageError unless somebody can type an answer; ``what`` is what would go unconfirmed."""
    if not sys.stdin.isatty():
        raise UsageError(f"Nobody is there to confirm {what}.", hint)


def show_device(device: Device) -> None:
    """Which disk it is, on standard error."""
    from mediakit.units import format_size

    print(f"{device.path}: {device.title}, {format_size(device.size_bytes)}", file=sys.stderr)


def type_word(word: str, purpose: str) -> None:
    """CancelledError unless exactly ``word`` is typed: ``Type “WORD” PURPOSE:``."""
    print(f"Type “{word}” {purpose}: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != word:
        raise CancelledError("Not confirmed; nothing was written.")
