"""The one initrd: busybox, the kernel modules of the recipe with what they need, and our own scripts.

It starts a slot under Xen as well as the medium without Xen (``files/initrd/init``). Small matters: the
unified xen.efi carries it a second time. gzip, because that is what unpacks fastest on a slow machine.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mediakit.errors import SourceError
from mediakit.reference import cpio
from mediakit.reference.recipe import FILES

_SCRIPTS = ("common.sh", "fat.sh", "slot.sh", "medium.sh")


def build_initrd(tree: Path, kernel: str, modules: Iterable[str], scripts: Path = FILES / "initrd") -> bytes:
    """The compressed initrd for ``kernel`` of ``tree``; the same inputs give the same bytes."""
    entries = [cpio.file("bin/busybox", (tree / "usr/bin/busybox").read_bytes(), 0o755)]
    entries += [cpio.link("bin/sh", "busybox"), cpio.link("sbin", "bin")]
    entries += [cpio.file("init", (scripts / "init").read_bytes(), 0o755)]
    entries += [cpio.file(f"lib/engine/{name}", (scripts / name).read_bytes()) for name in _SCRIPTS]
    entries += [cpio.node("dev/console", 5, 1), cpio.node("dev/null", 1, 3)]
    entries += _module_entries(tree / "usr/lib/modules" / kernel, f"lib/modules/{kernel}", modules)
    return gzip.compress(cpio.build(cpio.with_folders(entries)), 9, mtime=0)


def closure(wanted: Iterable[str], dependencies: Mapping[str, tuple[str, ...]]) -> list[str]:
    """``wanted`` modules and everything that they need, by path."""
    found: set[str] = set()
    rest = list(wanted)
    while rest:
        path = rest.pop()
        if path not in found:
            found.add(path)
            rest += dependencies[path]
    return sorted(found)


def parse_dependencies(text: str) -> dict[str, tuple[str, ...]]:
    """``modules.dep``: each module's path and the paths of what it needs."""
    lines = (line.partition(":") for line in text.splitlines())
    return {path: tuple(rest.split()) for path, _, rest in lines}


def _module_entries(source: Path, target: str, wanted: Iterable[str]) -> list[cpio.Entry]:
    dependencies = parse_dependencies((source / "modules.dep").read_text())
    builtin = set((source / "modules.builtin").read_text().split())
    paths = [f"kernel/{name}.ko" for name in wanted]
    for path in paths:
        if path not in dependencies and path not in builtin:
            raise SourceError(f"The kernel has no module {path}.", "Correct [initrd] in the recipe.")
    chosen = closure((path for path in paths if path in dependencies), dependencies)
    entries = [cpio.file(f"{target}/{path}", (source / path).read_bytes()) for path in chosen]
    listed = "".join(f"{path}: {' '.join(dependencies[path])}\n" for path in chosen)
    entries.append(cpio.file(f"{target}/modules.dep", listed.encode()))
    aliases = _aliases((source / "modules.alias").read_text(), chosen)
    entries.append(cpio.file(f"{target}/modules.alias", aliases.encode()))
    for name in ("modules.builtin", "modules.order"):
        entries.append(cpio.file(f"{target}/{name}", (source / name).read_bytes()))
    return entries


def _aliases(text: str, chosen: Iterable[str]) -> str:
    """The lines of ``modules.alias`` that name a chosen module (``-`` and ``_`` are the same in names)."""
    names = {re.sub("-", "_", Path(path).stem) for path in chosen}
    kept = [line for line in text.splitlines() if line.split()[-1].replace("-", "_") in names]
    return "\n".join(kept) + "\n"
