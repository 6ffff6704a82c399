"""The unattended run on recorded machines: what it says, what it does, how it ends."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from installer_ui.headless import SECONDS, StoppedByKeyError, Unattended
from mediakit.engine import answers
from mediakit.errors import RefusedError, TrustError, UsageError
from mediakit.install.execute import Result

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


def test_keys_that_cannot_be_read_stop_it_as_a_matter_of_trust(machine_on: Any) -> None:
    machine, keys = machine_on("engine-5.0"), Keys()
    machine.has_unreadable_keys = True
    run, out = unattended(machine, UPGRADE, keys)
    with pytest.raises(TrustError) as error:
        run.run()
    assert error.value.exit_status == 6 and keys.waited == 0
    assert machine.reported.result == "refused" and machine.ended_by == ""
    assert "ENGINE-INSTALL refused" in out.getvalue()


@pytest.mark.parametrize(
    ("word", "stops"), [("missing", True), ("denied", True), ("mok", False), ("", False)]
)
def test_secure_boot_that_would_not_start_the_engine_stops_it(
    machine_on: Any, word: str, stops: bool
) -> None:
    machine, keys = machine_on("engine-5.0"), Keys()
    found = machine._detection
    machine._detection = replace(
        found, machine=replace(found.machine, firmware="uefi", secure_boot=True, engine_key=word)
    )
    run, out = unattended(machine, UPGRADE, keys)
    if stops:
        with pytest.raises(RefusedError, match="Secure Boot is on"):
            run.run()
        assert keys.waited == 0 and machine.reported.result == "refused"
    else:
        assert run.run() == 0
    assert ("Secure Boot is on" in out.getvalue()) is bool(word)


def test_an_error_of_trust_while_working_keeps_its_status(machine_on: Any) -> None:
    machine = machine_on("engine-5.0")
    machine.execute = lambda *_, **__: Result("failed", "Forged.", exit_status=6)
    run, _ = unattended(machine, UPGRADE, Keys())
    assert run.run() == 6
