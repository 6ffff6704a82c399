"""Images and sticks for these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mediakit.block.devices import Device
from mediakit.block.target import create_file
from mediakit.progress import Cancel, Event, Observer, ignore
from mediakit.stick.fleet import Fleet, Options, Outcome, prepare, write_all
from mediakit.stick.source import open_source
from tests.stick import images

Write = Callable[..., Outcome]


@pytest.fixture(scope="session")
def isos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One image of each kind, and a second version of the Engine's kind that differs in half."""
    folder = tmp_path_factory.mktemp("isos")
    return {
        "grub": images.grub_hybrid(folder, 1),
        "grub-next": images.grub_hybrid(folder, 5),
        "mbr": images.mbr_hybrid(folder),
        "isolinux": images.isolinux_hybrid(folder),
        "plain": images.plain(folder),
        "engine": images.engine(folder),
    }


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes stick files of a size, sparse."""

    def make(size_bytes: int, name: str = "stick.img") -> Path:
        create_file(tmp_path / name, size_bytes)
        return tmp_path / name

    yield make


@pytest.fixture
def write() -> Write:
    """Writes one image to one stick file; keywords go to Options or Fleet."""

    def run(
        image: Path,
        target: Path | Device,
        observer: Observer = ignore,
        cancel: Cancel | None = None,
        **words: object,
    ) -> Outcome:
        from mediakit.block.devices import describe

        device = target if isinstance(target, Device) else describe(target)
        fleet_words = {name: words.pop(name) for name in ("opener", "approve", "locate") if name in words}
        options = Options(**words)  # type: ignore[arg-type]
        with open_source(image) as source:
            prepared = prepare(source, device, options)
            fleet = Fleet(source, options, observer, cancel or Cancel(), **fleet_words)  # type: ignore[arg-type]
            (outcome,) = write_all(fleet, [prepared])
            return outcome

    return run


@pytest.fixture
def events() -> list[Event]:
    return []
