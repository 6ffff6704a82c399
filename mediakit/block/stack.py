"""Which devices and files share bytes: partitions, what is stacked on them, loop devices over and under them.

A write to one of these is a write to all, though the kernel refuses none: it lets a loop device be attached
to a mounted disk, and two to one file. Ranges decide, so neighbours on one disk or in one file are left
alone. Reads sysfs, judges nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mediakit.block import sysfs
from mediakit.block.loops import Loop, file_id, path_id
from mediakit.block.usage import Usage
from mediakit.plain import dataclass
from mediakit.units import SECTOR


@dataclass(frozen=True)
class Range:
    """Bytes of a device (``space`` is its number) or of a file (its ``file_id``)."""

    space: str
    start: int
    size: int

    def touches(self, other: Range) -> bool:
        """Whether both have a byte in common; an empty one counts as one byte."""
        ends = (self.start + max(self.size, 1), other.start + max(other.size, 1))
        return self.space == other.space and self.start < ends[1] and other.start < ends[0]


@dataclass(frozen=True)
class Shared:
    """All that uses the same bytes."""

    numbers: tuple[str, ...]
    """Devices: the thing itself, what it is made of, what is made of it, to any depth. Of a partition not
    its disk: what else uses that is not ours, but for its holders and for loop devices over our bytes."""
    files: tuple[str, ...]
    """Identities of the files it is, or is made of."""
    holders: tuple[str, ...]
    """What holds it directly, named: ``LVM vg0-root``, ``RAID md0``, ``loop device loop3``."""


def of_device(node: Path, now: Usage) -> Shared:
    """Everything that shares bytes with the device of this sysfs directory."""
    return _shared(beneath_device(node, now), now)


def of_file(path: str, status: os.stat_result, now: Usage) -> Shared:
    """Everything that shares bytes with an ordinary file."""
    return _shared(beneath_file(path, status), now)


def beneath_device(node: Path, now: Usage) -> list[Range]:
    """The bytes of a device, as its own and as those of the disk, file or device that it is made of."""
    return _beneath(node, now, 0, _size(node))


def beneath_file(path: str, status: os.stat_result) -> list[Range]:
    """The bytes of a file; by name too, for loop devices of which nothing else is known."""
    spaces = (file_id(status.st_dev, status.st_ino), path_id(path))
    return [Range(space, 0, status.st_size) for space in spaces]


def foundations(ranges: Iterable[Range], path: str, now: Usage) -> list[Range]:
    """``ranges`` and all they rest on: filesystems' devices, disks below LVM and RAID, files below loops.

    ``path`` is where the first of them, if it is a file, was opened.
    """
    waiting, found = list(ranges), list[Range]()
    names = {loop.file: loop.path for loop in now.loops if loop.file}
    while waiting:
        current = waiting.pop(0)
        if current in found:
            continue
        found.append(current)
        node = sysfs.by_number(current.space)
        if node is not None:
            below = [*_beneath(node, now, current.start, current.size)[1:]]
            for slave in sysfs.slaves(node):
                below += beneath_device(slave, now)
        else:
            name = names.get(current.space, path)
            homes = [sysfs.by_number(number) for number in filesystem_of(current.space, name, now)]
            below = [part for home in homes if home is not None for part in beneath_device(home, now)]
        waiting += below
    return found


def filesystem_of(file: str, path: str, now: Usage) -> frozenset[str]:
    """Numbers of the devices on which the file lies; btrfs and others do not say, then its path tells."""
    number = file.rpartition(":")[0]
    if number[:1].isdigit() and not number.startswith("0:"):
        return frozenset({number})
    points = [(point.rstrip("/") + "/", number) for number, all_ in now.mounts.items() for point in all_]
    deepest = max((point for point, _ in points if path.startswith(point)), key=len, default="")
    return frozenset(number for point, number in points if point == deepest)


def _beneath(node: Path, now: Usage, start: int, size: int) -> list[Range]:
    number = sysfs.device_number(node)
    found = [Range(number, start, size)]
    loop = next((loop for loop in now.loops if loop.number == number), None)
    if sysfs.is_partition(node):
        found += _beneath(node.parent, now, _start(node) + start, size)
    elif loop is not None and loop.device:
        under = sysfs.by_number(loop.device)
        found += _beneath(under, now, loop.offset_bytes + start, size) if under is not None else []
    elif loop is not None:
        found.append(Range(loop.file, loop.offset_bytes + start, size))
    return found


def _shared(ranges: list[Range], now: Usage) -> Shared:
    chain = {part.space for part in ranges}
    nodes = [node for node in map(sysfs.by_number, chain) if node is not None]
    disks = {sysfs.device_number(node.parent) for node in nodes if sysfs.is_partition(node)}
    numbers: dict[str, None] = {}
    names: dict[str, None] = {}
    waiting = [(part, True) for part in ranges]
    seen: set[Range] = set()
    while waiting:
        current, is_named = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        over = [loop for loop in now.loops if _range(loop).touches(current) and loop.number not in chain]
        if is_named:
            names |= dict.fromkeys(f"loop device {loop.name}" for loop in over)
        waiting += [(Range(loop.number, 0, loop.size_bytes), False) for loop in over]
        node = sysfs.by_number(current.space)
        if node is None:
            continue
        if current.space not in disks:
            numbers[current.space] = None
        for part in sysfs.partitions(node):
            number = sysfs.device_number(part)
            if number not in chain and Range(current.space, _start(part), _size(part)).touches(current):
                waiting.append((Range(number, 0, _size(part)), is_named))
        for holder in sysfs.holders(node):
            if is_named:
                names[sysfs.holder_name(holder)] = None
            waiting.append((Range(sysfs.device_number(holder), 0, _size(holder)), False))
        waiting += [(part, False) for part in _on_filesystem(current.space, now)]
    files = tuple(part.space for part in ranges if sysfs.by_number(part.space) is None)
    return Shared(tuple(numbers), files, tuple(names))


def _on_filesystem(number: str, now: Usage) -> list[Range]:
    """The loop devices whose backing files lie on the filesystem of device ``number``."""
    if not now.mounts.get(number):
        return []
    return [
        Range(loop.number, 0, loop.size_bytes)
        for loop in now.loops
        if loop.file and number in filesystem_of(loop.file, loop.path, now)
    ]


def _range(loop: Loop) -> Range:
    return Range(loop.backing, loop.offset_bytes, loop.size_bytes)


def _size(node: Path) -> int:
    return sysfs.number(node / "size") * SECTOR


def _start(partition: Path) -> int:
    """Where a partition begins on its disk; sysfs counts 512 bytes whatever the sectors are."""
    return sysfs.number(partition / "start") * SECTOR
