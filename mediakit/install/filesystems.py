"""ext4 at a place of a disk: made by mke2fs, mounted by the kernel, both without partition devices.

On a file mke2fs works at an offset and needs no root. On a disk, which is held exclusively, a loop device
over just that place is used (mke2fs and mount open exclusively themselves). Nothing here chooses the place.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediakit import run
from mediakit.errors import RefusedError
from mediakit.install.windows import Window
from mediakit.units import KIB

_MAKE_SECONDS = 600.0
_MOUNT_SECONDS = 60.0
_DETACH_SECONDS = 5.0


def make_ext4(window: Window, label: str, content: Path | None = None, *, reserved_percent: int = 0) -> None:
    """A new ext4 over the whole window, with the tree ``content`` in it; ToolError when mke2fs fails."""
    identity = str(uuid.uuid4())
    options = [
        f"hash_seed={uuid.uuid4()}",
        "nodiscard",
        "lazy_itable_init=1",
        "lazy_journal_init=0",
        "root_owner=0:0",
    ]
    argv = ["mke2fs", "-q", "-F", "-F", "-t", "ext4", "-b", "4096", "-L", label, "-U", identity]
    argv += ["-m", str(reserved_percent)]
    if content is not None:
        argv += ["-d", str(content)]
    if window.target.is_file:
        options.append(f"offset={window.start}")
        place = run.safe_path(window.target.path)
        size = f"{window.size_bytes // KIB}k"
        run.run([*argv, "-E", ",".join(options), place, size], timeout=_MAKE_SECONDS)
    else:
        with loop_device(window) as node:
            run.run([*argv, "-E", ",".join(options), node], timeout=_MAKE_SECONDS)
    window.flush()


@contextmanager
def loop_device(window: Window) -> Iterator[str]:
    """A loop device over the window, and nothing else; RefusedError without root."""
    require_root("A loop device is needed for this step")
    argv = [
        "losetup",
        "--find",
        "--show",
        "--offset",
        str(window.start),
        "--sizelimit",
        str(window.size_bytes),
    ]
    node = run.run([*argv, run.safe_path(window.target.path)], timeout=_MOUNT_SECONDS).text.strip()
    try:
        yield node
    finally:
        _detach(node)


def _detach(node: str) -> None:
    """Detach, and wait until it is: while udev looks at a loop device the kernel only promises to."""
    run.run(["losetup", "--detach", node], timeout=_MOUNT_SECONDS)
    backing = Path("/sys/block") / Path(node).name / "loop/backing_file"
    deadline = time.monotonic() + _DETACH_SECONDS
    while backing.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


@contextmanager
def mounted(window: Window, *, read_only: bool = False) -> Iterator[Path]:
    """The ext4 in the window, mounted in a private folder; unmounted and flushed at the end."""
    with tempfile.TemporaryDirectory(prefix="engine-state-") as folder, loop_device(window) as node:
        options = "ro,nosuid,nodev,noexec" if read_only else "nosuid,nodev,noexec,errors=remount-ro"
        run.run(["mount", "-t", "ext4", "-o", options, node, folder], timeout=_MOUNT_SECONDS)
        try:
            yield Path(folder)
        finally:
            run.run(["umount", folder], timeout=_MOUNT_SECONDS)
    window.flush()


def sync(folder: Path) -> None:
    """Make the whole filesystem that holds ``folder`` durable (syncfs)."""
    run.run(["sync", "-f", str(folder)], timeout=_MAKE_SECONDS)


def require_tools(is_file: bool, *, mounting: bool = False) -> None:
    """MissingToolError, before anything is written, unless the tools of this module are there."""
    needed = ["mke2fs", "sync"] if is_file else ["mke2fs", "sync", "losetup"]
    for name in [*needed, *(("losetup", "mount", "umount", "cp") if mounting else ())]:
        run.find_tool(name)


def require_root(why: str) -> None:
    """RefusedError unless we are root."""
    if os.geteuid() != 0:
        raise RefusedError(f"{why}, and that takes root.", "Run the same command with sudo.")
