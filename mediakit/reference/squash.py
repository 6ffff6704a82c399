"""Trees and their squashfs images: copies that share what does not change, overlays, ``mksquashfs``.

Same tree, same bytes; and what seldom changes lies first, so that two versions have equal blocks at equal
offsets. gzip, because GRUB 2.06 reads it and unpacks it fastest.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediakit.errors import MediakitError
from mediakit.reference.base import epoch, remove
from mediakit.run import run

_ORDER = (
    "usr/lib/modules", "usr/lib/firmware", "usr/lib/python3.11", "usr/lib/x86_64-linux-gnu",
    "usr/lib/xen-4.17", "usr/share", "usr/bin", "usr/sbin", "usr/lib", "usr", "var", "boot",
    "usr/lib/python3", "etc", "usr/lib/engine",
)  # fmt: skip
"""From the start of the image to its end; a longer path counts more than the folder it is in."""


@contextmanager
def working_copy(tree: Path, cache: Path) -> Iterator[Path]:
    """A copy of ``tree`` by hard links: write by replacing a file, never into one (``put``)."""
    work = Path(tempfile.mkdtemp(prefix=".work-", dir=cache))
    try:
        run(["cp", "-al", f"{tree}/.", work], timeout=300)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def put(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file in a working copy; what was there is unlinked, the original keeps its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(path)
    path.write_bytes(data)
    path.chmod(mode)


def overlay(source: Path, tree: Path) -> None:
    """Lay the files and links below ``source`` over ``tree``, owned by root, executable or not as there."""
    for path in sorted(source.rglob("*")):
        target = tree / path.relative_to(source)
        if path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            remove(target)
            target.symlink_to(path.readlink())
        elif path.is_file():
            put(target, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)


def enable(tree: Path, units: tuple[str, ...], target: str = "multi-user.target") -> None:
    """What ``systemctl enable`` would do for units that ``target`` wants."""
    for unit in units:
        name, at, rest = unit.partition("@")
        source = f"{name}@.service" if at and rest != ".service" else unit
        link(tree / f"etc/systemd/system/{target}.wants/{unit}", f"/usr/lib/systemd/system/{source}")


def mask(tree: Path, units: tuple[str, ...]) -> None:
    """Make ``units`` impossible to start."""
    for unit in units:
        link(tree / "etc/systemd/system" / unit, "/dev/null")


def link(path: Path, target: str) -> None:
    """A symbolic link in a working copy, whatever was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(path)
    path.symlink_to(target)


def make_squashfs(tree: Path, out: Path) -> None:
    """``tree`` as a squashfs image at ``out``, in place only when it is complete."""
    partial = out.with_name(out.name + ".partial")
    with tempfile.TemporaryDirectory() as folder:
        order = Path(folder) / "sort"
        order.write_text("".join(f"{path} {rank}\n" for path, rank in _ranks(tree)))
        try:
            run(
                [
                    "mksquashfs", tree, partial, "-noappend", "-no-progress", "-quiet", "-comp", "gzip",
                    "-Xcompression-level", "6", "-no-xattrs", "-no-exports", "-sort", order,
                ],
                timeout=1200,
                env={"SOURCE_DATE_EPOCH": str(epoch())},
            )  # fmt: skip
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    if out.stat().st_size < 4096:
        raise MediakitError(f"mksquashfs made an image of {out.stat().st_size} bytes.")


def _ranks(tree: Path) -> list[tuple[str, int]]:
    """mksquashfs puts higher ranks first and lets a later line override an earlier, shorter one."""
    ranked = [(path, 1000 - 10 * position) for position, path in enumerate(_ORDER)]
    return sorted((entry for entry in ranked if (tree / entry[0]).exists()), key=lambda entry: len(entry[0]))
