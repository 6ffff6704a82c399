"""Media and disks of the install tests; the media are made once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediakit import run
from mediakit.install.choice import Choice, Settings
from mediakit.install.detect import detect
from mediakit.install.execute import execute
from mediakit.install.plan import make_plan

from . import fakes


@pytest.fixture(scope="session")
def medium_50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.make_medium(tmp_path_factory.mktemp("medium-5.0"))


@pytest.fixture(scope="session")
def medium_51(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fakes.make_medium(tmp_path_factory.mktemp("medium-5.1"), "5.1", 5100, filler=b"new")


@pytest.fixture(scope="session")
def installed_master(tmp_path_factory: pytest.TempPathFactory, medium_50: Path) -> Path:
    disk = fakes.sparse_disk(tmp_path_factory.mktemp("installed") / "disk.img")
    with fakes.open_medium(medium_50) as image:
        found = detect([disk], image)
        choice = Choice("fresh", str(disk), settings=Settings(host_name="lab-7"))
        result = execute(make_plan(found, choice, image), image)
    assert result.result == "done"
    return disk


@pytest.fixture
def installed(tmp_path: Path, installed_master: Path) -> Iterator[Path]:
    """A disk with 5.0 on it, of this test's own."""
    disk = tmp_path / "disk.img"
    run.run(["cp", "--sparse=always", str(installed_master), str(disk)], timeout=60)
    yield disk
    shutil.rmtree(tmp_path, ignore_errors=True)
