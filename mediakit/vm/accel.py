"""Owns the choice between KVM and TCG, made by trying: ``/dev/kvm`` may open and its guest never start.

A boot sector that leaves QEMU through its debug-exit port is run with a deadline. The answer is remembered
until the host boots again.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mediakit.errors import MediakitError
from mediakit.run import run
from mediakit.vm.argv import QEMU

TRY_SECONDS = 6.0
TCG_SCALE = 4.0
# mov al, 0x10; out 0xf4, al; hlt; jmp $: QEMU's isa-debug-exit then ends with status (0x10 << 1) | 1.
_PROGRAM = bytes.fromhex("b010e6f4f4ebfe")
_STATUS = 0x21


@dataclass(frozen=True)
class Accelerator:
    """``name`` is kvm or tcg; ``scale`` is how much longer things take; ``why`` is a sentence for people."""

    name: str
    why: str

    @property
    def scale(self) -> float:
        return 1.0 if self.name == "kvm" else TCG_SCALE


def choose() -> Accelerator:
    """KVM when a guest really runs in it here, else TCG; MEDIAKIT_ACCEL=tcg or kvm decides without trying."""
    forced = os.environ.get("MEDIAKIT_ACCEL", "")
    if forced in ("kvm", "tcg"):
        return Accelerator(forced, f"MEDIAKIT_ACCEL asks for {forced}.")
    memory = _memory()
    try:
        document = json.loads(memory.read_text())
        return Accelerator(document["name"], document["why"])
    except (OSError, ValueError, KeyError, TypeError):
        chosen = try_kvm()
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        scratch = memory.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps({"name": chosen.name, "why": chosen.why}))
        scratch.replace(memory)
    except OSError:
        pass  # not remembered: the next run tries again
    return chosen


def try_kvm() -> Accelerator:
    """Start a tiny guest under KVM and see whether it gets anywhere."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "There is no usable /dev/kvm here.")
    if boots("kvm", TRY_SECONDS):
        return Accelerator("kvm", "A guest runs under KVM here.")
    return Accelerator("tcg", "/dev/kvm opens, but a guest does not start in it.")


def boots(accelerator: str, seconds: float) -> bool:
    """Whether a boot sector runs to its end under ``accelerator`` within ``seconds``."""
    with tempfile.NamedTemporaryFile(prefix="mediakit-accel-") as sector:
        sector.write(_PROGRAM.ljust(510, b"\0") + b"\x55\xaa")
        sector.flush()
        words = [QEMU, "-nodefaults", "-no-user-config", "-machine", "pc", "-accel", accelerator, "-m", "32M"]
        words += ["-display", "none", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        words += ["-drive", f"file={sector.name},format=raw,if=ide,snapshot=on"]
        try:
            return run(words, timeout=seconds, check=False).status == _STATUS
        except MediakitError as error:
            if error.exit_status == 7:
                raise
            return False


def _memory() -> Path:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mediakit" / f"accelerator-{boot}.json"
