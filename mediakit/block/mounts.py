"""Taking away what a desktop mounted by itself on a removable disk; nothing else is ever unmounted."""

from __future__ import annotations

from mediakit import run
from mediakit.block.devices import Device
from mediakit.block.safety import is_automount
from mediakit.errors import RefusedError


def can_unmount(device: Device) -> bool:
    """Whether only udisks' own mounts on a removable disk stand in the way."""
    return device.removable and not device.is_file and not device.holders and is_automount(device.mounts)


def unmount(point: str) -> None:
    """Unmount ``point``; RefusedError when a program still uses it."""
    done = run.run(["umount", point], timeout=60, check=False)
    if done.status != 0:
        raise RefusedError(
            f"{point} cannot be unmounted: {done.error_text or done.text.strip()}.",
            "Close the programs that use it.",
        )
