"""Owns the QEMU Machine Protocol: JSON lines on a socket, commands with a deadline, events as they come.

QEMU's docs/interop/qmp-spec: greeting, ``qmp_capabilities``, then ``execute`` with ``id`` answered by
``return`` or ``error``; events arrive in between. One thread reads; callers wait on a condition.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from typing import Any

from mediakit.errors import DeviceError
from mediakit.vm.deadline import Deadline

log = logging.getLogger(__name__)

COMMAND_SECONDS = 60.0


class QmpError(DeviceError):
    """QEMU refused a command, or is gone."""


class Qmp:
    """A connected monitor. ``events`` is everything QEMU has told so far, oldest first."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._changed = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._next_id = 0
        self._is_greeted = False
        self._is_closed = False
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read, name="qmp", daemon=True)
        self._thread.start()

    def negotiate(self, deadline: Deadline) -> None:
        """Wait for the greeting and enter command mode."""
        with self._changed:
            while not self._is_greeted:
                self._wait(deadline, "QEMU's greeting")
        self.execute("qmp_capabilities", deadline=deadline)

    def execute(self, command: str, *, deadline: Deadline | None = None, **arguments: Any) -> Any:
        """Run ``command`` (``_`` in names stands for ``-``), return its answer; QmpError if refused."""
        deadline = deadline or Deadline(COMMAND_SECONDS)
        named = {key.replace("_", "-"): value for key, value in arguments.items() if value is not None}
        return self.call(command, named, deadline)

    def call(self, command: str, arguments: dict[str, Any], deadline: Deadline | None = None) -> Any:
        """The same with argument names as they are."""
        deadline = deadline or Deadline(COMMAND_SECONDS)
        with self._changed:
            self._next_id += 1
            number = self._next_id
        request = {"execute": command, "arguments": arguments, "id": number}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f"QEMU is gone; “{command}” could not be sent.") from error
        with self._changed:
            while number not in self._answers:
                self._wait(deadline, f"QEMU's answer to “{command}”")
            answer = self._answers.pop(number)
        if "error" in answer:
            raise QmpError(f"QEMU refused “{command}”: {answer['error'].get('desc', 'no reason given')}.")
        return answer["return"]

    def monitor(self, line: str, deadline: Deadline | None = None) -> str:
        """Run a line of the human monitor; QmpError if it reports an error."""
        text = str(self.call("human-monitor-command", {"command-line": line}, deadline))
        if text.startswith("Error") or "error:" in text.lower():
            raise QmpError(f"QEMU's monitor refused “{line}”: {text.strip()}")
        return text

    def wait_event(self, name: str, deadline: Deadline, since: int = 0) -> dict[str, Any]:
        """The first event ``name`` among ``events[since:]``, waited for."""
        with self._changed:
            while True:
                for event in self.events[since:]:
                    if event["event"] == name:
                        return event
                self._wait(deadline, f"QEMU's event {name}")

    def close(self) -> None:
        """Hang up and wait for the reader."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self._socket.close()

    def _wait(self, deadline: Deadline, what: str) -> None:
        if self._is_closed:
            raise QmpError(f"QEMU ended while waiting for {what}.")
        deadline.check(what)
        self._changed.wait(deadline.remaining)

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            try:
                for line in lines:
                    self._take(json.loads(line))
            except (OSError, ValueError) as error:
                log.debug("qmp: %s", error)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        with self._changed:
            if "QMP" in message:
                self._is_greeted = True
            elif "event" in message:
                log.debug("qmp event: %s", message["event"])
                self.events.append(message)
            elif "id" in message:
                self._answers[message["id"]] = message
            self._changed.notify_all()
