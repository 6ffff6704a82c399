"""One installation from a medium: all that the screens and the unattended run talk to.

What is needed at the end (licences, report, reboot) is in memory from the start: sticks get pulled.
"""

from __future__ import annotations

import ctypes
import io
import json
import logging
import os
import time
from pathlib import Path
from types import TracebackType

from mediakit.engine.image import EngineImage, open_engine
from mediakit.engine.manifest import Manifest
from mediakit.engine.signature import SignatureCheck
from mediakit.errors import CancelledError, MediakitError, RefusedError, SourceError
from mediakit.install import detect, report, trust
from mediakit.install.choice import Choice
from mediakit.install.execute import Result, execute
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan, make_plan
from mediakit.progress import Cancel, Event, Observer, ignore

MEDIUM = Path("/run/engine/medium")
BOOT = Path("/run/engine/boot.json")
_RESTART, _POWER_OFF = 0x01234567, 0x4321FEDC  # reboot(2)


class Installation:
    """A medium and a machine; ``recorded`` is a recorded machine instead of this one."""

    def __init__(self, image: EngineImage, *, recorded: Detection | None = None) -> None:
        self._image = image
        self._recorded = recorded
        self._detection: Detection | None = recorded
        self._started = time.time()
        self._log = io.StringIO()
        self._licences = {name: self._licence(name) for name in ("en", "es")}
        self._libc = ctypes.CDLL(None, use_errno=True)
        handler = logging.StreamHandler(self._log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        self._handler = handler
        logger = logging.getLogger("mediakit")
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)

    @staticmethod
    def open(image: Path | None = None, machine: Path | None = None) -> Installation:
        """The booted medium, or ``image``; ``machine`` is a recorded one. SourceError without a medium."""
        where = image or booted_medium()
        if where is None:
            raise SourceError(
                "This machine was not started from an Engine medium.", "Name one: --image IMAGE"
            )
        recorded = Detection.loads(machine.read_text()) if machine is not None else None
        return Installation(open_engine(where), recorded=recorded)

    @property
    def image(self) -> EngineImage:
        """The medium, opened."""
        return self._image

    @property
    def medium(self) -> Manifest:
        """What the medium installs: product, version, build."""
        return self._image.manifest

    @property
    def mode(self) -> str:
        """normal, safe or serial, as chosen in the boot menu; it also holds for the installed Engine."""
        return boot_document().get("mode", "normal")

    def licence(self, language: str) -> str:
        """The licence in ``language``, or in English."""
        return self._licences.get(language) or self._licences["en"]

    def probe(self, observer: Observer = ignore) -> Detection:
        """Look at machine and disks; read-only, takes seconds."""
        if self._recorded is None:
            self._detection = detect.detect(None, self._image, observer)
        assert self._detection is not None
        return self._detection

    def plan(self, choice: Choice) -> InstallPlan:
        """The plan for a choice; RefusedError says why not."""
        if self._detection is None:
            self.probe()
        assert self._detection is not None
        return make_plan(self._detection, choice, self._image)

    def needs_medium_keys(self, plan: InstallPlan) -> bool:
        """Whether the installed Engine's keys cannot be read, so that somebody must confirm the medium's."""
        return self._recorded is None and trust.needs_medium_keys(plan)

    def medium_key(self) -> SignatureCheck:
        """The key that signed this medium; TrustError when it cannot be trusted at all."""
        return trust.check_with_medium(self._image)

    def execute(
        self,
        plan: InstallPlan,
        observer: Observer = ignore,
        cancel: Cancel | None = None,
        *,
        trust_medium: bool = False,
    ) -> Result:
        """Carry the plan out; every outcome is a Result, also what went wrong.

        ``trust_medium``: somebody typed that the medium's keys count, as ``needs_medium_keys`` asks for.
        """
        started = time.monotonic()
        self._started = time.time()
        if self._recorded is not None:
            return Result("refused", "This is a recorded machine: there is no disk to write to.")

        def watch(event: Event) -> None:
            if event.kind == "phase":
                self._log.write(f"{time.strftime('%H:%M:%S')} {event.phase} {event.message}\n")
            observer(event)

        try:
            return execute(plan, self._image, watch, cancel, trust_medium=trust_medium)
        except CancelledError as error:
            return Result("interrupted", str(error), time.monotonic() - started, plan.install_id)
        except RefusedError as error:
            return Result("refused", str(error), time.monotonic() - started, plan.install_id)
        except (MediakitError, OSError) as error:
            self._log.write(f"failed: {error}\n")
            status = error.exit_status if isinstance(error, MediakitError) else None
            return Result("failed", str(error), time.monotonic() - started, plan.install_id, status)

    def write_report(self, plan: InstallPlan | None, result: Result) -> str:
        """Leave report and log on ENGINE-DATA; a sentence that says where they lie."""
        if self._recorded is not None:
            return "A recorded machine leaves no report."
        document = report.document(self._detection, plan, result, self._started)
        return report.save(document, self._log.getvalue())

    def finish(self, action: str) -> None:
        """poweroff or reboot, by the system call: no program has to be read from a medium that is gone."""
        if action == "wait" or self._recorded is not None:
            return
        os.sync()
        self._libc.reboot(ctypes.c_int(_RESTART if action == "reboot" else _POWER_OFF))

    def close(self) -> None:
        """Close the medium."""
        logging.getLogger("mediakit").removeHandler(self._handler)
        self._image.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _licence(self, language: str) -> str:
        path = f"/engine/licence/{language}.txt"
        if not self._image.exists(path):
            return ""
        return self._image.read(path).decode("utf-8", "replace")


def booted_medium() -> Path | None:
    """Where the medium that this machine was started from is mounted, or None."""
    return MEDIUM if (MEDIUM / "engine" / "manifest.json").is_file() else None


def boot_document() -> dict[str, str]:
    """What the initrd left about this start; empty elsewhere than on an Engine or its medium."""
    try:
        document = json.loads(BOOT.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in document.items()} if isinstance(document, dict) else {}
