"""The steps of an upgrade, a repair and a rollback on layout 2 (DESIGN: Upgrade).

The slot in use, the VM store and the ESP's structures are never written: what changes is the other slot, its
state directory, and grubenv's first sector. Each step can be done again after a cut.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediakit import run
from mediakit.engine.manifest import PATH, SIGNATURE_PATH
from mediakit.errors import FormatError, RefusedError
from mediakit.install import bootenv, filesystems, payload, state
from mediakit.install.plan import InstallPlan
from mediakit.install.windows import Window
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Observer

TRIES = 3


@dataclass(frozen=True)
class Places:
    """Where an Engine of layout 2 lies; ``state_mount`` is set where it is mounted already, in an Engine."""

    esp: Window
    slots: dict[str, Window]
    state: Window | None
    state_mount: Path | None = None

    @contextmanager
    def state_folder(self) -> Iterator[Path]:
        """engine-state, mounted for writing."""
        if self.state_mount is not None:
            yield self.state_mount
            return
        if self.state is None:
            raise FormatError("The disk has no partition engine-state.", "Reinstall this Engine.")
        with filesystems.mounted(self.state) as folder:
            yield folder


@dataclass
class Upgrade:
    """One upgrade under way; the methods are the steps, named by their keys."""

    places: Places
    plan: InstallPlan
    image: payload.Image | None
    observer: Observer
    cancel: Cancel

    @property
    def _image(self) -> payload.Image:
        assert self.image is not None
        return self.image

    def prepare(self) -> None:
        """Find out now, not after the slot was written, whether the state can be copied."""
        if self.image is not None and self.plan.slot and self.plan.slot not in self.places.slots:
            raise RefusedError(
                f"Slot {self.plan.slot} is the one this Engine runs from: it cannot be written now.",
                "Boot the Engine medium, and repair from there.",
            )
        if self.plan.slot and self.image is not None and self.places.state_mount is None:
            filesystems.require_root("The state partition is mounted to copy the settings")
            filesystems.require_tools(True, mounting=True)
            if self.places.state is None:
                raise FormatError("The disk has no partition engine-state.", "Reinstall this Engine.")

    def unmark(self) -> None:
        """From here on GRUB does not start the slot; a trial of it is over."""
        changes = {f"whole_{self.plan.slot}": "0"}
        environment = bootenv.read(self.places.esp.reader, 0, self.places.esp.size_bytes)
        if environment.get("try"):
            changes |= {"try": "", "tries": "0"}
        bootenv.change(self.places.esp, changes)

    def slot(self) -> None:
        """The new system into the slot."""
        payload.write_slot(self._slot, self._image, self.plan.disk, self.observer, self.cancel)

    def verify(self) -> None:
        """The slot read back."""
        entry = self._image.manifest.system
        payload.verify_slot(self._slot, entry, self.plan.disk, self.observer, self.cancel)

    def state(self) -> None:
        """The state in use, copied for the new slot and migrated there; the rename comes last."""
        environment = bootenv.read(self.places.esp.reader, 0, self.places.esp.size_bytes)
        good = environment.get("good", "a")
        with self.places.state_folder() as folder:
            copy_state(folder / "slots", good, self.plan.slot, self._image)
            filesystems.sync(folder)

    def whole(self) -> None:
        """GRUB may start the slot."""
        bootenv.change(self.places.esp, {f"whole_{self.plan.slot}": "1"})

    def try_(self) -> None:
        """One change of grubenv: try this slot."""
        bootenv.change(self.places.esp, {"try": self.plan.slot, "tries": str(TRIES)})

    def untry(self) -> None:
        """Stay with what is good."""
        bootenv.change(self.places.esp, {"try": "", "tries": "0"})

    @property
    def _slot(self) -> Window:
        return self.places.slots[self.plan.slot]


def copy_state(slots: Path, good: str, slot: str, image: payload.Image) -> None:
    """``slots/GOOD`` copied beside, given the manifest, migrated, synced, then renamed to SLOT."""
    source, new, old, final = slots / good, slots / f".{slot}.new", slots / f".{slot}.old", slots / slot
    for rest in (new, old):
        if rest.is_dir():
            shutil.rmtree(rest)
    try:
        _fill(source, new, image)
        filesystems.sync(slots)
    except BaseException:  # a half copy would keep the running Engine's state partition full
        shutil.rmtree(new, ignore_errors=True)
        raise
    if final.exists():
        final.rename(old)
    new.rename(final)
    filesystems.sync(slots)
    if old.is_dir():
        shutil.rmtree(old)


def _fill(source: Path, new: Path, image: payload.Image) -> None:
    """``new`` becomes the state of ``source`` as the image wants it."""
    run.run(["cp", "-a", "--", str(source), str(new)], timeout=300)
    path = new / state.NAME
    mode = path.stat().st_mode & 0o777
    document = json.loads(path.read_text())
    path.write_text(state.dumps(state.migrate(document)))
    path.chmod(mode)
    (new / Path(PATH).name).write_bytes(image.manifest_bytes)
    signature = new / Path(SIGNATURE_PATH).name
    signature.unlink(missing_ok=True)
    if image.signature_text is not None:
        signature.write_text(image.signature_text)
