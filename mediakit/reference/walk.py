"""Owns the way through the installer's screens by typed keys, as a person at the machine goes it.

It reads what the screen shows and answers each page once; the same walk works on the graphical screen and on
the serial line, for a fresh install and for an upgrade. It knows nothing of the installer but its words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import field
from typing import Any, Protocol

from mediakit.errors import MediakitError
from mediakit.plain import dataclass
from mediakit.vm.deadline import Deadline, DeadlineError
from mediakit.vm.serial import Serial

PAGE = re.compile(r"Screen (\d)(?:, part (\d+) of (\d+))?\s*\n\s*(\S[^\n]*)")
LOOKED = re.compile(r"What was found(?![\s\S]*Looking at the disks)[\s\S]*(\([ *]\)|could not be looked at)")
"""Screen 5 with a result: a choice that can be taken, or why there is none; not while it still looks."""
READY = re.compile(r"ENGINE-(READY|DEGRADED) (\{[^\n\r]*\})")


class Console(Protocol):
    """A machine's screen and keyboard, or its serial line."""

    def wait_screen(self, pattern: str | re.Pattern[str], deadline: Deadline) -> str: ...
    def wait_still(self, deadline: Deadline) -> str: ...
    def press(self, *names: str) -> None: ...
    def type(self, text: str) -> None: ...


class WalkError(MediakitError):
    """The installer showed something that leads no further."""


@dataclass(frozen=True)
class Person:
    """What the person at the keyboard answers where the installer's own suggestion is not taken."""

    host_name: str = "engine"
    password: str = "engine-demo"
    action: str = ""  # the label on screen 5 to choose; what is preselected when empty
    end: str = "Restart the machine"


@dataclass
class Walk:
    """The walk so far; ``seen`` is called with a name for each new page, its text and may take a picture."""

    console: Console
    person: Person
    seen: Callable[[str, str], None] = lambda name, text: None
    pages: list[str] = field(default_factory=list)

    def run(self, deadline: Deadline) -> None:
        """From screen 2 to the end of the last screen."""
        title = ""
        while not title.startswith("Done"):
            text, title = self._next_page(title, deadline)
            self.pages.append(title)
            self.seen(f"{len(self.pages) + 1:02}-{_slug(title)}", text)
            self._answer(title, deadline)

    def _next_page(self, before: str, deadline: Deadline) -> tuple[str, str]:
        """Wait until a page with another title stands there, whole (its keys are the last row)."""
        other = "" if not before else rf"(?!{re.escape(before)}\s*\n)"
        whole = rf"Screen \d[^\n]*\n\s*{other}(?=\S)[\s\S]*(Enter|Esc):"
        if before.startswith("Summary"):
            whole = r"Screen \d[^\n]*\n\s*(?=Progress|Done)"
        text = self.console.wait_screen(whole, deadline)
        match = PAGE.search(text)
        if match is None:
            raise WalkError("The screen shows no page of the installer.", text)
        title = match[4].strip()
        if title.startswith("What was found"):
            text = self.console.wait_screen(LOOKED, deadline)
        if not title.startswith("Progress"):
            self.console.wait_still(deadline)
        return text, title

    def _answer(self, title: str, deadline: Deadline) -> None:
        for word, action in _ACTIONS.items():
            if title.startswith(word):
                action(self, deadline)
                return
        raise WalkError(f"The installer shows a page “{title}” that this walk does not know.")

    def enter(self, deadline: Deadline) -> None:
        """Take what is preselected."""
        self.console.press("enter")

    def licence(self, deadline: Deadline) -> None:
        self.console.press("down", "enter")

    def keyboard(self, deadline: Deadline) -> None:
        """Enter takes the layout, Enter leaves the line where it is tried; again where one was too early."""
        while True:
            self.console.press("enter")
            try:
                self.console.wait_screen("Screen 5", Deadline(8, scale=1))
                return
            except DeadlineError as early:
                if deadline.is_over:
                    raise deadline.error("the page after the keyboard", early.hint) from early

    def found(self, deadline: Deadline) -> None:
        text = self.console.wait_screen(self.person.action or LOOKED, deadline)
        if "could not be looked at" in text:
            raise WalkError("The installer could not look at the disks.", text)
        if self.person.action:
            for _ in range(_rows_down(text, self.person.action)):
                self.console.press("down")
        self.console.press("enter")

    def host(self, deadline: Deadline) -> None:
        self.console.press("end", "ctrl-u")
        self.console.type(self.person.host_name)
        self.console.wait_screen(re.escape(self.person.host_name), deadline)
        self.console.press("enter")

    def password(self, deadline: Deadline) -> None:
        for _ in range(2):
            self.console.type(self.person.password)
            self.console.press("enter")

    def summary(self, deadline: Deadline) -> None:
        text = self.console.wait_screen(
            r"type ERASE|Install now|Upgrade now|Reinstall now|Repair now", deadline
        )
        if "type ERASE" in text:
            self.console.type("ERASE")
        self.console.press("enter")

    def wait(self, deadline: Deadline) -> None:
        """Progress moves by itself."""

    def done(self, deadline: Deadline) -> None:
        self.console.wait_screen(re.escape(self.person.end), deadline)
        if self.person.end != "Restart the machine":
            self.console.press("down")
        self.console.press("enter")


_ACTIONS: dict[str, Callable[[Walk, Deadline], None]] = {
    "Welcome": Walk.enter,
    "Licence agreement": Walk.licence,
    "Keyboard": Walk.keyboard,
    "What was found": Walk.found,
    "Disk": Walk.enter,
    "Virtual machines": Walk.enter,
    "Host name": Walk.host,
    "Administrator's password": Walk.password,
    "Network": Walk.enter,
    "Time zone": Walk.enter,
    "Summary": Walk.summary,
    "Progress": Walk.wait,
    "Done": Walk.done,
}


def choose_install(serial: Serial, deadline: Deadline, looked: Callable[[], object] = lambda: None) -> str:
    """Screen 1: wait for the boot menu on the serial line, look at it, and choose “Install Engine”."""
    text = serial.wait_screen(r"Install Engine \S+", deadline)
    looked()
    serial.press("enter")
    return text


def choose_entry(serial: Serial, label: str, deadline: Deadline) -> None:
    """Screen 1: go down to the entry that holds ``label`` and choose it. GRUB draws the chosen entry anew
    with a star; it is read as it comes, because UEFI's console is wider than the terminal it is shown on."""
    starred = r"\*(\w[\w ,.]*?) {3,}"
    row = serial.expect(starred, deadline)[1]
    while label not in row:
        serial.press("down")
        row = serial.expect(starred, deadline)[1]
    serial.press("enter")


def engine_ready(serial: Serial, deadline: Deadline, word: str = "READY") -> dict[str, Any]:
    """Wait for the line that an Engine prints when it is up; the document it carries."""
    match = serial.expect(READY, deadline)
    document: dict[str, Any] = json.loads(match[2])
    if match[1] != word:
        raise WalkError(f"The Engine says ENGINE-{match[1]}, not ENGINE-{word}.", match[2])
    return document


def _rows_down(text: str, label: str) -> int:
    """How many choices lie between the marked one and ``label``."""
    actions = r"(Upgrade to|Repair|Remove and reinstall|Roll back|Fresh install|Continue)"
    rows = [line for line in text.splitlines() if re.match(rf"\W*{actions}", line)]
    marked = next((n for n, row in enumerate(rows) if re.match(r"\s*\(\*\)", row)), 0)
    wanted = next((n for n, row in enumerate(rows) if label in row), marked)
    return max(0, wanted - marked)


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
