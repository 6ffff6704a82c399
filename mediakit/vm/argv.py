"""Owns QEMU's command line: a pure function of the spec. The same spec gives the same words, always."""

from __future__ import annotations

from mediakit.errors import UsageError
from mediakit.vm.spec import Bus, Channels, Disk, Firmware, FirmwareFiles, VmSpec

QEMU = "qemu-system-x86_64"
# Plain "max" has SMAP, which Xen 4.17's dom0 does not survive under TCG; "max,-smap" boots Xen and Linux.
CPUS = {"tcg": "max,-smap", "kvm": "host"}
ACCELERATORS = {"tcg": "tcg,thread=multi", "kvm": "kvm"}
_SMALL_BUFFER = ",tb-size=24"
USB_BUS = "usb.0"


def argv(
    spec: VmSpec,
    accelerator: str = "tcg",
    firmware: FirmwareFiles | None = None,
    channels: Channels | None = None,
    display: str = "none",
) -> list[str]:
    """The words that start ``spec``. Without ``channels`` serial and monitor are on the terminal."""
    words = [QEMU, "-nodefaults", "-no-user-config", "-name", "mediakit"]
    words += ["-machine", _machine(spec), "-accel", _accelerator(spec, accelerator)]
    words += ["-cpu", spec.cpu or CPUS[accelerator], "-smp", str(spec.cpus), "-m", f"{spec.ram_mib}M"]
    words += _firmware(spec, firmware)
    words += ["-rtc", f"base={spec.rtc or 'utc'}"]
    words += ["-vga", spec.vga, "-display", display]
    words += ["-nic", "none" if spec.network == "none" else f"{spec.network},model=virtio-net-pci"]
    words += ["-device", "qemu-xhci,id=usb"]
    if any(disk.bus is Bus.SCSI for disk in spec.disks):
        words += ["-device", "virtio-scsi-pci,id=scsi"]
    for number, disk in enumerate(spec.disks):
        words += ["-drive", _drive(number, disk), "-device", _device(spec, number, disk)]
    words += _identity(spec) + _direct_kernel(spec) + _channels(channels)
    words += ["-S"] if spec.is_paused else []
    words += ["-action", "reboot=shutdown"] if spec.stops_on_reboot else []
    return words + list(spec.extra)


def escape(text: object) -> str:
    """``text`` as a value in QEMU's comma-separated options: a comma is doubled."""
    return str(text).replace(",", ",,")


def device_options(disk: Disk, drive: str, bus: str = "") -> dict[str, str]:
    """The options of the device that shows ``disk`` to the guest; hot-plug uses them too."""
    options = {"driver": _DRIVERS[disk.bus], "drive": drive}
    if bus:
        options["bus"] = bus
    serial = disk.serial or (drive if disk.bus is Bus.NVME else "")
    if serial:
        options["serial"] = serial
    if disk.boot is not None:
        options["bootindex"] = str(disk.boot)
    if disk.sector_bytes != 512:
        options |= {
            "logical_block_size": str(disk.sector_bytes),
            "physical_block_size": str(disk.sector_bytes),
        }
    if disk.bus is Bus.USB:
        options["removable"] = "on"
    return options


_DRIVERS = {
    Bus.VIRTIO: "virtio-blk-pci",
    Bus.SATA: "ide-hd",
    Bus.NVME: "nvme",
    Bus.USB: "usb-storage",
    Bus.IDE: "ide-hd",
    Bus.SCSI: "scsi-hd",
    Bus.CD: "ide-cd",
}


def _accelerator(spec: VmSpec, name: str) -> str:
    """Xen's dom0 throws translated code away all the time, which QEMU's large default buffer makes dear: on a
    BIOS machine's own disk ENGINE-READY took 130 s of CPU and, beside other work, 307 s. A buffer of 24 MiB
    makes that 83 and 82 (8 is too small), but costs the medium, which is Linux alone, half as much again."""
    first = min((d for d in spec.disks if d.boot is not None), key=lambda d: d.boot or 0, default=None)
    is_own_disk = first is not None and first.bus not in (Bus.USB, Bus.CD)
    small = name == "tcg" and spec.firmware is Firmware.BIOS and is_own_disk
    return ACCELERATORS[name] + (_SMALL_BUFFER if small else "")


def _machine(spec: VmSpec) -> str:
    if spec.firmware is Firmware.SECURE_BOOT:
        if spec.machine != "q35":
            raise UsageError("Secure Boot needs the machine “q35”.", "Leave the machine at its default.")
        return "q35,smm=on"
    return spec.machine


def _firmware(spec: VmSpec, files: FirmwareFiles | None) -> list[str]:
    if not spec.firmware.is_uefi:
        return []
    if files is None:
        raise UsageError("A UEFI machine needs its firmware files.", "Use firmware.prepare first.")
    words = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={escape(files.code)}"]
    words += ["-drive", f"if=pflash,unit=1,format={files.vars_format},file={escape(files.vars)}"]
    if spec.firmware is Firmware.SECURE_BOOT:
        words += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
        words += ["-global", "ICH9-LPC.disable_s3=1"]
    return words


def _drive(number: int, disk: Disk) -> str:
    parts = [f"if=none,id=disk{number},format={disk.format},file={escape(disk.file)}"]
    parts.append("cache=writeback" if disk.is_safe else "cache=unsafe")
    if disk.read_only or disk.bus is Bus.CD:
        parts.append("readonly=on")
    elif disk.format in ("raw", "qcow2"):
        parts.append("discard=unmap")
    if disk.snapshot:
        parts.append("snapshot=on")
    if disk.bus is Bus.CD:
        parts.append("media=cdrom")
    return ",".join(parts)


def _device(spec: VmSpec, number: int, disk: Disk) -> str:
    options = device_options(disk, f"disk{number}", _bus(spec, number, disk))
    driver = options.pop("driver")
    if spec.machine != "q35" and options.get("bus", "").startswith("ide."):
        options["unit"] = str(_ata_position(spec, number) % 2)
    pairs = [f"{key}={escape(value)}" for key, value in options.items()]
    text = ",".join([driver, f"id=dev{number}", *pairs])
    return f"{text},{disk.extra}" if disk.extra else text


def _bus(spec: VmSpec, number: int, disk: Disk) -> str:
    if disk.bus is Bus.USB:
        return USB_BUS
    if disk.bus is Bus.SCSI:
        return "scsi.0"
    if disk.bus is Bus.IDE and spec.machine == "q35":
        raise UsageError("The machine “q35” has no IDE controller.", "Use the machine “pc”, or bus sata.")
    if disk.bus not in (Bus.SATA, Bus.CD, Bus.IDE):
        return ""
    position = _ata_position(spec, number)
    ports = 6 if spec.machine == "q35" else 4
    if position >= ports:
        raise UsageError(f"The machine “{spec.machine}” has {ports} SATA or IDE ports.", "Use another bus.")
    if spec.machine == "q35":
        return f"ide.{position}"
    return f"ide.{position // 2}"


def _ata_position(spec: VmSpec, number: int) -> int:
    return sum(1 for other in spec.disks[:number] if other.bus in (Bus.SATA, Bus.CD, Bus.IDE))


def _identity(spec: VmSpec) -> list[str]:
    fields = {
        "manufacturer": spec.vendor,
        "product": spec.model,
        "serial": spec.serial_number,
        "uuid": spec.uuid,
    }
    given = [f"{key}={escape(value)}" for key, value in fields.items() if value]
    return ["-smbios", ",".join(["type=1", *given])] if given else []


def _direct_kernel(spec: VmSpec) -> list[str]:
    words: list[str] = []
    if spec.kernel:
        words += ["-kernel", str(spec.kernel)]
    if spec.initrd:
        words += ["-initrd", str(spec.initrd)]
    if spec.command_line:
        words += ["-append", spec.command_line]
    return words


def _channels(channels: Channels | None) -> list[str]:
    if channels is None:
        return ["-serial", "mon:stdio"]
    return [
        *("-chardev", f"socket,id=qmp,path={escape(channels.qmp)},server=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-chardev", f"socket,id=serial,path={escape(channels.serial)},server=off"),
        *("-serial", "chardev:serial"),
    ]
