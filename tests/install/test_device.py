"""The same install and upgrade on a block device: held exclusively, filesystems made through a loop device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mediakit import run
from mediakit.install.choice import Choice
from mediakit.install.detect import detect
from mediakit.install.execute import execute
from mediakit.install.plan import make_plan

from . import fakes

pytestmark = pytest.mark.root


@pytest.fixture(params=[512, 4096])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    disk = fakes.sparse_disk(tmp_path / "disk.img")
    argv = ["losetup", "--find", "--show", "--sector-size", str(request.param), str(disk)]
    node = run.run(argv, timeout=20).text.strip()
    yield node
    run.run(["losetup", "--detach", node], timeout=20)
    disk.unlink()


def test_fresh_then_upgrade_on_a_device(
    device: str, medium_50: Path, medium_51: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediakit.install.facts._firmware", lambda efi: "uefi")
    for medium, action in ((medium_50, "fresh"), (medium_51, "upgrade")):
        with fakes.open_medium(medium) as image:
            found = detect([device], image)
            assert execute(make_plan(found, Choice(action, device), image), image).result == "done"
    (engine,) = detect([device]).disks[0].engines
    assert engine.state == "trial"
    assert [(slot.name, slot.version) for slot in engine.slots] == [("a", "5.0"), ("b", "5.1")]
    leftovers = run.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], timeout=20).text
    assert device not in leftovers
