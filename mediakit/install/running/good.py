"""The good mark: a slot on trial that is healthy becomes the one that the boot loader takes. One sector."""

from __future__ import annotations

from pathlib import Path

from mediakit.block.target import open_target
from mediakit.install import bootenv
from mediakit.install.running.boot import Boot

MARK = Path("/run/engine/good")
"""Its presence tells the ten-minute guard of a trial that there is nothing to guard."""


def mark_good(boot: Boot) -> None:
    """Make the running slot the good one and end the trial; DeviceError if the sector does not stick."""
    with open_target(Path(boot.esp), partition=True) as esp:
        bootenv.update(esp, good=boot.slot, try_="", tries="0")
    MARK.touch()
