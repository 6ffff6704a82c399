"""What other programs say of an image: the trees they read, the partitions, the boot images."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from mediakit import iso, run


def xorriso_tree(path: Path, folder: Path) -> dict[str, str]:
    """Path → SHA-256 (or kind) of everything that xorriso extracts, but the boot catalog."""
    shutil.rmtree(folder, ignore_errors=True)
    words = ["xorriso", "-no_rc", "-osirrox", "on", "-indev", path, "-extract", "/", folder]
    run.run([*words, "-rollback_end"], timeout=60)
    run.run(["chmod", "-R", "u+rwX", folder], timeout=20)
    return {name: what for name, what in host_tree(folder).items() if not name.endswith("/boot.cat")}


def host_tree(folder: Path) -> dict[str, str]:
    """The same of a folder."""
    found: dict[str, str] = {}
    for item in sorted(folder.rglob("*")):
        name = "/" + str(item.relative_to(folder))
        if item.is_symlink():
            found[name] = f"→ {item.readlink()}"
        elif item.is_dir():
            found[name] = "folder"
        else:
            found[name] = hashlib.sha256(item.read_bytes()).hexdigest()
    return found


def isoinfo_names(path: Path, option: str = "") -> dict[str, tuple[int, int]]:
    """Path → (block, size) by isoinfo; ``-R``, ``-J`` or nothing for the plain tree."""
    words = ["isoinfo", "-l", *([option] if option else []), "-i", path]
    report = run.run(words, timeout=60).stdout.decode("utf-8", "replace")
    found: dict[str, tuple[int, int]] = {}
    folder = "/"
    for line in report.splitlines():
        if line.startswith("Directory listing of "):
            folder = line.removeprefix("Directory listing of ").rstrip()
        match = re.match(r".*?\s(\d+) +\w+ +\d+ +\d+ +\[ *(\d+) ..\] +(.*?) *$", line)
        if match and match[3] not in (".", ".."):
            found[folder + match[3]] = (int(match[2]), int(match[1]))
    return found


def sgdisk_problems(path: Path) -> int:
    """How many problems ``sgdisk -v`` counts; −1 where there is no GPT at all."""
    report = run.run(["sgdisk", "-v", path], timeout=20, check=False).text
    if "not present" in report or "invalid GPT and valid MBR" in report:
        return -1
    match = re.search(r"Identified (\d+) problem", report)
    return int(match[1]) if match else 0


def routes(path: Path) -> dict[str, bool]:
    with iso.open_image(path) as image:
        return {name: route.ok for name, route in image.facts().boot.items()}


def boot_facts(path: Path) -> tuple[object, ...]:
    """What firmware goes by, as xorriso reports it, without sizes that grow."""
    words = ["xorriso", "-no_rc", "-indev", path, "-report_el_torito", "plain"]
    report = run.run(words, timeout=60).text
    lines = [line for line in report.splitlines() if line.startswith("El Torito")]
    return tuple(re.sub(r"(boot img .* UEFI .* )\d+$", r"\1moved", line) for line in lines)
