"""An upgrade from inside the running Engine, and what came of it (DESIGN: Inside a running Engine).

States: "" (nothing under way), signalled (told to, not begun), pending (being written), installed (reboot
required), failed. They are kept in ``/engine/state/update.json`` and judged against the boot choice, the
slot that runs, and a lock that one update at a time holds: without its holder, one under way was interrupted.

The settings are migrated by the *new* version's code, run from inside the slot that was just written, while
that slot is still marked as not whole. Where that code cannot be run the update fails and says so.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from mediakit import run
from mediakit.block import devices
from mediakit.block.target import open_target
from mediakit.engine.image import EngineImage
from mediakit.errors import FormatError, MediakitError, RefusedError, SourceError
from mediakit.install import bootenv, detect, facts, filesystems, soundness, state, trust, windows
from mediakit.install.choice import Choice
from mediakit.install.execute import Result, run_upgrade
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan, make_plan
from mediakit.install.upgrade import Places, Upgrade
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Observer, ignore

STATE = Path("/engine/state")
BOOT = Path("/run/engine/boot.json")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SECONDS = 120.0
# What every version's mediakit.install.state offers to the version before it; the document comes and goes as
# text, so that neither has to know the other's schema.
_MIGRATE = (
    "import json, sys; from mediakit.install import state; "
    "sys.stdout.write(state.dumps(state.migrate(json.load(sys.stdin))))"
)


@dataclass(frozen=True)
class Status:
    """``engine-update status --json`` without its schema number; ``from_`` is printed as ``from``."""

    state: str = ""
    from_: str = ""
    to: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, object]:
        """The document of FORMATS."""
        values = asdict(self)
        values["from"] = values.pop("from_")
        return {"schema": 1} | values


@dataclass
class LiveUpgrade(Upgrade):
    """An upgrade whose settings are migrated by the new version's own code."""

    def state(self) -> None:
        """The settings copied, then migrated in place by one rename; the slot is not whole until later."""
        super().state()
        path = (self.places.state_mount or STATE) / "slots" / self.plan.slot / state.NAME
        with self._new_system() as root:
            text = migrated_by(root, path.read_text(), self.plan.version)
        new = path.with_suffix(".new")
        with new.open("w") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        filesystems.sync(path.parent)

    @contextmanager
    def _new_system(self) -> Iterator[Path]:
        window = self.places.slots[self.plan.slot]
        with (
            tempfile.TemporaryDirectory(prefix="engine-new-") as folder,
            filesystems.loop_device(window) as node,
        ):
            run.run(["mount", "-t", "squashfs", "-o", "ro,nosuid,nodev", node, folder], timeout=_SECONDS)
            try:
                yield Path(folder)
            finally:
                run.run(["umount", folder], timeout=_SECONDS)


def migrated_by(root: Path, text: str, version: str) -> str:
    """``state.json``'s text as the system below ``root`` migrates it; FormatError when it cannot."""
    argv = ["chroot", str(root), "/usr/bin/python3", "-I", "-B", "-c", _MIGRATE]
    try:
        done = run.run(argv, timeout=_SECONDS, stdin=text.encode(), cwd=Path("/"))
        document = json.loads(done.stdout)
        if not isinstance(document, dict) or document.get("schema", 0) < json.loads(text).get("schema", 0):
            raise FormatError("It gave back no settings.")
    except (MediakitError, ValueError, TypeError) as error:
        raise FormatError(
            f"Engine {version} could not take over the settings: {error}",
            "This Engine stays as it is. Boot the Engine medium, and upgrade from there.",
        ) from error
    return done.stdout.decode()


class Online:
    """The running Engine's own disk; SourceError elsewhere than in an Engine."""

    def __init__(self, boot: Path = BOOT, state: Path = STATE) -> None:
        try:
            document = json.loads(boot.read_text())
            if document["kind"] != "slot":
                raise SourceError(
                    "This is the Engine medium, not an installed Engine.", "Use mediakit install."
                )
            self._disk, self._esp = str(document["disk"]), str(document["esp"])
            self._slot = str(document["slot"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SourceError("This is not a running Engine.", "Use mediakit install.") from error
        self._state = state
        self._file = state / "update.json"
        self._lock = state / "update.lock"

    def status(self) -> Status:
        """How the last update stands."""
        try:
            values = json.loads(self._file.read_text())
            known = Status(values["state"], values["from"], values["to"], values["reason"])
            slot, boot_id = str(values.get("slot", "")), str(values.get("boot", ""))
        except (OSError, ValueError, KeyError, TypeError):
            return Status()
        if known.state in ("signalled", "pending"):
            if self._is_busy():
                return known
            return replace(known, state="failed", reason="The update was interrupted: start it again.")
        if known.state != "installed" or boot_id == _boot_id():
            return known
        with open_target(self._esp, writable=False, partition=True) as esp:
            environment = bootenv.read(esp.reader, 0, esp.size_bytes)
        if environment.get("try"):
            if environment["try"] != self._slot:
                return known
            return replace(known, reason=f"Engine {known.to} is on trial until it calls itself good.")
        if self._slot == slot:
            return Status()
        reason = f"Engine {known.to} did not call itself good; Engine {known.from_} is back."
        return replace(known, state="failed", reason=reason)

    def install(
        self, image: EngineImage, observer: Observer = ignore, cancel: Cancel | None = None
    ) -> Result:
        """Upgrade into the other slot; the state is kept for ``status``. A refusal leaves it as it was."""
        started = time.monotonic()
        with self._alone():
            before = self._version(self._slot)
            earlier = self._file.read_bytes() if self._file.exists() else None
            self._keep(Status("signalled", before, image.manifest.version))
            try:
                plan = self._plan("upgrade", image)
                trust.check_with_keys(image, trust.running_keys())
                partitions = self._partitions()
            except MediakitError:
                self._put_back(earlier)
                raise
            if plan.already:
                self._put_back(earlier)
                reason = f"Engine {plan.version} is installed already."
                return Result("already", reason, 0.0, plan.install_id)
            self._keep(Status("pending", before, plan.version), plan.slot)
            try:
                self._carry_out(LiveUpgrade, plan, image, partitions, observer, cancel)
            except (MediakitError, OSError) as error:
                self._keep(Status("failed", before, plan.version, str(error)), plan.slot)
                raise
            self._keep(Status("installed", before, plan.version, "A restart is required."), plan.slot)
        return Result("done", "", time.monotonic() - started, plan.install_id)

    def rollback(self) -> Result:
        """Try the other slot at the next start, or end a trial: at once, or by a restart if it runs."""
        with self._alone():
            plan = self._plan("rollback", None)
            partitions = self._partitions()
            with open_target(self._esp, writable=False, partition=True) as esp:
                good = bootenv.read(esp.reader, 0, esp.size_bytes).get("good", "a")
            started = time.monotonic()
            self._carry_out(Upgrade, plan, None, partitions)
            result = Result("done", "", time.monotonic() - started, plan.install_id)
            to = plan.slot or good
            if to == self._slot:
                self._keep(Status())
            else:
                before = self._version(self._slot)
                self._keep(Status("installed", before, self._version(to), "A restart is required."), to)
        return result

    def _carry_out(
        self,
        kind: type[Upgrade],
        plan: InstallPlan,
        image: EngineImage | None,
        partitions: dict[str, str],
        observer: Observer = ignore,
        cancel: Cancel | None = None,
    ) -> None:
        """The plan's steps on partitions that are in no use; engine-state is mounted already."""
        with ExitStack() as stack:
            opened = {
                name: stack.enter_context(open_target(path, partition=True))
                for name, path in partitions.items()
            }
            whole = {name: windows.Window(target, 0, target.size_bytes) for name, target in opened.items()}
            slots = {slot: whole[name] for slot, name in windows.SLOT_NAMES.items() if name in whole}
            places = Places(whole[windows.ESP], slots, None, self._state)
            run_upgrade(kind(places, plan, image, observer, cancel or Cancel()))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One update at a time; the lock ends with the process, however that ends."""
        with self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RefusedError(
                    "Another update is under way.", "See how it goes: engine-update status."
                ) from error
            yield

    def _is_busy(self) -> bool:
        try:
            with self._lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _plan(self, action: str, image: EngineImage | None) -> InstallPlan:
        device = devices.describe(self._disk, with_contents=False)
        machine = facts.machine(certificate=detect.certificate(image))
        manifest = image.manifest if image is not None else None
        ours = replace(device, allowed=True, reason="", hint="")
        disk = detect.look_at(ours, machine, manifest, self._state)
        if not disk.engines:
            raise RefusedError(f"No Engine was recognised on {self._disk}.", "Boot the Engine medium.")
        slots = disk.engines[0].slots
        if action == "upgrade" and any(slot.name == self._slot and slot.state == "trial" for slot in slots):
            raise RefusedError(
                "This Engine is on trial: another update has to wait until it calls itself good.",
                "Restart, or try again in some minutes.",
            )
        return make_plan(Detection(machine, (disk,)), Choice(action, disk.path), image)

    def _partitions(self) -> dict[str, str]:
        with open_target(self._disk, writable=False) as target:
            soundness.refuse(target)
            found = windows.partitions(target)
        names = {windows.ESP, *windows.SLOT_NAMES.values()}
        inactive = "b" if self._slot == "a" else "a"
        names.discard(windows.SLOT_NAMES[self._slot])
        if windows.SLOT_NAMES[inactive] not in found:
            raise FormatError("The other system slot is missing.", "Boot the Engine medium.")
        paths = {name: partition_path(self._disk, found[name][0]) for name in names if name in found}
        for name, path in paths.items():
            window = found[name][1]
            if devices.place_of(path) != (target.device.sysfs_path, window.start, window.size_bytes):
                raise RefusedError(
                    f"The running system knows {path} by another size or place than the disk's table says.",
                    "Somebody changed the partitions: restart first.",
                )
        return paths

    def _version(self, slot: str) -> str:
        try:
            document = json.loads((self._state / "slots" / slot / "manifest.json").read_text())
            return str(document["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _keep(self, status: Status, slot: str = "") -> None:
        self._store(
            json.dumps(status.to_json() | {"slot": slot, "boot": _boot_id()}, sort_keys=True).encode()
        )

    def _put_back(self, earlier: bytes | None) -> None:
        if earlier is None:
            self._file.unlink(missing_ok=True)
        else:
            self._store(earlier)

    def _store(self, data: bytes) -> None:
        new = self._file.with_suffix(".new")
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)


def partition_path(disk: str, number: int) -> str:
    """The kernel's name of a partition: sda1, but nvme0n1p1 and mmcblk0p1."""
    return f"{disk}{'p' if disk[-1].isdigit() else ''}{number}"


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()
