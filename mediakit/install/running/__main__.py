"""The boot path: render, check, say so, and when on trial decide. Runs once, as root, early."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mediakit.errors import MediakitError
from mediakit.install import state as states
from mediakit.install.running import boot as boots
from mediakit.install.running import fellback, health, identity, render, status
from mediakit.install.running.boot import Boot
from mediakit.install.running.status import Status
from mediakit.run import run, start

LOG = "logs/engine.log"
_CONSOLES = Path("/sys/class/tty/console/active")


def main() -> int:
    """Always 0: a degraded Engine is up, and says what is wrong with it."""
    try:
        boot = boots.read()
    except MediakitError as error:
        announce("ENGINE-DEGRADED", {"why_not": [str(error)]})
        return 0
    problems = prepare(boot)
    found = status.gather(boot, tuple(problems))
    tell(found)
    if os.path.ismount(health.STATE):
        attempt("The request to report", lambda: fellback.note(found, health.STATE))
    if not found.why_not:
        problems = settle(boot, found)
        if problems:
            found = status.gather(boot, tuple(problems))
            tell(found)
    if found.why_not and boot.is_trial:
        run(["systemctl", "start", "--no-block", "engine-retreat.service"], timeout=30, check=False)
    return 0


def tell(found: Status) -> None:
    """The machine-readable line, on the consoles and in the log."""
    document = found.to_json()
    word = "ENGINE-DEGRADED" if found.why_not else "ENGINE-READY"
    announce(word, document)
    attempt("The log", lambda: keep_log(word, document))


def prepare(boot: Boot) -> list[str]:
    """Settings and identity from the state; what went wrong, as sentences."""
    folder = health.STATE / "slots" / boot.slot
    try:
        state = states.parse((folder / states.NAME).read_bytes())
        problems = []
    except (OSError, MediakitError) as error:
        state = states.State()
        problems = [f"The state of slot {boot.slot} cannot be read: {error}"]
    problems += attempt("Settings", lambda: problems.extend(render.write(state)))
    problems += attempt("Host name", lambda: socket.sethostname(render.host_name(state)))
    if os.path.ismount(health.STATE):
        problems += attempt("SSH host key", lambda: identity.keep_host_key(folder))
        problems += attempt("Machine id", lambda: identity.keep_machine_id(folder))
    keymap = Path(f"/usr/share/engine/keymaps/{state.keyboard}.kmap")
    if state.keyboard != "us" and keymap.is_file():
        start(["loadkeys", "-q", keymap])
    return problems


def settle(boot: Boot, found: Status) -> list[str]:
    """Healthy: remember the VMs, and on trial set the good mark."""
    problems: list[str] = []
    if boot.is_trial:
        from mediakit.install.running import good  # the disk code is heavy, and only a trial needs it

        problems += attempt("The good mark", lambda: good.mark_good(boot))
    if not problems:
        names = "".join(f"{path}\n" for path in sorted(health.VMS.glob("*/vm.json")))
        problems += attempt("The list of VMs", lambda: replace(health.STATE / health.KNOWN_VMS, names))
    return problems


def attempt(what: str, action: Callable[[], object]) -> list[str]:
    """``action``'s failure as a sentence: at boot nothing may end in a traceback instead of a status."""
    try:
        action()
    except (OSError, MediakitError, ValueError) as error:
        return [f"{what}: {error}"]
    return []


def announce(word: str, document: dict[str, object]) -> None:
    """One line on every console, and on the first virtual terminal."""
    line = f"\r\n{word} {json.dumps(document, sort_keys=False)}\r\n".encode()
    try:
        consoles = _CONSOLES.read_text().split()
    except OSError:
        consoles = ["console"]
    for name in dict.fromkeys("tty1" if name == "tty0" else name for name in consoles):
        try:
            with Path(f"/dev/{name}").open("wb", buffering=0) as console:
                console.write(line)
        except OSError as error:
            print(f"/dev/{name}: {error}", file=sys.stderr)


def keep_log(word: str, document: dict[str, object]) -> None:
    """Append this start to the Engine's own log in the state."""
    path = health.STATE / LOG
    path.parent.mkdir(exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with path.open("a") as log:
        log.write(f"{now} {word} {json.dumps(document)}\n")


def replace(path: Path, text: str) -> None:
    """Whole or not at all, on a journalled filesystem."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


if __name__ == "__main__":
    sys.exit(main())
