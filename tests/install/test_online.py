"""engine-update: a real upgrade into the other slot, settings migrated by the new slot's own Python."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.target import open_target
from mediakit.cli import engine_update
from mediakit.engine import manifest
from mediakit.errors import CancelledError, FormatError, RefusedError, SourceError, TrustError
from mediakit.install import bootenv, filesystems, online, room, windows
from mediakit.install.online import Online, Status
from mediakit.progress import Cancel, Event, ignore

from . import fakes

pytestmark = pytest.mark.root

# Version 5.1's state: one schema further than ours, so only its own code can have written "colour".
NEWER = """
SCHEMA = 2
def _from_1(old):
    return old | {"schema": 2, "colour": "red"}
MIGRATIONS = (_from_0, _from_1)
"""


class Machine:
    """A running Engine 5.0 as far as Online sees it: loop devices for partitions, engine-state mounted."""

    def __init__(self, folder: Path, disk: Path, stack: ExitStack) -> None:
        self.disk, self.folder = disk, folder
        with open_target(disk, writable=False) as target:
            found = {name: place for name, (_, place) in windows.partitions(target).items()}
            self.partitions = {
                name: stack.enter_context(filesystems.loop_device(found[name]))
                for name in ("engine-esp", "engine-b", "engine-state")
            }
        self.state = folder / "state"
        self.state.mkdir()
        run.run(["mount", "-t", "ext4", self.partitions.pop("engine-state"), str(self.state)], timeout=30)
        stack.callback(run.run, ["umount", str(self.state)], timeout=30)
        self.boot = folder / "boot.json"
        self.runs("a")

    def runs(self, slot: str) -> None:
        """As after a start of ``slot``."""
        esp = self.partitions["engine-esp"]
        document = {"schema": 1, "kind": "slot", "disk": str(self.disk), "esp": esp, "slot": slot}
        self.boot.write_text(json.dumps(document))

    def online(self) -> Online:
        return Online(self.boot, self.state)

    def environment(self) -> dict[str, str]:
        with open_target(self.partitions["engine-esp"], writable=False, partition=True) as esp:
            return bootenv.read(esp.reader, 0, esp.size_bytes)

    def set_environment(self, **changes: str) -> None:
        with open_target(self.partitions["engine-esp"], partition=True) as esp:
            bootenv.change(windows.Window(esp, 0, esp.size_bytes), changes)

    def document(self, slot: str) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((self.state / "slots" / slot / "state.json").read_text())
        return loaded


@pytest.fixture
def machine(tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with ExitStack() as stack:
        made = Machine(tmp_path, installed, stack)
        boot_id = tmp_path / "boot_id"
        boot_id.write_text("first")
        monkeypatch.setattr(online, "BOOT_ID", boot_id)
        monkeypatch.setattr(Online, "_partitions", lambda self: made.partitions)
        yield made


@pytest.fixture(scope="session")
def medium_with_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engine 5.1 whose system image has a Python and a mediakit of its own."""
    folder = fakes.make_medium(tmp_path_factory.mktemp("with-code"), "5.1", 5100)
    squashed, root = folder / "engine" / "system.squashfs", tmp_path_factory.mktemp("root") / "root"
    run.run(["unsquashfs", "-quiet", "-no-progress", "-d", str(root), str(squashed)], timeout=60)
    _put_python(root)
    package = root / "usr/lib/python3/dist-packages/mediakit"
    (package / "install").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "plain.py", "install/__init__.py"):
        shutil.copy(fakes.ROOT / "mediakit" / name, package / name)
    text = (fakes.ROOT / "mediakit/install/state.py").read_text()
    (package / "install/state.py").write_text(text + NEWER)
    squashed.unlink()
    run.run(["mksquashfs", str(root), str(squashed), "-comp", "gzip", "-quiet", "-no-progress"], timeout=60)
    data = squashed.read_bytes()
    old = manifest.parse((folder / "engine/manifest.json").read_bytes())
    entry = manifest.ManifestFile(manifest.SYSTEM_PATH, len(data), hashlib.sha256(data).hexdigest())
    files = tuple(entry if file.path == entry.path else file for file in old.files)
    fakes.write_manifest(folder, replace(old, files=files))
    return folder


def _put_python(root: Path) -> None:
    """The system's Python with the modules that the migration imports, and the libraries it is linked to."""
    code = "import __future__, json, dataclasses, typing, sys, encodings.ascii, encodings.utf_8; " + (
        "print(sys.executable, *(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', '')))"
    )
    program = str(Path(sys.executable).resolve())
    names = run.run([program, "-I", "-c", code], timeout=30).text.split()
    linked = run.run(["ldd", program], timeout=30).text.split()
    for name in [*names, *(word for word in linked if word.startswith("/"))]:
        place = root / name.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, place)
    if not (root / "usr/bin/python3").exists():
        shutil.copy(program, root / "usr/bin/python3")


def test_the_new_versions_own_code_migrates_the_settings(machine: Machine, medium_with_code: Path) -> None:
    before = machine.document("a")
    with fakes.open_medium(medium_with_code) as image:
        result = machine.online().install(image)
    assert result.result == "done" and result.install_id
    assert machine.document("a") == before
    assert machine.document("b") == before | {"schema": 2, "colour": "red"}
    secret = machine.state / "slots/b/state.json"
    assert secret.stat().st_mode & 0o777 == (machine.state / "slots/a/state.json").stat().st_mode & 0o777
    environment = machine.environment()
    assert (environment["good"], environment["try"], environment["whole_b"]) == ("a", "b", "1")
    assert machine.online().status() == Status("installed", "5.0", "5.1", "A restart is required.")


def test_a_new_version_whose_code_cannot_run_is_never_tried(machine: Machine, medium_51: Path) -> None:
    with fakes.open_medium(medium_51) as image, pytest.raises(FormatError) as error:
        machine.online().install(image)
    assert "could not take over the settings" in error.value.message and error.value.hint
    environment = machine.environment()
    assert (environment["try"], environment["whole_a"], environment["whole_b"]) == ("", "1", "0")
    status = machine.online().status()
    assert status.state == "failed" and "settings" in status.reason
    assert "engine-new-" not in Path("/proc/mounts").read_text()


def test_status_follows_the_new_version_through_its_trial(machine: Machine, medium_with_code: Path) -> None:
    with fakes.open_medium(medium_with_code) as image:
        machine.online().install(image)
    online.BOOT_ID.write_text("second")
    machine.runs("b")
    on_trial = machine.online().status()
    assert on_trial.state == "installed" and "on trial" in on_trial.reason
    machine.set_environment(**{"good": "b", "try": "", "tries": "0"})
    assert machine.online().status() == Status()
    machine.set_environment(good="a")
    machine.runs("a")
    fallen = machine.online().status()
    assert fallen.state == "failed" and "Engine 5.0 is back" in fallen.reason


def test_rollback_of_an_update_not_yet_started_leaves_nothing(
    machine: Machine, medium_with_code: Path
) -> None:
    with fakes.open_medium(medium_with_code) as image:
        machine.online().install(image)
    machine.online().rollback()
    assert machine.environment()["try"] == ""
    assert machine.online().status() == Status()


def test_rollback_from_the_version_on_trial_needs_a_restart(machine: Machine, medium_with_code: Path) -> None:
    with fakes.open_medium(medium_with_code) as image:
        machine.online().install(image)
    online.BOOT_ID.write_text("second")
    machine.runs("b")
    machine.online().rollback()
    assert machine.environment()["try"] == ""
    assert machine.online().status() == Status("installed", "5.1", "5.0", "A restart is required.")
    online.BOOT_ID.write_text("third")
    machine.runs("a")
    assert machine.online().status() == Status()


def test_states_while_one_update_works_and_a_second_is_refused(
    machine: Machine, medium_with_code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    planned = Online._plan

    def plan(self: Online, action: str, image: object) -> object:
        seen.append(machine.online().status().state)
        return planned(self, action, image)  # type: ignore[arg-type]

    def watch(event: Event) -> None:
        if event.kind == "phase" and event.phase == "state":
            seen.append(machine.online().status().state)
            with pytest.raises(RefusedError, match="under way"):
                machine.online().install(image)

    monkeypatch.setattr(Online, "_plan", plan)
    with fakes.open_medium(medium_with_code) as image:
        machine.online().install(image, watch)
    assert seen == ["signalled", "pending"]


def test_an_update_whose_process_died_is_failed(machine: Machine) -> None:
    for state in ("pending", "signalled"):
        machine.online()._keep(Status(state, "5.0", "5.1"), "b")
        status = machine.online().status()
        assert status.state == "failed" and "interrupted" in status.reason


def test_a_cancelled_update_is_failed_and_the_next_one_goes_through(
    machine: Machine, medium_with_code: Path
) -> None:
    cancel = Cancel()
    cancel.set()
    with fakes.open_medium(medium_with_code) as image:
        with pytest.raises(CancelledError):
            machine.online().install(image, ignore, cancel)
        assert machine.online().status().state == "failed"
        assert machine.environment()["try"] == ""
        assert machine.online().install(image).result == "done"


def test_a_refusal_or_the_same_version_leaves_the_status_as_it_was(
    machine: Machine, medium_50: Path, medium_with_code: Path, tmp_path: Path
) -> None:
    with fakes.open_medium(medium_50) as image:
        assert machine.online().install(image).result == "already"
    assert machine.online().status() == Status()
    older = fakes.make_medium(tmp_path / "older", "4.9", 4900)
    unsigned = fakes.make_medium(tmp_path / "unsigned", "5.1", 5100, signed=False)
    machine.online()._keep(Status("failed", "5.0", "5.1", "kept"), "b")
    for medium, error in ((older, RefusedError), (unsigned, TrustError)):
        with fakes.open_medium(medium) as image, pytest.raises(error):
            machine.online().install(image)
        assert machine.online().status().reason == "kept"
    assert machine.environment()["whole_b"] == "0" and machine.environment()["try"] == ""


def test_the_command_prints_the_documented_status(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Online.__init__, "__defaults__", (machine.boot, machine.state))
    assert engine_update.main(["status", "--json"]) == 0
    expected = {"schema": 1, "state": "", "from": "", "to": "", "reason": ""}
    assert json.loads(capsys.readouterr().out) == expected
    assert engine_update.main(["install", str(machine.folder / "none.iso")]) == SourceError.exit_status
    assert "engine-update: " in capsys.readouterr().err


def test_elsewhere_than_in_an_engine_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "boot.json").write_text('{"kind": "medium"}')
    for name in ("boot.json", "none.json"):
        with pytest.raises(SourceError):
            Online(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    ("disk", "expected"),
    [("/dev/sda", "/dev/sda4"), ("/dev/nvme0n1", "/dev/nvme0n1p4"), ("/dev/mmcblk0", "/dev/mmcblk0p4")],
)
def test_partitions_are_named_as_the_kernel_does(disk: str, expected: str) -> None:
    assert online.partition_path(disk, 4) == expected


def test_a_full_state_is_refused_by_what_the_kernel_says(machine: Machine, medium_with_code: Path) -> None:
    """Not by the superblock on the disk, which a mounted filesystem does not keep up to date."""
    log = machine.state / "logs" / "engine.log"
    found = os.statvfs(machine.state)
    with log.open("wb") as file:
        os.posix_fallocate(
            file.fileno(), 0, room.usable_bytes(found.f_bfree, found.f_blocks, found.f_frsize) - 100 * 1024
        )
    before = machine.environment()
    with fakes.open_medium(medium_with_code) as image:
        with pytest.raises(RefusedError, match="state partition"):
            machine.online().install(image)
        assert machine.environment() == before
        run.run(["sync", "-f", str(machine.state)], timeout=30)
        log.unlink()
        assert machine.online().install(image).result == "done"


def test_after_a_trial_that_did_not_hold_another_update_goes_through(
    machine: Machine, medium_with_code: Path
) -> None:
    """The boot choice keeps saying what was tried, so that the old Engine can say why it is back."""
    with fakes.open_medium(medium_with_code) as image:
        machine.online().install(image)
        machine.set_environment(tries="0")  # every boot of slot b was used up, and a runs
        assert machine.online().install(image).result == "done"
        assert machine.environment()["tries"] == "3"
        machine.runs("b")
        with pytest.raises(RefusedError, match="on trial"):
            machine.online().install(image)
