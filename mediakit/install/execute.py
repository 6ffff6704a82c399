"""A plan carried out: the disk opened alone and checked to be the one that was meant, trust checked before
the first write, every step marked in the journal, cancelling only between steps or while the slot is written.

Returns what happened; what went wrong is raised as the error it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from mediakit.block import devices
from mediakit.block.target import Target, open_target
from mediakit.errors import FormatError, RefusedError, UsageError
from mediakit.install import journal, soundness, trust, windows
from mediakit.install.fresh import Fresh
from mediakit.install.payload import Image
from mediakit.install.plan import WHOLE_DISK, InstallPlan
from mediakit.install.upgrade import Places, Upgrade
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Event, Observer, ignore


@dataclass(frozen=True)
class Result:
    """How it ended: ``result`` is done, refused, failed, already or interrupted.

    ``exit_status`` is the error's own, where there was one that says more than ``result``.
    """

    result: str
    reason: str = ""
    seconds: float = 0.0
    install_id: str = ""
    exit_status: int | None = None


def execute(
    plan: InstallPlan,
    image: Image | None,
    observer: Observer = ignore,
    cancel: Cancel | None = None,
    *,
    trust_medium: bool = False,
) -> Result:
    """Carry out ``plan``. RefusedError, DeviceError, TrustError, CancelledError say why it did not end well.

    ``trust_medium``: somebody confirmed that the medium's keys may be used where the Engine's cannot be read.
    """
    started = time.monotonic()
    cancel = cancel or Cancel()
    if plan.already:
        reason = f"This Engine is already version {plan.version}, build {plan.build}."
        return Result("already", reason, 0.0, plan.install_id)
    if plan.action != "rollback" and image is None:
        raise UsageError("This plan needs an Engine image.", "Name one.")
    _check_image(plan, image)
    with open_target(plan.disk, expected=_confirmed(plan)) as target:
        _check_source(image, target)
        if plan.action in WHOLE_DISK:
            assert image is not None
            trust.check_with_medium(image)
            install_id = _run_fresh(Fresh(target, plan, image, observer, cancel))
        else:
            soundness.refuse(target)
            places = _places(target)
            if image is not None and plan.action != "rollback":
                trust.check_with_engine(image, places, confirmed=trust_medium)
            run_upgrade(Upgrade(places, plan, image, observer, cancel))
            install_id = plan.install_id
    return Result("done", "", time.monotonic() - started, install_id)


def _run_fresh(work: Fresh) -> str:
    work.prepare()
    actions: dict[str, Callable[[], None]] = {
        "check": work.check,
        "clear": work.clear,
        "table": work.table,
        "esp": work.make_esp,
        "slot": work.slot,
        "verify": work.verify,
        "state": work.state,
        "vms": work.vms,
        "whole": work.whole,
        "boot": work.boot,
    }
    for step in work.plan.steps:
        if step.cancel:
            work.cancel.check()
        work.observer(Event("phase", work.plan.disk, step.key, message=step.what))
        if work.journal is not None:
            work.journal.mark(step.n, journal.BEGUN)
        actions[step.key]()
        if work.journal is None:
            continue
        if step.key == "esp":
            for before in range(1, step.n):
                work.journal.mark(before, journal.DONE)
        work.journal.mark(step.n, journal.DONE)
    return work.install_id


def run_upgrade(work: Upgrade) -> None:
    """The steps of an upgrade, a repair or a rollback, from where an equal plan was interrupted."""
    work.prepare()
    actions: dict[str, Callable[[], None]] = {
        "unmark": work.unmark,
        "slot": work.slot,
        "verify": work.verify,
        "state": work.state,
        "whole": work.whole,
        "try": work.try_,
        "untry": work.untry,
    }
    book = journal.Journal.locate(work.places.esp, 0, work.places.esp.size_bytes)
    done = _begin(book, work)
    for step in work.plan.steps:
        if step.n in done:
            continue
        if step.cancel:
            work.cancel.check()
        work.observer(Event("phase", work.plan.disk, step.key, message=step.what))
        book.mark(step.n, journal.BEGUN)
        actions[step.key]()
        book.mark(step.n, journal.DONE)


def _begin(book: journal.Journal, work: Upgrade) -> frozenset[int]:
    """Start or continue the journal; the numbers of the steps that need not be done again."""
    esp = work.places.esp
    document = work.plan.to_journal()
    pending = journal.read_pending(esp.reader, 0, esp.size_bytes)
    same = ("action", "slot", "version", "build", "system_sha256", "install_id")
    if pending is not None and all(pending.plan.get(key) == document[key] for key in same):
        book.resume(pending.plan, book.used_records())
        unbroken = frozenset(n for n in pending.done if pending.done >= set(range(1, n)))
        # What was not read back before the cut is written again; the marks are in the order of the steps.
        # The settings always are copied anew: the old Engine may have run, and changed them, since the cut.
        return unbroken & {1, 2, 3} if 3 in unbroken else unbroken & {1}
    book.begin(document)
    return frozenset()


def _places(target: Target) -> Places:
    found = windows.partitions(target)
    for name in (windows.ESP, "engine-a", "engine-b"):
        if name not in found:
            raise FormatError(f"The disk has no partition {name}.", "Reinstall this Engine.")
    slots = {slot: found[name][1] for slot, name in windows.SLOT_NAMES.items()}
    state = found.get(windows.STATE)
    return Places(found[windows.ESP][1], slots, state[1] if state else None)


def _check_image(plan: InstallPlan, image: Image | None) -> None:
    if image is None or not plan.system_sha256:
        return
    if image.manifest.system.sha256 != plan.system_sha256:
        raise RefusedError("The image is not the one that the plan was made for.", "Make the plan again.")


def _confirmed(plan: InstallPlan) -> devices.Device:
    """The device that was looked at when the plan was made: the one that is opened must be it (law 2)."""
    if plan.device is None:
        raise RefusedError(
            "This plan was made from a recorded machine: there is no disk to write to.",
            "Detect again, on the machine itself.",
        )
    return plan.device


def _check_source(image: Image | None, target: Target) -> None:
    """RefusedError where the medium lies on what is to be written: it would be gone before it was read."""
    if image is not None and devices.has_file(target.device, image.path):
        raise RefusedError(
            f"The Engine image lies on {target.path} itself.", "Copy the image elsewhere first."
        )
