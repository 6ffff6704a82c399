"""Detecting: what it says of disks, and that it changes nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.target import open_target
from mediakit.install import windows
from mediakit.install.detect import detect
from mediakit.install.machine import Detection

from . import fakes

MACHINES = sorted((Path(__file__).parents[1] / "machines").glob("*.json"))


def write(disk: Path, name: str, offset: int, data: bytes) -> None:
    with open_target(disk) as target:
        windows.partitions(target)[name][1].write(offset, data)


def data_digest(path: Path) -> str:
    """All data and where it lies; holes are skipped."""
    import os

    found = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        position, size = 0, path.stat().st_size
        while position < size:
            try:
                start = os.lseek(descriptor, position, os.SEEK_DATA)
            except OSError:
                break
            position = os.lseek(descriptor, start, os.SEEK_HOLE)
            found.update(str(start).encode() + os.pread(descriptor, position - start, start))
    finally:
        os.close(descriptor)
    return found.hexdigest()


def test_detecting_changes_no_byte(installed: Path) -> None:
    before, stamp = data_digest(installed), installed.stat().st_mtime_ns
    detect([installed])
    assert data_digest(installed) == before and installed.stat().st_mtime_ns == stamp


def test_a_detection_survives_its_own_json(installed: Path, medium_51: Path) -> None:
    with fakes.open_medium(medium_51) as image:
        found = detect([installed], image)
    assert Detection.loads(found.dumps()) == found


@pytest.mark.parametrize("path", MACHINES, ids=lambda p: p.stem)
def test_recorded_machines_load_and_come_back_the_same(path: Path) -> None:
    found = Detection.loads(path.read_text())
    assert Detection.loads(found.dumps()) == found
    for disk in found.disks:
        for offer in [*disk.offers, *(o for engine in disk.engines for o in engine.offers)]:
            assert offer.allowed or (offer.reason and offer.way_forward)


def test_vms_are_listed_from_the_store_without_mounting_it(installed: Path, tmp_path: Path) -> None:
    definition = tmp_path / "vm.json"
    definition.write_text(
        '{"schema":1,"name":"payroll","uuid":"u-1","origin":"local","published_by":"","pv_driver":"5.0",'
        '"min_engine":"4.5","memory_bytes":268435456,"disks":["disk.raw"]}'
    )
    with open_target(installed, writable=False) as target:
        start = windows.partitions(target)["engine-vms"][1].start
    script = f"mkdir payroll\ncd payroll\nwrite {definition} vm.json\n".encode()
    run.run(["debugfs", "-w", "-f", "-", f"{installed}?offset={start}"], stdin=script, timeout=30)
    (vm,) = detect([installed]).disks[0].engines[0].vms
    assert (vm.name, vm.min_engine, vm.disks) == ("payroll", "4.5", ("disk.raw",))


@pytest.mark.parametrize(
    ("partition", "offset", "says"),
    [("engine-a", 0, "Slot a"), ("engine-state", 1024, "state"), ("engine-esp", 0, "receipt"), ("engine-vms", 1024, "VM store")],
)  # fmt: skip
def test_damage_is_found_and_said(installed: Path, partition: str, offset: int, says: str) -> None:
    write(installed, partition, offset, bytes(65536))
    disk = detect([installed]).disks[0]
    (engine,) = disk.engines
    assert engine.state == ("never_booted" if partition == "engine-vms" else "damaged")
    assert any(says in finding.what for finding in disk.findings)


def test_an_empty_disk_a_tiny_one_and_rubbish_are_just_reported(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("tiny", bytes(512)), ("rubbish", bytes(range(256)) * 9000)):
        path = tmp_path / name
        path.write_bytes(data)
        assert detect([path]).disks[0].engines == ()
