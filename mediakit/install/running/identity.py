"""What makes this machine itself and must last: SSH host key and machine id, kept in the slot's state."""

from __future__ import annotations

import shutil
from pathlib import Path

from mediakit.run import run

RUN_SSH = Path("/run/engine/ssh")
_KEY = "ssh_host_ed25519_key"


def keep_host_key(slot_state: Path, target: Path = RUN_SSH) -> None:
    """The host key from the state to where sshd looks; made once, on the first boot."""
    folder = slot_state / "ssh"
    if not (folder / _KEY).exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = folder / "new"
        for leftover in folder.glob("new*"):
            leftover.unlink()
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "engine", "-f", fresh], timeout=60)
        (folder / "new.pub").replace(folder / f"{_KEY}.pub")
        fresh.replace(folder / _KEY)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, mode in ((_KEY, 0o600), (f"{_KEY}.pub", 0o644)):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
            (target / name).chmod(mode)


def keep_machine_id(slot_state: Path, machine_id: Path = Path("/etc/machine-id")) -> None:
    """Remember the id that systemd made up on the first boot; the initrd hands it back on the next."""
    kept = slot_state / "machine-id"
    current = machine_id.read_text().strip()
    if len(current) == 32 and not kept.exists():
        kept.write_text(current + "\n")
