"""``mediakit boot``: an image or disk in QEMU, its serial line on the terminal."""

from __future__ import annotations

import argparse
import os
import select
import sys
import termios
import tty
from dataclasses import replace
from pathlib import Path

from mediakit.errors import SourceError, UsageError
from mediakit.units import MIB, parse_size
from mediakit.vm.machine import Machine
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec

INTERRUPT = 0x03  # Ctrl-C
ESCAPE = 0x1D  # Ctrl-], then c: a Ctrl-C for the guest


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="an ISO, a stick image or a disk image")
    parser.add_argument("--firmware", choices=[str(kind) for kind in Firmware], default="uefi")
    parser.add_argument("--as", dest="as_", choices=["cd", "usb", "disk"], help="how IMAGE is attached")
    parser.add_argument("--disk", type=Path, action="append", default=[], metavar="F", help="another disk")
    parser.add_argument("--bus", choices=["virtio", "sata", "nvme"], default="sata", help="of the disks")
    parser.add_argument("--memory", default="1G", metavar="SIZE", help="of the machine (default 1G)")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--network", action="store_true", help="a network card behind the host's address")
    parser.add_argument("--vars", type=Path, metavar="F", help="UEFI variables, kept there from run to run")
    parser.add_argument("--display", default="none", help="QEMU's -display: none (default), gtk, vnc=:1")
    parser.add_argument("--snapshot", action="store_true", help="throw away what the machine writes")


def execute(arguments: argparse.Namespace) -> int:
    machine = Machine(make_spec(arguments), display=arguments.display)
    with machine:
        _tell(machine)
        return _attach(machine)


def make_spec(arguments: argparse.Namespace) -> VmSpec:
    """The machine that the arguments describe; files are looked at, nothing is started."""
    for path in (arguments.image, *arguments.disk):
        if not path.exists():
            raise SourceError(f"{path} does not exist.", "Give the path of an image.")
    firmware = Firmware(arguments.firmware)
    first = _medium(arguments.image, arguments.as_, Bus(arguments.bus), arguments.snapshot)
    disks = [first]
    for number, path in enumerate(arguments.disk):
        disks.append(_disk(path, Bus(arguments.bus), boot=number + 1))
    memory = parse_size(arguments.memory)
    if memory < 64 * MIB:
        raise UsageError(f"{arguments.memory} is too little memory for a machine.", "Give at least 64M.")
    spec = VmSpec(
        firmware=firmware,
        disks=tuple(replace(disk, snapshot=disk.snapshot or arguments.snapshot) for disk in disks),
        ram_mib=memory // MIB,
        cpus=arguments.cpus,
        network="user" if arguments.network else "none",
    )
    return replace(spec, vars=arguments.vars, keep_vars=True) if arguments.vars else spec


def _medium(path: Path, how: str | None, bus: Bus, snapshot: bool) -> Disk:
    kind = how or ("cd" if _is_iso(path) else "disk")
    if kind == "cd":
        return Disk(path, Bus.CD, boot=0)
    disk = _disk(path, Bus.USB if kind == "usb" else bus, boot=0)
    # An ISO as a stick: the guest may write to its stick, but not to the file somebody verified.
    return replace(disk, snapshot=snapshot or _is_iso(path))


def _disk(path: Path, bus: Bus, boot: int) -> Disk:
    with path.open("rb") as file:
        magic = file.read(4)
    return Disk(path, bus, "qcow2" if magic == b"QFI\xfb" else "raw", path.stem[:20], boot=boot, is_safe=True)


def _is_iso(path: Path) -> bool:
    return path.suffix.lower() == ".iso"


def _tell(machine: Machine) -> None:
    spec = machine.spec
    say = f"{spec.firmware} firmware, {spec.cpus} CPUs, {spec.ram_mib} MiB; {machine.accelerator.name}: "
    print(say + machine.accelerator.why, file=sys.stderr)
    for disk in spec.disks:
        note = " (writes are thrown away)" if disk.snapshot else ""
        print(f"  {disk.bus}: {disk.file}{note}", file=sys.stderr)
    print("The serial line is here. Ctrl-C ends the machine; Ctrl-] c sends it a Ctrl-C.", file=sys.stderr)


def _attach(machine: Machine) -> int:
    """Pass bytes both ways until the machine ends or the person does; the terminal is put back."""
    out = sys.stdout.fileno()
    machine.serial.tap(lambda data: _write_all(out, data))
    terminal = sys.stdin.fileno()
    is_terminal = os.isatty(terminal)
    before = termios.tcgetattr(terminal) if is_terminal else []
    ended = os.pidfd_open(machine.process_id)
    try:
        if is_terminal:
            tty.setraw(terminal)
        return _pass_keys(machine, terminal, ended)
    finally:
        os.close(ended)
        if is_terminal:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
            print("\r", file=sys.stderr)


def _pass_keys(machine: Machine, terminal: int, ended: int) -> int:
    sources = [terminal, ended]
    escaped = False
    while True:
        ready, _, _ = select.select(sources, [], [])
        if ended in ready:
            return 0
        data = os.read(terminal, 1024)
        if not data:
            sources.remove(terminal)  # no more input: the machine runs on until it ends
            continue
        for byte in data:
            if escaped:
                escaped = False
                machine.serial.send(bytes([INTERRUPT if byte in b"cC" else byte]))
            elif byte == INTERRUPT:
                machine.quit()
                return 0
            elif byte == ESCAPE:
                escaped = True
            else:
                machine.serial.send(bytes([byte]))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
