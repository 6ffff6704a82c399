"""The reference Engine's recipe as data: ``files/recipe.toml`` read into dataclasses. Builds nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mediakit.plain import dataclass

FILES = Path(__file__).parent / "files"


@dataclass(frozen=True)
class Recipe:
    """What to install, what to take away, what the initrd and the two layers hold."""

    suite: str
    packages: tuple[str, ...]
    non_free_firmware: tuple[str, ...]
    trim_paths: tuple[str, ...]
    trim_modules: tuple[str, ...]
    modules_needing_firmware: tuple[str, ...]
    initrd_modules: tuple[str, ...]
    keyboards: tuple[str, ...]
    masked: tuple[str, ...]
    system_units: tuple[str, ...]
    system_python: tuple[str, ...]
    installer_units: tuple[str, ...]
    installer_python: tuple[str, ...]
    installer_masked: tuple[str, ...]


def load(path: Path = FILES / "recipe.toml") -> Recipe:
    """The recipe in ``path``."""
    document = tomllib.loads(path.read_text())
    base, trim, system, installer = (document[name] for name in ("base", "trim", "system", "installer"))
    return Recipe(
        suite=base["suite"],
        packages=tuple(base["packages"]),
        non_free_firmware=tuple(base["non_free_firmware"]),
        trim_paths=tuple(trim["paths"]),
        trim_modules=tuple(trim["modules"]),
        modules_needing_firmware=tuple(trim["modules_needing_firmware"]),
        initrd_modules=tuple(document["initrd"]["modules"]),
        keyboards=tuple(system["keyboards"]),
        masked=tuple(system["masked"]),
        system_units=tuple(system["enabled"]),
        system_python=tuple(system["python"]),
        installer_units=tuple(installer["enabled"]),
        installer_python=tuple(installer["python"]),
        installer_masked=tuple(installer["masked"]),
    )
