"""Answers on recorded machines: which Engine or disk they mean, and when they say stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mediakit.engine import answers
from mediakit.errors import RefusedError, TrustError
from mediakit.install.answering import choices, settings_of
from mediakit.install.machine import Detection

from . import fakes

SYSTEM = (
    '\n[system]\nhost_name = "lab"\ntime_zone = "UTC"\n'
    f'admin_password_hash = "$6$saltsalt${"x" * 86}"\n[network]\nmode = "dhcp"\n'
)


def recorded() -> Detection:
    return Detection.loads((fakes.ROOT / "tests/machines/engine-5.0.json").read_text())


def with_two(version: str = "5.1") -> Detection:
    """Two disks, the second with a clone of the first's Engine of another version."""
    found = recorded()
    disk = found.disks[0]
    engine = replace(disk.engines[0], version=version, install_id="second")
    other = replace(disk, path="/dev/other", serial="OTHER", engines=(engine,))
    return replace(found, disks=(disk, other))


def wanted(text: str) -> answers.Answers:
    head, _, tables = text.partition("[")
    rest = f"[{tables}" if tables else ""
    return answers.parse(f'schema = 1\nlicence = "accepted"\n{head}\n{rest}', "a.toml")


def test_the_only_engine_is_chosen() -> None:
    found = recorded()
    (choice,) = choices(found, wanted('action = "upgrade"'))
    engine = found.disks[0].engines[0]
    assert (choice.action, choice.disk, choice.install_id) == (
        "upgrade",
        found.disks[0].path,
        engine.install_id,
    )


def test_several_stop_unless_told() -> None:
    with pytest.raises(RefusedError, match="Several Engines"):
        choices(with_two(), wanted('action = "upgrade"'))
    everything = choices(with_two(), wanted('action = "upgrade"\nwhen_many = "all"'))
    assert len(everything) == 2
    (newest,) = choices(with_two(), wanted('action = "upgrade"\nwhen_many = "newest"'))
    assert newest.install_id == "second"
    same = with_two(recorded().disks[0].engines[0].version)
    with pytest.raises(RefusedError, match="Several Engines"):
        choices(same, wanted('action = "upgrade"\nwhen_many = "newest"'))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('disk_serial = "OTHER"', "second"),
        ('min_version = "5.1"', "second"),
        ('max_version = "5.0"', "first"),
        ('max_version = "5.0"\ndisk_serial = "OTHER"', ""),
        ('disk_model = "no such model"', ""),
        ('min_size = "900TB"', ""),
    ],
)
def test_all_that_match_says_must_hold(rule: str, expected: str) -> None:
    found, meant = with_two(), wanted(f'action = "upgrade"\n[match]\n{rule}')
    if not expected:
        with pytest.raises(RefusedError, match="No Engine"):
            choices(found, meant)
        return
    (choice,) = choices(found, meant)
    assert (choice.install_id == "second") == (expected == "second")


def test_another_machine_is_a_matter_of_trust() -> None:
    with pytest.raises(TrustError, match="other machines"):
        choices(recorded(), wanted('action = "upgrade"\n[match]\nmachine_serials = ["elsewhere"]'))
    serial = recorded().machine.serial
    assert choices(recorded(), wanted(f'action = "upgrade"\n[match]\nmachine_serials = ["{serial}"]'))


def test_a_reinstall_takes_the_engine_that_wipe_names() -> None:
    (choice,) = choices(
        with_two(), wanted('action = "reinstall"\n[wipe]\ninstall_id = "second"\nkeep_vms = true' + SYSTEM)
    )
    assert (choice.install_id, choice.wipe, choice.keep_vms) == ("second", "second", True)
    with pytest.raises(RefusedError):
        choices(with_two(), wanted('action = "reinstall"\n[wipe]\ninstall_id = "third"' + SYSTEM))


def test_no_engine_stops_and_names_nothing_by_guess() -> None:
    blank = replace(recorded(), disks=())
    with pytest.raises(RefusedError, match="they say stop"):
        choices(blank, wanted('action = "upgrade"'))
    with pytest.raises(RefusedError, match="No disk fits"):
        choices(blank, wanted('action = "upgrade"\nwhen_none = "fresh"' + SYSTEM))


def test_the_hash_of_the_password_is_in_no_representation() -> None:
    settings = settings_of(wanted('action = "fresh"' + SYSTEM))
    assert settings.host_name == "lab" and settings.admin_password_hash.startswith("$6$")
    assert "saltsalt" not in repr(settings)


def test_the_install_id_of_before_the_cut_still_names_a_half_reinstalled_engine() -> None:
    found = Detection.loads((fakes.ROOT / "tests/machines/reinstall-interrupted.json").read_text())
    old = found.disks[0].engines[0].interrupted
    assert old is not None
    text = f'action = "reinstall"\n[wipe]\ninstall_id = "{old.install_id}"\nkeep_vms = true' + SYSTEM
    (choice,) = choices(found, wanted(text))
    assert choice.install_id == found.disks[0].engines[0].install_id and choice.keep_vms
