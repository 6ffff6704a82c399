"""Is this Engine healthy? Each question gives a list of sentences: empty is yes. Changes nothing."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mediakit.plain import dataclass

STATE = Path("/engine/state")
VMS = Path("/engine/vms")
PROBLEMS = Path("/run/engine/problems")
XENSTORE = Path("/run/xenstored/socket")
_MESSAGE = struct.Struct("<IIII")
_READ = 2
KNOWN_VMS = "vms.list"
"""In engine-state: the definitions at the last good boot or orderly shutdown, one path a line."""
_DEFINITION = (
    "name", "uuid", "origin", "published_by", "pv_driver", "min_engine", "memory_bytes", "disks",
)  # fmt: skip


@dataclass(frozen=True)
class VmList:
    """The definitions that could be read, and a sentence for each that could not."""

    definitions: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]


def xen_version(root: Path = Path("/")) -> str:
    """The hypervisor's version, or an empty string without Xen."""
    try:
        folder = root / "sys/hypervisor"
        if (folder / "type").read_text().strip() != "xen":
            return ""
        numbers = [(folder / "version" / name).read_text().strip() for name in ("major", "minor", "extra")]
        return f"{numbers[0]}.{numbers[1]}{numbers[2]}"
    except OSError:
        return ""


def xen_problems() -> list[str]:
    """Xen runs, we are its control domain, and its store answers."""
    if not xen_version():
        return ["Xen is not running: this kernel was started without it."]
    try:
        if "control_d" not in Path("/proc/xen/capabilities").read_text():
            return ["This system is not Xen's control domain."]
        read_xenstore("/local/domain/0/name")
    except OSError as error:
        return [f"Xen's store does not answer: {error}"]
    return []


def read_xenstore(path: str, socket_path: Path = XENSTORE) -> str:
    """One value of the Xen store, over its socket (Xen ``docs/misc/xenstore.txt``)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(socket_path))
        payload = path.encode() + b"\0"
        connection.sendall(_MESSAGE.pack(_READ, 1, 0, len(payload)) + payload)
        kind, _, _, size = _MESSAGE.unpack(_receive(connection, _MESSAGE.size))
        answer = _receive(connection, size)
    if kind != _READ:
        raise OSError(answer.rstrip(b"\0").decode(errors="replace"))
    return answer.decode(errors="replace")


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise OSError("the connection ended early")
        data += piece
    return data


def secure_boot(root: Path = Path("/")) -> bool:
    """Whether the kernel was locked down by Secure Boot."""
    try:
        variable = next((root / "sys/firmware/efi/efivars").glob("SecureBoot-*"))
        return variable.read_bytes()[4:5] == b"\x01"
    except (OSError, StopIteration):
        pass
    try:
        return "[none]" not in (root / "sys/kernel/security/lockdown").read_text()
    except OSError:
        return False


def store_problems(folder: Path, name: str) -> list[str]:
    """``folder`` is a mount of its own, for reading and writing."""
    if not os.path.ismount(folder):
        return [f"{name} is not mounted."]
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return [f"{name} is mounted read-only: its filesystem has an error."]
    return []


def read_vms(folder: Path = VMS) -> VmList:
    """The VM definitions ``NAME/vm.json`` below ``folder``."""
    definitions: list[dict[str, Any]] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*/vm.json")):
        try:
            document = json.loads(path.read_text())
            definitions.append({key: document[key] for key in _DEFINITION})
        except (OSError, ValueError, KeyError, TypeError):
            problems.append(f"The definition of VM {path.parent.name} cannot be read.")
    return VmList(tuple(definitions), tuple(problems))


def vm_problems(vms: VmList, known: Sequence[str]) -> list[str]:
    """As many definitions as before, and every one of them whole."""
    problems = list(vms.problems)
    missing = len(known) - len(vms.definitions) - len(vms.problems)
    if missing > 0:
        problems.append(f"{missing} of {len(known)} VM definitions are missing.")
    return problems


def known_vms(state: Path = STATE) -> list[str]:
    """What ``KNOWN_VMS`` remembers; nothing on the first boot."""
    try:
        return (state / KNOWN_VMS).read_text().split("\n")[:-1]
    except OSError:
        return []


def initrd_problems(path: Path = PROBLEMS) -> list[str]:
    """What the initrd could not do."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
