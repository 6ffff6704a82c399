"""What the kernel says about one block device in ``/sys`` (Documentation/ABI/stable/sysfs-block). Reads only.

udev's database is asked first for names (``devices``); this is the answer where no udev runs.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

SYS = Path("/sys")


def directory(number: int) -> Path | None:
    """The sysfs directory of the block device with ``st_rdev`` ``number``; None when it has gone."""
    return by_number(f"{os.major(number)}:{os.minor(number)}")


def by_number(number: str) -> Path | None:
    """The same for a number written ``major:minor``."""
    link = SYS / "dev/block" / number
    return link.resolve() if link.exists() else None


def text(path: Path) -> str:
    """An attribute's text without blanks; empty when there is none."""
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def number(path: Path, default: int = 0) -> int:
    """An attribute as an integer."""
    value = text(path)
    return int(value) if value.isdigit() else default


def device_number(node: Path) -> str:
    """``major:minor``."""
    return text(node / "dev")


def is_partition(node: Path) -> bool:
    return (node / "partition").exists()


def whole_disk(node: Path) -> Path:
    """The disk a partition is part of; a disk itself."""
    return node.parent if is_partition(node) else node


def partitions(node: Path) -> list[Path]:
    """The partitions the kernel knows on disk ``node``."""
    return sorted(child.parent for child in node.glob("*/partition"))


def holders(node: Path) -> list[Path]:
    """What is stacked on ``node`` directly: device-mapper (LVM, LUKS, multipath), md, bcache."""
    folder = node / "holders"
    return sorted(entry.resolve() for entry in folder.iterdir()) if folder.is_dir() else []


def slaves(node: Path) -> list[Path]:
    """What ``node`` is stacked on directly, the reverse of ``holders``."""
    folder = node / "slaves"
    return sorted(entry.resolve() for entry in folder.iterdir()) if folder.is_dir() else []


def holder_name(node: Path) -> str:
    """What holds, named for people: ``LVM vg0-root``, ``RAID md0``."""
    name = text(node / "dm/name") or node.name
    kind = text(node / "dm/uuid").split("-")[0]
    if (node / "md").is_dir():
        return f"RAID {node.name}"
    words = {"LVM": "LVM", "CRYPT": "encryption", "mpath": "multipath"}
    return f"{words[kind]} {name}" if kind in words else name


def backing_file(node: Path) -> str:
    """The file behind a loop device; empty for other devices."""
    return text(node / "loop/backing_file")


def bus(node: Path) -> str:
    """How the disk is attached: usb, nvme, virtio, mmc, sata, scsi, loop, or empty."""
    path = str(node)
    for pattern, word in (
        (r"/usb\d", "usb"),
        (r"/nvme", "nvme"),
        (r"/virtio", "virtio"),
        (r"/mmc", "mmc"),
        (r"/ata\d", "sata"),
        (r"/loop\d", "loop"),
        (r"/host\d", "scsi"),
    ):
        if re.search(pattern, path):
            return word
    return ""


def serial(node: Path) -> str:
    """The disk's serial: its own attribute, SCSI page 0x80 (SPC-4 §7.8.17), or its USB device's."""
    for name in ("serial", "device/serial"):
        if value := text(node / name):
            return value
    try:
        page = (node / "device/vpd_pg80").read_bytes()
    except OSError:
        page = b""
    usb = _usb_device(node)
    if usb is not None:
        return text(usb / "serial")
    return page[4:].decode("ascii", errors="replace").strip(" \0") if len(page) > 4 else ""


def model(node: Path) -> str:
    """The model as the disk tells it."""
    return text(node / "device/model") or text(node / "device/name")


def vendor(node: Path) -> str:
    """The vendor; a PCI id such as virtio's 0x1af4 is no name."""
    value = text(node / "device/vendor")
    return "" if value.startswith("0x") else value


def _usb_device(node: Path) -> Path | None:
    for parent in node.parents:
        if (parent / "idVendor").exists():
            return parent
        if parent == SYS:
            break
    return None
