"""Loop devices: what each is made of, told by the kernel rather than by a name that may have changed.

A backing file is known by device and inode, so a hard link, another mount or a renamed folder hides nothing.
Nothing is attached or detached here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mediakit.block import ioctl, sysfs
from mediakit.plain import dataclass
from mediakit.units import SECTOR


@dataclass(frozen=True)
class Loop:
    """One attached loop device; a range in bytes of a file or of another block device."""

    number: str
    name: str
    path: str
    """The backing file as the kernel names it, for people and as a last resort."""
    file: str = ""
    """Identity of the backing file (``file_id``); empty for a block device."""
    device: str = ""
    """Number of the backing block device; empty for a file."""
    offset_bytes: int = 0
    size_bytes: int = 0

    @property
    def backing(self) -> str:
        """What its bytes are bytes of: a file's identity or a device's number."""
        return self.device or self.file


def attached() -> tuple[Loop, ...]:
    """Every loop device that has something behind it."""
    nodes = sorted((sysfs.SYS / "block").glob("loop*"))
    return tuple(_loop(node, path) for node in nodes if (path := sysfs.backing_file(node)))


def file_id(device: int, inode: int) -> str:
    """Identity of an ordinary file: ``major:minor:inode`` of ``st_dev`` and ``st_ino``."""
    return f"{os.major(device)}:{os.minor(device)}:{inode}"


def path_id(path: str) -> str:
    """Stands for a file of which only the name is known."""
    return f"path:{path}"


def _loop(node: Path, path: str) -> Loop:
    number = sysfs.device_number(node)
    file, device = _asked(node.name, number) or _looked_up(path)
    offset = sysfs.number(node / "loop/offset")
    return Loop(number, node.name, path, file, device, offset, sysfs.number(node / "size") * SECTOR)


def _asked(name: str, number: str) -> tuple[str, str] | None:
    """(file, device) as the device itself says; None where it cannot be opened."""
    try:
        descriptor = os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" != number:
            return None
        device, inode, real = ioctl.loop_backing(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return ("", f"{os.major(real)}:{os.minor(real)}") if real else (file_id(device, inode), "")


def _looked_up(path: str) -> tuple[str, str]:
    """The same by the name in sysfs, for people who may not open loop devices."""
    try:
        status = Path(path).stat()
    except OSError:
        return path_id(path), ""
    if stat.S_ISBLK(status.st_mode):
        return "", f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return file_id(status.st_dev, status.st_ino), ""
