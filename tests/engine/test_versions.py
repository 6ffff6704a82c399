"""Version rules: what may be upgraded, what may run, which drivers are old."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from mediakit.engine import manifest, versions
from mediakit.engine.release import Release
from mediakit.errors import FormatError

MANIFEST = manifest.Manifest("Engine", "5.0", 5000, "amd64", "2024-01-01T00:00:00Z", 2, (1, 2), "5.0", 0, 0)


@dataclass(frozen=True)
class Vm:
    name: str = "vm"
    origin: str = "local"
    pv_driver: str = "4.5"
    min_engine: str = ""


def installed(version: str, build: int, layout: int) -> Release:
    return Release("Engine", version, build, "amd64", layout)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("5.0", "5.0", 0), ("5.0", "5.0.0", 0), ("4.5", "5.0", -1), ("5.10", "5.9", 1), ("5.0.1", "5.0", 1)],
)
def test_versions_are_numbers_not_letters(left: str, right: str, expected: int) -> None:
    assert versions.compare(left, right) == expected


@pytest.mark.parametrize("text", ["", "5.", "v5", "5.0-rc1", "1.2.3.4.5", "５.0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    if text == "５.0":
        assert not text.isascii()
    with pytest.raises(FormatError):
        versions.parse_version(text)


@pytest.mark.parametrize(
    ("version", "build", "layout", "allowed", "reason"),
    [
        ("4.5", 4500, 1, True, ""),
        ("5.0", 4999, 2, True, ""),
        ("5.0", 5000, 2, False, "installed already"),
        ("5.1", 5100, 2, False, "older 5.0"),
        ("4.0", 4000, 9, False, "layout 9"),
    ],
)
def test_upgrade_rules(version: str, build: int, layout: int, allowed: bool, reason: str) -> None:
    verdict = versions.judge_upgrade(installed(version, build, layout), MANIFEST)
    assert verdict.allowed is allowed and reason in verdict.reason
    assert allowed or (verdict.reason and verdict.way_forward)


def test_only_the_same_build_repairs() -> None:
    assert versions.judge_repair(installed("5.0", 5000, 2), MANIFEST).allowed
    assert "5.0 (build 4999)" in versions.judge_repair(installed("5.0", 4999, 2), MANIFEST).reason
    assert not versions.judge_repair(installed("5.0", 5000, 1), MANIFEST).allowed


def test_a_vm_of_a_newer_synchronizer_does_not_run_on_an_older_engine() -> None:
    vms = [Vm("old"), Vm("a", min_engine="4.5"), Vm("b", min_engine="5.0")]
    assert versions.refused_vms(vms, "4.5") == ("b",)
    assert versions.refused_vms(vms, "5.0") == ()


def test_local_and_custom_vms_need_newer_drivers_shared_ones_do_not() -> None:
    vms = [
        Vm("l"),
        Vm("c", "custom"),
        Vm("s", "shared"),
        Vm("new", pv_driver="5.0"),
        Vm("none", pv_driver=""),
    ]
    assert versions.vms_needing_drivers(vms, "5.0") == ("l", "c", "none")


def test_ten_percent_of_ram_may_be_missing() -> None:
    assert versions.is_enough_ram(967 << 20, 1 << 30)
    assert not versions.is_enough_ram(900 << 20, 1 << 30)
    assert replace(MANIFEST, min_ram_bytes=0).min_ram_bytes == 0
