"""Disks and ordinary files as disks: what each is, what is on it, whether it may be written.

Looking changes nothing: nodes are opened for reading only, never exclusively. pyudev lives here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediakit.block import ioctl, safety, stack, sysfs, usage
from mediakit.errors import MediakitError, UsageError
from mediakit.formats.reader import file_reader
from mediakit.plain import dataclass
from mediakit.units import SECTOR

if TYPE_CHECKING:
    from mediakit.block.contents import Content

_NOT_DISKS = ("ram", "zram", "loop", "sr", "fd", "md", "nbd")


@dataclass(frozen=True)
class Device:
    """A whole disk, a partition, or an ordinary file used as a disk. Sizes in bytes."""

    path: str
    vendor: str = ""
    model: str = ""
    serial: str = ""
    size_bytes: int = 0
    sector_bytes: int = SECTOR
    bus: str = ""
    removable: bool = False
    read_only: bool = False
    mounts: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    contents: tuple[Content, ...] = ()
    is_file: bool = False
    diskseq: int = 0
    sysfs_path: str = ""
    allowed: bool = False
    reason: str = ""
    hint: str = ""
    number: str = ""
    """``major:minor`` of a device; for a file the device and inode it is."""
    is_partition: bool = False
    is_unused: bool = False
    """Nothing mounts, holds or boots it. A partition may be unused and yet not ``allowed`` as a disk."""

    @property
    def identity(self) -> str:
        """What a person types to confirm: the serial; a file's name for a file."""
        return self.serial or Path(self.path).name

    @property
    def title(self) -> str:
        """Vendor and model for people; what it is, where it has none."""
        words = [word for word in (self.vendor, self.model) if word]
        return " ".join(dict.fromkeys(words)) or ("file" if self.is_file else "disk")

    def to_json(self) -> dict[str, Any]:
        """One entry of ``devices --json`` (FORMATS)."""
        return {
            "path": self.path,
            "vendor": self.vendor,
            "model": self.model,
            "serial": self.serial,
            "size_bytes": self.size_bytes,
            "sector_bytes": self.sector_bytes,
            "bus": self.bus,
            "removable": self.removable,
            "mounts": list(self.mounts),
            "contents": [content.to_json() for content in self.contents],
            "allowed": self.allowed,
            "reason": self.reason,
        }


def list_devices(*, with_contents: bool = True) -> list[Device]:
    """Every disk a person could mean, refused ones too; no loop devices, optical drives or RAM disks."""
    import pyudev

    now = usage.snapshot()
    found = []
    for entry in pyudev.Context().list_devices(subsystem="block", DEVTYPE="disk"):
        node = Path(entry.sys_path)
        if entry.device_node and _is_disk(node):
            found.append(_device(entry.device_node, node, now, dict(entry.properties), with_contents))
    return sorted(found, key=lambda device: (len(device.path), device.path))


def describe(path: str | os.PathLike[str], *, with_contents: bool = True) -> Device:
    """What ``path`` is: a block device or an ordinary file. UsageError if it is neither, or not there."""
    real = Path(path).resolve()
    try:
        status = real.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be used: {error.strerror}.", "Check the name.") from error
    if stat.S_ISREG(status.st_mode):
        return _file(real, status, with_contents)
    if not stat.S_ISBLK(status.st_mode):
        raise UsageError(
            f"{path} is neither a disk nor an ordinary file.", "mediakit devices lists the disks."
        )
    node = sysfs.directory(status.st_rdev)
    if node is None:
        raise UsageError(f"{path} is a device that has gone.", "mediakit devices lists the disks.")
    return _device(str(real), node, usage.snapshot(), _udev_properties(node), with_contents)


def place_of(path: str) -> tuple[str, int, int]:
    """(its disk's sysfs directory, first byte, size in bytes) of a partition, as the kernel uses it now.

    UsageError for what is no device.
    """
    node = Path(describe(path, with_contents=False).sysfs_path)
    start, size = (sysfs.number(node / name) * SECTOR for name in ("start", "size"))
    return str(sysfs.whole_disk(node)), start, size


def has_file(device: Device, path: str | os.PathLike[str]) -> bool:
    """Whether writing ``device`` would overwrite ``path``, an image or a device, or the disk it lies on."""
    now = usage.snapshot()
    try:
        written, read = _bytes_of(Path(device.path), now), _bytes_of(Path(path), now)
    except OSError:
        return False
    resting = stack.foundations(read, str(Path(path).resolve()), now)
    return any(mine.touches(theirs) for mine in written for theirs in resting)


def _bytes_of(path: Path, now: usage.Usage) -> list[stack.Range]:
    real = path.resolve()
    status = real.stat()
    if not stat.S_ISBLK(status.st_mode):
        return stack.beneath_file(str(real), status)
    node = sysfs.directory(status.st_rdev)
    return stack.beneath_device(node, now) if node is not None else []


def watch() -> Iterator[str]:
    """Wait for disks to come, change or go; yields what happened and where: ``add /dev/sdb``. Never ends."""
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context())
    monitor.filter_by(subsystem="block", device_type="disk")
    for entry in iter(monitor.poll, None):
        if _is_disk(Path(entry.sys_path)):
            yield f"{entry.action} {entry.device_node}"


def _is_disk(node: Path) -> bool:
    name = node.name
    if name.startswith("dm-"):
        return sysfs.text(node / "dm/uuid").startswith("mpath-")
    return not name.startswith(_NOT_DISKS) and not (node.parent.name == "block" and _is_boot_area(name))


def _is_boot_area(name: str) -> bool:
    """eMMC's boot and RPMB areas are no disks for people."""
    return name.startswith("mmcblk") and ("boot" in name or "rpmb" in name)


def _udev_properties(node: Path) -> dict[str, str]:
    import pyudev

    try:
        return dict(pyudev.Devices.from_sys_path(pyudev.Context(), str(node)).properties)
    except pyudev.DeviceNotFoundError:
        return {}


def _device(path: str, node: Path, now: usage.Usage, udev: dict[str, str], with_contents: bool) -> Device:
    disk = sysfs.whole_disk(node)
    bus = _bus(disk, udev)
    bare = Device(
        path=path,
        vendor=udev.get("ID_VENDOR", "").replace("_", " ") or sysfs.vendor(disk),
        model=udev.get("ID_MODEL", "").replace("_", " ") or sysfs.model(disk),
        serial=_serial(disk, udev),
        size_bytes=sysfs.number(node / "size") * SECTOR,
        sector_bytes=sysfs.number(disk / "queue/logical_block_size", SECTOR),
        bus=bus,
        removable=sysfs.text(disk / "removable") == "1" or bus == "usb" or _is_sd_card(disk),
        read_only=sysfs.text(node / "ro") == "1",
        diskseq=sysfs.number(disk / "diskseq"),
        sysfs_path=str(node),
        number=sysfs.device_number(node),
        is_partition=sysfs.is_partition(node),
    )
    judged = _judged(bare, node, now)
    return replace(judged, contents=_contents(judged)) if with_contents else judged


def _judged(bare: Device, node: Path, now: usage.Usage) -> Device:
    use = safety.use_of(stack.of_device(node, now), now)
    use = replace(use, read_only=bare.read_only, size_bytes=bare.size_bytes)
    verdict = safety.judge(bare.path, use)
    is_unused = verdict.allowed
    if bare.is_partition and is_unused:
        verdict = safety.Verdict(
            False, f"{bare.path} is a partition.", f"Name the whole disk: /dev/{node.parent.name}."
        )
    return replace(
        bare,
        mounts=use.mounts,
        holders=use.holders,
        allowed=verdict.allowed,
        reason=verdict.reason,
        hint=verdict.hint,
        is_unused=is_unused,
    )


def _file(path: Path, status: os.stat_result, with_contents: bool) -> Device:
    now = usage.snapshot()
    is_ours = os.access(path, os.W_OK)
    use = replace(safety.use_of(stack.of_file(str(path), status, now), now), read_only=not is_ours)
    verdict = safety.judge_file(str(path), use)
    bare = Device(
        path=str(path),
        size_bytes=status.st_size,
        bus="file",
        removable=True,
        read_only=not is_ours,
        mounts=use.mounts,
        holders=use.holders,
        is_file=True,
        allowed=verdict.allowed,
        reason=verdict.reason,
        hint=verdict.hint,
        is_unused=verdict.allowed,
        number=f"{status.st_dev}:{status.st_ino}",
    )
    return replace(bare, contents=_contents(bare)) if with_contents else bare


def _bus(disk: Path, udev: dict[str, str]) -> str:
    word = udev.get("ID_BUS", "")
    return {"ata": "sata"}.get(word, word) or sysfs.bus(disk)


def _is_sd_card(disk: Path) -> bool:
    return sysfs.text(disk / "device/type") == "SD"


def _serial(disk: Path, udev: dict[str, str]) -> str:
    """udev's serial. A USB bridge's own serial wins over the SCSI one, which many bridges make up."""
    keys = ["ID_SCSI_SERIAL", "ID_SERIAL_SHORT"]
    if udev.get("ID_BUS") == "usb":
        keys.reverse()
    return next((udev[key] for key in keys if udev.get(key)), "") or sysfs.serial(disk)


def _contents(device: Device) -> tuple[Content, ...]:
    """What is on it; nothing where it cannot be read (no medium, no permission, a dying disk)."""
    from mediakit.block.contents import identify  # opening a disk to write it asks for none of this

    try:
        descriptor = os.open(device.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        size = device.size_bytes if device.is_file else ioctl.size_bytes(descriptor)
        return tuple(identify(file_reader(descriptor, size), size, sector_bytes=device.sector_bytes))
    except (OSError, MediakitError):
        return ()
    finally:
        os.close(descriptor)
