"""What the screens ask of an installation: the seam to ``mediakit.install``, as a Protocol. Holds no code."""

from __future__ import annotations

from typing import Protocol

from mediakit.install.choice import Choice
from mediakit.install.execute import Result
from mediakit.install.machine import Detection
from mediakit.install.plan import InstallPlan
from mediakit.progress import Cancel, Observer


class Medium(Protocol):
    """What this medium installs."""

    @property
    def product(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def build(self) -> int: ...


class Installation(Protocol):
    """One installation on one machine; ``mediakit.install.session.Installation`` is the real one."""

    @property
    def medium(self) -> Medium: ...
    @property
    def mode(self) -> str: ...
    def licence(self, language: str) -> str: ...
    def probe(self, observer: Observer) -> Detection: ...
    def plan(self, choice: Choice) -> InstallPlan: ...
    def execute(self, plan: InstallPlan, observer: Observer, cancel: Cancel) -> Result: ...
    def write_report(self, plan: InstallPlan | None, result: Result) -> str: ...
    def finish(self, action: str) -> None: ...
