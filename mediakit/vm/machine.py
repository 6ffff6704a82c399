"""Owns a running virtual machine: starts, drives, ends it. Every wait is on a condition with a deadline."""

from __future__ import annotations

import logging
import os
import re
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from mediakit import run
from mediakit.errors import DeviceError
from mediakit.vm import accel, argv, firmware, fonts, keys, screen
from mediakit.vm.deadline import Deadline, DeadlineError
from mediakit.vm.qmp import Qmp, QmpError
from mediakit.vm.serial import Serial
from mediakit.vm.spec import Channels, Disk, VmSpec

log = logging.getLogger(__name__)
START_SECONDS = 30.0
LOOK_SECONDS = 0.4  # between two looks at a graphical screen
ECHO_SECONDS = 3.0  # for a typed letter to show, where letters show


class MachineError(DeviceError):
    """QEMU did not start, or ended too early."""


class Machine:
    """A machine, as a context manager. Whatever happens, QEMU is dead when the block ends.

    ``folder`` receives the serial log, QEMU's messages and the firmware's variables; a temporary one if None.
    """

    def __init__(
        self,
        spec: VmSpec,
        folder: Path | None = None,
        accelerator: accel.Accelerator | None = None,
        display: str = "none",
    ) -> None:
        self.spec = spec
        self.display = display
        self.accelerator = accelerator or accel.choose()
        self._kept = folder
        self.qmp: Qmp
        self.serial: Serial
        self.argv: list[str] = []
        self._hot: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._scratch = Path(tempfile.mkdtemp(prefix="mediakit-vm-"))
        self.folder = self._kept or self._scratch
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def deadline(self, seconds: float) -> Deadline:
        """A deadline for something that takes ``seconds`` at most with KVM; longer without."""
        return Deadline(seconds * self.accelerator.scale)

    # -- life ---------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        return self._process.pid

    def wait_exit(self, deadline: Deadline) -> int:
        """Wait until the machine has ended (power off, or a reboot with ``stops_on_reboot``)."""
        if self._process.poll() is None:
            handle = os.pidfd_open(self._process.pid)
            try:
                ended, _, _ = select.select([handle], [], [], deadline.remaining)
            finally:
                os.close(handle)
            if not ended:
                raise deadline.error("the machine to end", self.serial.tail(12))
        return self._process.wait()

    def powerdown(self) -> None:
        """Press the power button (ACPI); the guest decides."""
        self.qmp.execute("system_powerdown")

    def reset(self) -> None:
        """Press the reset button."""
        self.qmp.execute("system_reset")

    def crash(self) -> None:
        """End QEMU at once, as a plug pulled: SIGKILL (what it wrote stays in the host's page cache)."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def quit(self) -> None:
        """End QEMU in order, with its caches written."""
        try:
            self.qmp.execute("quit", deadline=Deadline(10))
        except QmpError:
            pass
        self.wait_exit(Deadline(30))

    def resume(self) -> None:
        """Let a machine that was started paused, or stopped, run."""
        self.qmp.execute("cont")

    # -- screen and keyboard ------------------------------------------------------------------------------

    def screenshot(self, path: Path) -> Path:
        """The screen as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.qmp.execute("screendump", filename=str(path.absolute()), format="png")
        return path

    def screen_text(self) -> str:
        """What is written on the graphical screen, in text mode or on a framebuffer console."""
        dump = self._scratch / "screen.ppm"
        self.qmp.execute("screendump", filename=str(dump))
        return screen.read(screen.parse_ppm(dump.read_bytes()), fonts.for_screens())

    def wait_screen(self, pattern: str | re.Pattern[str], deadline: Deadline) -> str:
        """Look at the graphical screen until its text matches ``pattern``; return the text."""
        wanted = re.compile(pattern)
        return self.wait_screen_until(lambda text: bool(wanted.search(text)), f"“{wanted.pattern}”", deadline)

    def wait_screen_until(self, holds: Callable[[str], bool], what: str, deadline: Deadline) -> str:
        """Look at the graphical screen until ``holds(text)``."""
        handle = os.pidfd_open(self._process.pid)
        try:
            while True:
                text = self.screen_text()
                if holds(text):
                    return text
                deadline.check(f"{what} on the screen", text)
                ended, _, _ = select.select([handle], [], [], min(LOOK_SECONDS, deadline.remaining))
                if ended:
                    raise MachineError(f"The machine ended while waiting for {what} on the screen.")
        finally:
            os.close(handle)

    def wait_still(self, deadline: Deadline) -> str:
        """Look at the graphical screen until it shows the same twice: what was being drawn is whole."""
        before: list[str] = []

        def is_still(text: str) -> bool:
            before.append(text)
            return before[-2:] == [text, text]

        return self.wait_screen_until(is_still, "a picture that stays", deadline)

    def press(self, *names: str) -> None:
        """Press keys by name: ``enter``, ``down``, ``f2``, ``ctrl-alt-f2``."""
        for name in names:
            self._send(keys.combination(name))

    def type(self, text: str) -> None:
        """Type ``text`` on the keyboard (US layout), each letter when the one before is on the screen.

        A PS/2 keyboard drops what a slow guest does not fetch in time; where nothing is echoed, each letter
        waits ``ECHO_SECONDS``.
        """
        for letter in text:
            before = self.screen_text()
            self._send(keys.character(letter))
            self._wait_echo(before)

    def _wait_echo(self, before: str) -> None:
        try:
            self.wait_screen_until(lambda now: now != before, "a typed letter", Deadline(ECHO_SECONDS))
        except DeadlineError:
            log.debug("nothing was echoed")

    def _send(self, codes: list[str]) -> None:
        pressed = [{"type": "qcode", "data": code} for code in codes]
        self.qmp.call("send-key", {"keys": pressed, "hold-time": 40})

    # -- snapshots and disks ------------------------------------------------------------------------------

    def save(self, name: str) -> None:
        """Keep the machine's whole state (needs qcow2 disks, ``has_snapshots``, no NVMe)."""
        self.qmp.monitor(f"savevm {name}", self.deadline(60))

    def load(self, name: str) -> None:
        """Go back to a kept state."""
        self.qmp.monitor(f"loadvm {name}", self.deadline(60))
        self.serial.skip()

    def plug(self, disk: Disk, name: str) -> None:
        """Plug a USB disk in while the machine runs."""
        driver = {
            "driver": disk.format,
            "node-name": name,
            "read-only": disk.read_only,
            "file": {"driver": "file", "filename": str(disk.file.absolute())},
        }
        self.qmp.call("blockdev-add", driver)
        options: dict[str, object] = dict(argv.device_options(disk, name, argv.USB_BUS))
        options.pop("bootindex", None)
        options["removable"] = True
        self.qmp.call("device_add", {**options, "id": f"dev-{name}"})
        self._hot[name] = f"dev-{name}"

    def unplug(self, name: str) -> None:
        """Pull a disk: one given to ``plug``, or ``dev0``, ``dev1`` … for the disks of the spec."""
        device = self._hot.pop(name, name)
        since = len(self.qmp.events)
        self.qmp.call("device_del", {"id": device})
        self.qmp.wait_event("DEVICE_DELETED", self.deadline(20), since)
        if device != name:
            self.qmp.call("blockdev-del", {"node-name": name})

    # -- start and end ------------------------------------------------------------------------------------

    def by_hand(self) -> list[str]:
        """The words with which a person starts the same machine: serial line and monitor on the terminal."""
        return argv.argv(self.spec, self.accelerator.name, self._firmware, None)

    def _start(self) -> None:
        channels = Channels(self._scratch / "qmp", self._scratch / "serial")
        self._firmware = firmware.prepare(self.spec, self.folder)
        self.argv = argv.argv(self.spec, self.accelerator.name, self._firmware, channels, self.display)
        listeners = [_listen(channels.qmp), _listen(channels.serial)]
        messages = self.folder / "qemu.log"
        deadline = Deadline(START_SECONDS)
        try:
            with messages.open("wb") as output:
                # A thread that ends would take QEMU with it: only the main thread lasts as long as we do.
                is_main = threading.current_thread() is threading.main_thread()
                self._process = run.start(self.argv, stdout=output, stderr=output, dies_with_us=is_main)
            self.qmp = Qmp(self._accept(listeners[0], deadline, messages))
            self.serial = Serial(self._accept(listeners[1], deadline, messages), self.folder / "serial.log")
        finally:
            for listener in listeners:
                listener.close()
        try:
            self.qmp.negotiate(deadline)
        except QmpError as error:
            raise _not_started(messages) from error

    def _accept(self, listener: socket.socket, deadline: Deadline, messages: Path) -> socket.socket:
        handle = os.pidfd_open(self._process.pid)
        try:
            ready, _, _ = select.select([listener.fileno(), handle], [], [], deadline.remaining)
        finally:
            os.close(handle)
        if listener.fileno() not in ready:
            raise _not_started(messages)
        return listener.accept()[0]

    def _end(self) -> None:
        if hasattr(self, "_process"):
            self.crash()
        for part in ("qmp", "serial"):
            if hasattr(self, part):
                getattr(self, part).close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _not_started(messages: Path) -> MachineError:
    said = messages.read_text(errors="replace").strip()
    return MachineError(f"QEMU did not start: {said or 'it said nothing'}.", "Check the disks' files.")


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)
    return listener
