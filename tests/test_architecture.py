"""The shape of the house: imports point down, and each risky library has one owner."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {
    "errors": -1, "plain": -1, "units": 0, "progress": 1, "run": 2, "formats": 3, "iso": 4, "block": 4, "vm": 4,
    "engine": 5, "stick": 6, "install": 6, "reference": 7, "cli": 8,
}  # fmt: skip
OWNERS = {
    "subprocess": "mediakit/run.py",
    "pycdlib": "mediakit/iso/",
    "pyudev": "mediakit/block/",
    "parted": "mediakit/block/",
    "_ped": "mediakit/block/",
    "nacl": "mediakit/engine/",
    "textual": "installer_ui/",
}
MODULES = sorted(
    p
    for top in ("mediakit", "installer_ui")
    for p in (ROOT / top).rglob("*.py")
    if "reference/files" not in str(p)
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(dotted: str) -> str:
    words = dotted.split(".")
    return words[1] if len(words) > 1 else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_and_risky_libraries_have_one_owner(path: Path) -> None:
    relative = path.relative_to(ROOT)
    for name in imports(path):
        top = name.split(".")[0]
        if top in OWNERS:
            assert str(relative).startswith(OWNERS[top]), (
                f"{relative} imports {top}, which {OWNERS[top]} owns"
            )
        if relative.parts[0] == "mediakit":
            assert top != "installer_ui", f"{relative} imports the screens"
            if top == "mediakit" and len(relative.parts) > 1:
                own = relative.parts[1].removesuffix(".py")
                if own in LAYERS and part(name) in LAYERS and part(name) != own:
                    assert LAYERS[part(name)] < LAYERS[own], f"{relative} imports {name}: not below it"


def test_every_part_of_mediakit_has_a_layer() -> None:
    parts = {
        p.stem if p.is_file() else p.name
        for p in (ROOT / "mediakit").iterdir()
        if p.suffix == ".py" or p.is_dir()
    }
    assert parts - {"__init__", "__main__", "__pycache__"} == set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_owns_one_thing_and_says_which(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "a module is 50 to 400 lines: split it"
    assert ast.get_docstring(ast.parse(text)), "the module does not say what it owns"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_data_classes_are_made_when_they_are_used(path: Path) -> None:
    if path.name != "plain.py":
        assert "dataclasses.dataclass" not in imports(path), "take dataclass from mediakit.plain"
