"""What the VM tests share: reference ISOs, sticks and installed disks, each built once and cached under a key
of its inputs, and machines that leave their evidence in ``out/vm/<test>`` when a test fails.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mediakit.run import run
from mediakit.vm import evidence
from mediakit.vm.accel import choose
from mediakit.vm.machine import Machine
from mediakit.vm.spec import Bus, Firmware, VmSpec

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # pytest's import mode finds no neighbours: support.py

import tiny  # noqa: E402
from shelf import Edited, Shelf  # noqa: E402
from support import Product, say  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.vm)


@pytest.fixture(scope="session")
def product() -> Product:
    accelerator = choose()
    say(f"{accelerator.name}: {accelerator.why}")
    return Product()


class Watched(Machine):
    """A machine that leaves its evidence before it is taken down by a failing test."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            say(f"failed; what is known: {evidence.leave(self, self.folder)}")
        super().__exit__(kind, error, trace)


Start = Callable[..., Watched]


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """``with start(spec) as machine``: its folder is ``out/vm/<test>/<n>``."""
    count = 0
    name = re.sub(r"[^\w.-]+", "_", request.node.name)

    def begin(spec: VmSpec) -> Watched:
        nonlocal count
        count += 1
        machine = Watched(spec, ROOT / "out" / "vm" / name / str(count))
        buses = ", ".join(f"{disk.bus}:{disk.file.name}" for disk in spec.disks)
        say(f"{name}: machine {count}, {spec.firmware}, {buses}")
        return machine

    begun = time.monotonic()
    yield begin
    say(f"{name}: {time.monotonic() - begun:.1f} s")


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Tiny images, edited and not."""
    return Shelf(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def boots(start: Start, tmp_path: Path) -> Callable[[Edited, Firmware, Bus], tiny.Booted]:
    """Boot an edited image; hold what Linux says to what is wanted, and the files that it finds to those
    that xorriso finds, while the machine (and so the evidence) is there."""

    def boot(edited: Edited, firmware: Firmware, bus: Bus) -> tiny.Booted:
        digest, names = tiny.files_digest(edited.file, tmp_path / "files")
        assert edited.there <= names
        assert not edited.gone & names
        with start(tiny.machine(edited.file, firmware, bus)) as machine:
            said = tiny.booted(machine)
            assert said.state == edited.state
            assert said.files == digest
            assert set(said.partitions.values()) <= {digest} | edited.partitions
            return said

    return boot


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[[Path], Path]:
    """A writable qcow2 over a cached disk, which stays as it is."""

    def make(base: Path) -> Path:
        disk = tmp_path / f"{base.stem}.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", disk], timeout=60)
        return disk

    return make


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """A sparse raw copy of a cached disk: what works on files wants no qcow2."""

    def make(base: Path) -> Path:
        disk = tmp_path / base.name
        run(["cp", "--sparse=always", "--reflink=auto", base, disk], timeout=300)
        return disk

    return make
