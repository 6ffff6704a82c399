"""``make demo``: the whole product once, on virtual hardware, without questions.

Builds 5.0 and 5.1, writes stick images, installs 5.0 through the screens, puts data into the VM store,
upgrades to 5.1 through the screens, and shows that the data is the same. Every step is a command that a
person can type.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path

from mediakit.errors import CancelledError, MediakitError
from mediakit.plain import dataclass
from mediakit.reference import walk
from mediakit.run import run
from mediakit.units import format_duration
from mediakit.vm import evidence
from mediakit.vm.machine import Machine
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec

DISK_BYTES = 12 << 30
STICK = "2G"
BUILD_SECONDS = 1800.0
FILE = "/engine/vms/demo-data"


@dataclass
class Demo:
    """Where everything lies, and when each step began."""

    out: Path
    started: float = field(default_factory=time.monotonic)

    def iso(self, version: str) -> Path:
        return self.out / f"engine-{version}.iso"

    def stick(self, version: str) -> Path:
        return self.out / f"stick-{version}.img"

    @property
    def disk(self) -> Path:
        return self.out / "disk.img"

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        print(f"[{format_duration(time.monotonic() - self.started):>10}] {what} …", flush=True)
        begin = time.monotonic()
        yield
        print(f"             done in {format_duration(time.monotonic() - begin)}", flush=True)

    def mediakit(self, *words: str | Path) -> None:
        print(f"             mediakit {' '.join(map(str, words))}", flush=True)
        run([sys.executable, "-m", "mediakit", *words], timeout=BUILD_SECONDS)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the documented exit statuses."""
    parser = argparse.ArgumentParser(prog="python -m mediakit.reference.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where everything is put")
    parsed = parser.parse_args(arguments)
    demo = Demo(parsed.out.absolute())
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: in order
    try:
        play(demo)
    except MediakitError as error:
        print(f"demo: {error.message}\n  {error.hint}".rstrip(), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        places = f"{demo.out}\n  logs and pictures of its machines: {demo.out / 'machines'}"
        print(f"\ndemo: Stopped. What there is so far: {places}", file=sys.stderr)
        return CancelledError.exit_status
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def play(demo: Demo) -> None:
    """All steps, in order."""
    demo.out.mkdir(parents=True, exist_ok=True)
    for path in (demo.disk, *(demo.stick(v) for v in ("5.0", "5.1"))):
        path.unlink(missing_ok=True)
    for version in ("5.0", "5.1"):
        with demo.step(f"Building the reference Engine {version}"):
            demo.mediakit("build-reference", version, "-o", demo.iso(version))
        with demo.step(f"Writing a stick image with {version}, and reading it back"):
            demo.mediakit("write", demo.iso(version), demo.stick(version), "--size", STICK, "--yes")
    with demo.disk.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    install(demo, "5.0")
    start(demo, "5.0", f"dd if=/dev/urandom of={FILE} bs=1M count=4 status=none; sync")
    before = sums(demo)
    install(demo, "5.1")
    start(demo, "5.1", "true")
    after = sums(demo)
    if before != after:
        raise MediakitError("The data in the VM store differs after the upgrade.", f"{before} / {after}")
    print(f"             The data in the VM store is the same: {after}")
    tell(demo)


def install(demo: Demo, version: str) -> None:
    """Boot the stick and go through the screens on the machine's own screen and keyboard."""
    action = "Installing" if version == "5.0" else "Upgrading to"
    stick = Disk(demo.stick(version), Bus.USB, serial=f"STICK{version}", boot=0)
    disk = Disk(demo.disk, Bus.SATA, serial="DEMO1", boot=1)
    spec = VmSpec(Firmware.UEFI, (stick, disk), ram_mib=1024, cpus=2, stops_on_reboot=True)
    with (
        demo.step(f"{action} {version} through the screens"),
        running(demo, spec, f"install-{version}") as machine,
    ):
        seen = _pictures(demo, machine, version)
        walk.choose_install(machine.serial, machine.deadline(30), lambda: seen("01-boot-menu", ""))
        walk.Walk(machine, walk.Person(), seen).run(machine.deadline(240))
        machine.wait_exit(machine.deadline(60))


def start(demo: Demo, version: str, command: str) -> None:
    """Boot the disk to ENGINE-READY, log in on the serial line and run ``command``."""
    spec = VmSpec(Firmware.UEFI, (Disk(demo.disk, Bus.SATA, serial="DEMO1", boot=0),), ram_mib=2048, cpus=2)
    with (
        demo.step(f"Starting Engine {version} from the disk"),
        running(demo, spec, f"boot-{version}") as machine,
    ):
        ready = walk.engine_ready(machine.serial, machine.deadline(90))
        print(f"             ENGINE-READY {ready['version']}, slot {ready['slot']}", flush=True)
        if ready["version"] != version:
            raise MediakitError(f"Engine {ready['version']} came up, not {version}.")
        _pictures(demo, machine, version)("20-engine-ready", "")
        log_in(machine)
        shell(machine, command)
        sum_line = shell(machine, f"sha256sum {FILE}")
        (demo.out / f"data-{version}.sha256").write_text(sum_line)
        machine.serial.send("poweroff\r")
        machine.wait_exit(machine.deadline(60))


def log_in(machine: Machine, password: str = walk.Person.password) -> None:
    """A root shell on the serial line, by way of the administrator."""
    serial = machine.serial
    serial.send("\r")
    serial.expect(r"login: ?", machine.deadline(30))
    serial.send("admin\r")
    serial.expect(r"assword: ?", machine.deadline(30))
    serial.send(f"{password}\r")
    serial.expect(r"\$ ?$", machine.deadline(30))
    serial.send("sudo -s\r")
    serial.expect(r"assword[^\n]*: ?", machine.deadline(30))
    serial.send(f"{password}\r")
    serial.expect(r"# ?$", machine.deadline(30))


def shell(machine: Machine, command: str, *, seconds: float = 60) -> str:
    """Run ``command`` in the shell on the serial line; its output. MediakitError if it fails."""
    machine.serial.skip()
    machine.serial.send(f'{command}; echo end-"of"-command=$?\r')
    match = machine.serial.expect(r"\n([\s\S]*?)end-of-command=(\d+)", machine.deadline(seconds))
    # What is typed before the next prompt stands there would be shown twice.
    machine.serial.expect(r"# ?$", machine.deadline(30))
    if match[2] != "0":
        raise MediakitError(f"“{command}” failed in the machine.", match[1])
    return str(match[1]).strip()


def sums(demo: Demo) -> str:
    """The newest checksum noted of the data in the VM store."""
    newest = max(demo.out.glob("data-*.sha256"), key=lambda path: path.stat().st_mtime_ns)
    return str((re.findall(r"[0-9a-f]{64}", newest.read_text()) or ["none"])[0])


@contextmanager
def running(demo: Demo, spec: VmSpec, name: str) -> Iterator[Machine]:
    """A machine that leaves its evidence when something goes wrong."""
    with Machine(spec, demo.out / "machines" / name) as machine:
        print(f"             {machine.accelerator.name}: {machine.accelerator.why}", flush=True)
        try:
            yield machine
        except (MediakitError, KeyboardInterrupt):
            page = evidence.leave(machine, demo.out / "machines" / name)
            print(f"             What is known about it: {page}", flush=True)
            raise


def _pictures(demo: Demo, machine: Machine, version: str) -> Callable[[str, str], None]:
    folder = demo.out / "screens"
    begin = time.monotonic()

    def seen(name: str, text: str) -> None:
        if "progress" not in name:
            machine.wait_still(machine.deadline(20))
        path = machine.screenshot(folder / f"{version}-{name}.png")
        print(f"             {time.monotonic() - begin:6.1f} s  {path.name}", flush=True)

    return seen


def tell(demo: Demo) -> None:
    """Where everything is, and the same with real things."""
    took = format_duration(time.monotonic() - demo.started)
    print(f"\nDone in {took}. What is there now:")
    for version in ("5.0", "5.1"):
        print(f"  ISO {version}          {demo.iso(version)}\n  stick image {version}  {demo.stick(version)}")
    print(f"  the disk         {demo.disk}\n  screenshots      {demo.out / 'screens'}/*.png")
    print(
        "\nThe same with a real ISO and a real stick:\n"
        "  mediakit inspect engine-5.1.iso\n  mediakit verify engine-5.1.iso\n"
        "  mediakit devices                      # which stick is it?\n"
        "  mediakit write engine-5.1.iso /dev/sdX\n"
        "Then start the machine from the stick and choose “Install Engine”. By hand, in a virtual machine:\n"
        f"  mediakit boot {demo.stick('5.1')} --as usb --disk {demo.disk}"
    )


if __name__ == "__main__":
    sys.exit(main())
