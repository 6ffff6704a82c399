"""What a GRUB script knows at a moment: volumes, variables, functions, loop devices; what branches leave.

Bounded in number: a branch that may or may not be taken copies all of it. Runs nothing.
"""

from __future__ import annotations

from dataclasses import field

from mediakit.iso.bootmenus.grub_config import Function
from mediakit.iso.bootmenus.menu import Files
from mediakit.plain import dataclass

MAX_VARIABLES = 300
MAX_NAMES = 300
"""Functions, exported names and loop devices, each."""


@dataclass(frozen=True)
class Medium:
    """What a GRUB can find: the volumes by their device names, and how ``search`` would know them."""

    volumes: dict[str, Files]
    labels: dict[str, str] = field(default_factory=dict)
    uuids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unknown:
    """A value that the medium alone does not tell, and why not where that is known."""

    why: str = ""


Value = str | Unknown


Home = tuple[str, int | None]
"""The configuration that text stands in, and the byte of the image where it starts."""


@dataclass
class Scope:
    """The variables, functions and loop devices at a moment."""

    variables: dict[str, Value]
    functions: dict[str, Function] = field(default_factory=dict)
    loops: dict[str, str] = field(default_factory=dict)
    arguments: list[Value] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)
    homes: dict[str, Home] = field(default_factory=dict)

    def copy(self) -> Scope:
        return Scope(
            dict(self.variables),
            dict(self.functions),
            dict(self.loops),
            list(self.arguments),
            set(self.exported),
            dict(self.homes),
        )

    def exported_copy(self) -> Scope:
        """What a new menu context starts with."""
        fresh = self.copy()
        fresh.variables = {k: v for k, v in self.variables.items() if k in self.exported}
        return fresh

    def merge(self, others: list[Scope]) -> None:
        """What is left of several branches: values on which all agree."""
        names = {name for scope in others for name in scope.variables}
        merged: dict[str, Value] = {}
        for name in names:
            values = [scope.variables.get(name, "") for scope in others]
            same = all(value == values[0] for value in values)
            unknown = next((v for v in values if isinstance(v, Unknown)), Unknown())
            merged[name] = values[0] if same else Unknown(unknown.why)
        self.variables = merged
        for scope in others:
            self.functions.update(scope.functions)
            self.loops.update(scope.loops)
            self.homes.update(scope.homes)
            self.exported |= scope.exported

    def define(self, function: Function, home: Home) -> None:
        """A function, unless there are too many."""
        if function.name in self.functions or len(self.functions) < MAX_NAMES:
            self.functions[function.name] = function
            self.homes[function.name] = home

    def export(self, name: str) -> None:
        """``name`` is handed on to new menus, unless too many are."""
        if len(self.exported) < MAX_NAMES:
            self.exported.add(name)

    def set_loop(self, device: str, path: str) -> None:
        """``device`` is the image at ``path``, unless there are too many."""
        if device in self.loops or len(self.loops) < MAX_NAMES:
            self.loops[device] = path
