"""The boot sector as a disk image, and the accelerator that needs no trying."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mediakit.vm.accel import Accelerator


@pytest.fixture
def sector(tmp_path: Path) -> Path:
    place = Path(__file__).with_name("bootsector.py")
    found = importlib.util.spec_from_file_location("bootsector", place)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    disk = tmp_path / "sector.img"
    disk.write_bytes(module.build().ljust(1 << 20, b"\0"))
    return disk


@pytest.fixture
def tcg() -> Accelerator:
    return Accelerator("tcg", "the test says so")
