"""Every kind of image, made once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.isos import make

Isos = Callable[[str], Path]


@pytest.fixture(scope="session")
def iso_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="session")
def isos(iso_folder: Path) -> Isos:
    """Kind → path; do not write to it."""
    return lambda kind: make.make(kind, iso_folder)
