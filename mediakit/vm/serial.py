"""Owns a machine's serial line: one thread reads it into a log, a transcript and a terminal; callers wait for
what they expect and type.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from mediakit.errors import DeviceError
from mediakit.vm.deadline import Deadline
from mediakit.vm.terminal import Terminal

Pattern = str | re.Pattern[str]
KEYS = {
    "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "enter": "\r", "tab": "\t",
    "shift-tab": "\x1b[Z", "esc": "\x1b", "backspace": "\x7f", "delete": "\x1b[3~", "home": "\x1b[H",
    "end": "\x1b[F", "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "space": " ",
    "ctrl-c": "\x03", "ctrl-u": "\x15",
}  # fmt: skip


class LineClosedError(DeviceError):
    """The machine ended while something was expected from it."""


class Serial:
    """The line. ``expect`` moves on through the transcript; ``wait_screen`` looks at the screen as it is."""

    def __init__(self, connection: socket.socket, log_path: Path) -> None:
        self._socket = connection
        self._changed = threading.Condition()
        self._position = 0
        self._is_closed = False
        self._taps: list[Callable[[bytes], None]] = []
        self.log_path = log_path
        self._log = log_path.open("ab", buffering=0)
        self._terminal = Terminal()
        self._thread = threading.Thread(target=self._read, name="serial", daemon=True)
        self._thread.start()

    @property
    def transcript(self) -> str:
        """Everything printed so far, without control functions."""
        with self._changed:
            return self._terminal.transcript

    def screen_text(self) -> str:
        """What a person sees on a terminal of 80×24 at the line's other end."""
        with self._changed:
            return self._terminal.text()

    def marked(self) -> list[str]:
        """What is shown in reverse video."""
        with self._changed:
            return self._terminal.marked()

    def tail(self, lines: int = 25) -> str:
        """The last lines of the transcript."""
        return "\n".join(self.transcript.splitlines()[-lines:])

    def expect(self, pattern: Pattern, deadline: Deadline) -> re.Match[str]:
        """Wait until ``pattern`` (a regular expression) comes behind the last match; move behind it."""
        wanted = re.compile(pattern)
        with self._changed:
            while True:
                match = wanted.search(self._terminal.transcript, self._position)
                if match:
                    self._position = match.end()
                    return match
                self._wait(deadline, f"“{wanted.pattern}” on the serial line")

    def wait_screen(self, pattern: Pattern, deadline: Deadline) -> str:
        """Wait until the screen, as a person sees it, matches ``pattern``; return its text."""
        wanted = re.compile(pattern)
        with self._changed:
            while True:
                text = self._terminal.text()
                if wanted.search(text):
                    return text
                self._wait(deadline, f"“{wanted.pattern}” on the serial screen")

    def wait_still(self, deadline: Deadline) -> str:
        """Wait until the screen shows the same for half a second; return its text."""
        with self._changed:
            text = ""
            while (now := self._terminal.text()) != text:
                deadline.check("a picture that stays on the serial screen", now)
                text = now
                self._changed.wait_for(lambda old=text: self._terminal.text() != old, 0.5)  # type: ignore[misc]
            return text

    def wait_until(self, holds: Callable[[str], bool], what: str, deadline: Deadline) -> str:
        """Wait until ``holds(screen text)``."""
        with self._changed:
            while True:
                text = self._terminal.text()
                if holds(text):
                    return text
                self._wait(deadline, what)

    def skip(self) -> None:
        """Let ``expect`` look only at what comes from now on."""
        with self._changed:
            self._position = len(self._terminal.transcript)

    def send(self, text: str | bytes) -> None:
        """Type ``text``."""
        data = text.encode() if isinstance(text, str) else text
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LineClosedError("The machine has ended; nothing can be typed.") from error

    def type(self, text: str) -> None:
        """Type ``text``, as on the machine's own keyboard."""
        self.send(text)

    def press(self, *names: str) -> None:
        """Press named keys (``up``, ``enter``, ``tab``, ``f1`` is not among them) as a VT100 sends them."""
        for name in names:
            self.send(KEYS[name])

    def tap(self, listener: Callable[[bytes], None]) -> None:
        """Call ``listener`` with the raw bytes as they come (from the reading thread)."""
        with self._changed:
            self._taps.append(listener)

    def close(self) -> None:
        """Hang up and wait for the reader."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self._socket.close()
        self._log.close()

    def _wait(self, deadline: Deadline, what: str) -> None:
        seen = "\n".join(self._terminal.transcript.splitlines()[-12:])
        if self._is_closed:
            raise LineClosedError(f"The machine ended while waiting for {what}.", f"Last seen:\n{seen}")
        deadline.check(what, seen)
        self._changed.wait(deadline.remaining)

    def _read(self) -> None:
        while data := self._receive():
            self._log.write(data)
            with self._changed:
                self._terminal.feed(data)
                answer, self._terminal.answers = self._terminal.answers, b""
                taps = list(self._taps)
                self._changed.notify_all()
            for listener in taps:
                listener(data)
            if answer:
                try:
                    self._socket.sendall(answer)
                except OSError:
                    break
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except OSError:
            return b""
