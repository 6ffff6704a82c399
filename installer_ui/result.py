"""How an installation ended, in words and as the process status."""

from __future__ import annotations

TITLES = {
    "done": "Done.",
    "already": "This version is already there. Nothing was written.",
    "refused": "This was refused. Nothing was written.",
    "failed": "This failed.",
    "interrupted": "This was stopped.",
}
STATUS = {"done": 0, "already": 0, "refused": 4, "failed": 5, "interrupted": 130}
