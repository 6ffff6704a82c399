"""The unattended run on recorded machines: what it says, what it does, how it ends."""

from __future__ import annotations

import io
from typing import Any

import pytest

from installer_ui.headless import SECONDS, StoppedByKeyError, Unattended
from mediakit.engine import answers
from mediakit.errors import RefusedError, UsageError

UPGRADE = 'schema = 1\naction = "upgrade"\nlicence = "accepted"\n'


class Keys:
    """Counts the seconds waited; presses a key at ``at``."""

    def __init__(self, at: int = 0) -> None:
        self.waited, self._at = 0, at

    def __call__(self, seconds: float) -> bool:
        self.waited += 1
        return self.waited == self._at


def unattended(machine: Any, text: str, keys: Keys) -> tuple[Unattended, io.StringIO]:
    out = io.StringIO()
    return Unattended(machine, answers.parse(text), out, keys), out


def test_an_upgrade_shows_machine_and_plan_counts_down_and_ends_as_told(machine_on: Any) -> None:
    machine, keys = machine_on("engine-5.0"), Keys()
    run, out = unattended(machine, UPGRADE, keys)
    assert run.run() == 0
    assert keys.waited == SECONDS
    assert machine.ended_by == "poweroff"
    assert machine.reported.result == "done"
    said = out.getvalue()
    for words in (
        "7XK2P5J",
        "Write Engine 5.1 into slot b",
        "The report is on the stick",
        "ENGINE-INSTALL done",
    ):
        assert words in said
    assert said.index("Kept") < said.index(f"\r {SECONDS}") < said.index("* Mark slot b")


def test_a_key_stops_the_countdown_and_nothing_is_written(machine_on: Any) -> None:
    machine = machine_on("engine-5.0")
    run, _ = unattended(machine, UPGRADE, Keys(at=3))
    with pytest.raises(StoppedByKeyError):
        run.run()
    assert machine.reported is None
    assert machine.ended_by == ""


def test_a_dry_run_shows_the_plan_only(machine_on: Any) -> None:
    machine, keys = machine_on("engine-5.0"), Keys()
    run, out = unattended(machine, UPGRADE, keys)
    assert run.run(dry_run=True) == 0
    assert keys.waited == 0
    assert machine.reported is None
    assert "Write Engine 5.1 into slot b" in out.getvalue()


def test_a_refusal_is_said_and_reported(machine_on: Any) -> None:
    machine = machine_on("blank")
    run, out = unattended(machine, UPGRADE, Keys())
    with pytest.raises(RefusedError):
        run.run()
    assert machine.reported.result == "refused"
    assert "ENGINE-INSTALL refused" in out.getvalue()
    assert machine.ended_by == "", "the machine stays on, so that somebody sees why"


def test_answers_speak_the_users_language(machine_on: Any) -> None:
    run, out = unattended(machine_on("engine-5.0"), UPGRADE + 'language = "es"\n', Keys())
    run.run(dry_run=True)
    assert "Se conserva" in out.getvalue()


def test_without_the_licence_nothing_is_looked_at(machine_on: Any) -> None:
    run, _ = unattended(machine_on("engine-5.0"), UPGRADE, Keys())
    run._answers = answers.Answers("upgrade")
    with pytest.raises(UsageError):
        run.run()
