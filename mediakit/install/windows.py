"""Places of an opened disk: a partition as bytes of its own, whether it is a part of a disk, or a device.

An install from a medium opens the whole disk alone; the running Engine may open only partitions that are not
in use. Both look the same from here on: a ``Window`` reads, writes and flushes one place.
"""

from __future__ import annotations

from mediakit.block.target import Target
from mediakit.errors import DeviceError, FormatError
from mediakit.formats import gpt
from mediakit.formats.reader import Reader
from mediakit.plain import dataclass

ESP, BIOS, STATE, VMS = "engine-esp", "engine-bios", "engine-state", "engine-vms"
SLOT_NAMES = {"a": "engine-a", "b": "engine-b"}
LAYOUT_2 = (ESP, BIOS, "engine-a", "engine-b", STATE, VMS)


@dataclass(frozen=True)
class Window:
    """``size_bytes`` of a target from ``start``; nothing outside can be reached through it."""

    target: Target
    start: int
    size_bytes: int

    @property
    def reader(self) -> Reader:
        """This place as formats read it."""
        return self.read

    def read(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes, past the page cache."""
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise FormatError(f"Bytes {offset} to {offset + size} lie outside the partition.")
        return self.target.read(self.start + offset, size)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put ``data`` at ``offset``; durable after ``flush``."""
        self._check(offset, len(data))
        self.target.write(self.start + offset, data)

    def zero(self, offset: int, size: int) -> None:
        """Write zeros."""
        self._check(offset, size)
        self.target.zero(self.start + offset, size)

    def flush(self) -> None:
        """Make what was written durable."""
        self.target.flush()

    def _check(self, offset: int, size: int) -> None:
        if offset < 0 or offset + size > self.size_bytes:
            raise DeviceError(
                f"Bytes {offset} to {offset + size} do not fit into the partition of {self.size_bytes} bytes."
            )


def partitions(target: Target) -> dict[str, tuple[int, Window]]:
    """Name → (number, window) of the disk's GPT partitions; FormatError when no table can be read."""
    state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
    if state.gpt is None:
        raise FormatError(f"{target.path} has no partition table that can be read.")
    sector = target.sector_bytes
    found: dict[str, tuple[int, Window]] = {}
    for entry in state.gpt.partitions:
        start, size = entry.start_lba * sector, entry.sectors * sector
        if entry.name not in found and start + size <= target.size_bytes and size > 0:
            found[entry.name] = (entry.index, Window(target, start, size))
    return found
