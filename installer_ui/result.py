"""How an installation ended, in words and as the process status."""

from __future__ import annotations

from mediakit.install.execute import Result

TITLES = {
    "done": "Done.",
    "already": "This version is already there. Nothing was written.",
    "refused": "This was refused. Nothing was written.",
    "failed": "This failed.",
    "interrupted": "This was stopped.",
}
STATUS = {"done": 0, "already": 0, "refused": 4, "failed": 5, "interrupted": 130}


def exit_status(result: Result) -> int:
    """The process status of how it ended."""
    return STATUS.get(result.result, 5) if result.exit_status is None else result.exit_status
