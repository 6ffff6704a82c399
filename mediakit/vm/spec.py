"""Owns the description of a virtual machine: plain frozen data, no files touched, no process started."""

from __future__ import annotations

from dataclasses import field, replace
from enum import StrEnum
from pathlib import Path

from mediakit.plain import dataclass


class Firmware(StrEnum):
    """What the machine starts with."""

    BIOS = "bios"
    UEFI = "uefi"
    SECURE_BOOT = "secureboot"

    @property
    def is_uefi(self) -> bool:
        return self is not Firmware.BIOS


class Bus(StrEnum):
    """How a disk is attached; ``cd`` is a SATA DVD drive with the file in it."""

    VIRTIO = "virtio"
    SATA = "sata"
    NVME = "nvme"
    USB = "usb"
    IDE = "ide"
    SCSI = "scsi"
    CD = "cd"


@dataclass(frozen=True)
class Disk:
    """One disk. ``boot`` is its rank among boot devices (0 first, None never first).

    ``snapshot`` throws the guest's writes away when the machine ends. ``is_safe`` honours flushes down to
    the host's disk; tests do without (killing QEMU loses nothing, the host keeps its page cache).
    ``extra`` is appended to QEMU's device options.
    """

    file: Path
    bus: Bus = Bus.VIRTIO
    format: str = "raw"
    serial: str = ""
    sector_bytes: int = 512
    boot: int | None = None
    read_only: bool = False
    snapshot: bool = False
    is_safe: bool = False
    extra: str = ""


@dataclass(frozen=True)
class VmSpec:
    """A whole machine. ``vars`` is a file of UEFI variables to start from (it is copied, never written), or
    with ``keep_vars`` the file itself, which then remembers boot entries and keys from run to run.
    """

    firmware: Firmware = Firmware.UEFI
    disks: tuple[Disk, ...] = ()
    ram_mib: int = 1024
    cpus: int = 1
    cpu: str = ""  # the accelerator's default when empty
    machine: str = "q35"  # pc for a machine with IDE
    vga: str = "std"
    network: str = "none"  # none | user
    rtc: str = ""  # 2031-01-31T12:00:00, or the host's time when empty
    vars: Path | None = None
    keep_vars: bool = False
    has_snapshots: bool = False  # variables in qcow2, as savevm wants
    serial_number: str = ""  # of the machine, in SMBIOS
    vendor: str = ""
    model: str = ""
    uuid: str = ""
    is_paused: bool = False
    stops_on_reboot: bool = False  # QEMU ends instead of rebooting
    kernel: Path | None = None
    initrd: Path | None = None
    command_line: str = ""
    extra: tuple[str, ...] = field(default=())

    def with_disks(self, *disks: Disk) -> VmSpec:
        """The same machine with other disks."""
        return replace(self, disks=disks)


@dataclass(frozen=True)
class FirmwareFiles:
    """The flash images of a UEFI machine."""

    code: Path
    vars: Path
    vars_format: str = "raw"


@dataclass(frozen=True)
class Channels:
    """Where the library listens; QEMU connects to these sockets."""

    qmp: Path
    serial: Path
