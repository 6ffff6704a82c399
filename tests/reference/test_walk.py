"""The walk through the installer's screens: when it takes its pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mediakit.reference.walk import Person, Walk, WalkError
from mediakit.vm.deadline import Deadline

KEYS = "\n  Enter: go on   Esc: back\n"
LOOKING = "Engine 5.1   Screen 5\n\n  What was found\n\n  Looking at the disks. Nothing is written.\n" + KEYS
FOUND = "Engine 5.1   Screen 5\n\n  What was found\n\n  Dell, 8.00 GiB\n  (*) Upgrade to 5.1\n" + KEYS
FAILED = "Engine 5.1   Screen 5\n\n  What was found\n\n  The disks could not be looked at.\n" + KEYS
DONE = "Engine 5.1   Screen 6, part 3 of 3\n\n  Done\n\n  (*) Restart the machine\n" + KEYS


class Played:
    """A console that shows one frame after the other, the next when the one before is of no use any more."""

    def __init__(self, *frames: str) -> None:
        self._frames: Iterator[str] = iter(frames)
        self._now = next(self._frames)
        self.pressed: list[str] = []

    def wait_screen(self, pattern: str | re.Pattern[str], deadline: Deadline) -> str:
        while not re.search(pattern, self._now):
            self._now = next(self._frames)
        return self._now

    def wait_still(self, deadline: Deadline) -> str:
        return self._now

    def press(self, *names: str) -> None:
        self.pressed += names

    def type(self, text: str) -> None:
        self.pressed.append(text)


def test_the_picture_of_screen_5_shows_what_was_found_not_the_looking() -> None:
    console, pictures = Played(LOOKING, LOOKING, FOUND, DONE), {}
    Walk(console, Person(), pictures.__setitem__).run(Deadline(5))
    assert pictures["02-what-was-found"] == FOUND
    assert console.pressed == ["enter", "enter"]


def test_disks_that_cannot_be_looked_at_end_the_walk() -> None:
    with pytest.raises(WalkError, match="could not look"):
        Walk(Played(LOOKING, FAILED), Person()).run(Deadline(5))
