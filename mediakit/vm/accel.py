"""Owns the choice between KVM and TCG, made by trying: ``/dev/kvm`` may open and its guest never start.

A boot sector that leaves QEMU through its debug-exit port is run, with a deadline, on the kind of machine
that is used later. KVM is taken only where it is also faster than TCG: where it is emulated it can be
twenty times slower, and then hang. The answer is remembered until the host boots again.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

from mediakit.plain import dataclass
from mediakit.run import ToolError, run
from mediakit.vm.argv import ACCELERATORS, CPUS, QEMU

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
    with_kvm = seconds_to_boot("kvm", TRY_SECONDS)
    if with_kvm is None:
        return Accelerator("tcg", "/dev/kvm opens, but a guest does not start in it.")
    with_tcg = seconds_to_boot("tcg", TRY_SECONDS)
    if with_tcg is not None and with_kvm > 2 * with_tcg:
        why = f"A guest under KVM is slower here than without ({with_kvm:.1f} s against {with_tcg:.1f} s)."
        return Accelerator("tcg", why)
    return Accelerator("kvm", "A guest runs under KVM here.")


def seconds_to_boot(accelerator: str, limit: float) -> float | None:
    """How long a boot sector takes to its end under ``accelerator``; None if not within ``limit`` seconds."""
    with tempfile.NamedTemporaryFile(prefix="mediakit-accel-") as sector:
        sector.write(_PROGRAM.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20))
        sector.flush()
        words = [QEMU, "-nodefaults", "-no-user-config", "-machine", "q35", "-cpu", CPUS[accelerator]]
        words += ["-accel", ACCELERATORS[accelerator], "-smp", "2", "-m", "64M", "-display", "none"]
        words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        words += ["-drive", f"if=none,id=disk,file={sector.name},format=raw,snapshot=on"]
        words += ["-device", "ide-hd,drive=disk,bus=ide.0,bootindex=0"]
        started = time.monotonic()
        try:
            ended = run(words, timeout=limit, check=False)
        except ToolError:
            return None
        return time.monotonic() - started if ended.status == _STATUS else None


def _memory() -> Path:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mediakit" / f"accelerator-{boot}.json"
