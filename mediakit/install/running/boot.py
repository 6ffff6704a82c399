"""``/run/engine/boot.json``, which the initrd leaves: how this Engine was started. Reads only."""

from __future__ import annotations

import json
from pathlib import Path

from mediakit.errors import SourceError
from mediakit.plain import dataclass

PATH = Path("/run/engine/boot.json")


@dataclass(frozen=True)
class Boot:
    """Disk and slot, and why this slot (good, try, fallback, unreadable)."""

    disk: str
    esp: str
    slot: str
    slot_device: str
    why: str
    fell_back_from: str
    mode: str
    install_id: str

    @property
    def is_trial(self) -> bool:
        return self.why == "try"


def read(path: Path = PATH) -> Boot:
    """The boot document of a slot; SourceError elsewhere than in a running Engine."""
    try:
        document = json.loads(path.read_text())
        if document["kind"] != "slot":
            raise SourceError("This is the Engine medium, not an installed Engine.")
        return Boot(**{name: str(document.get(name, "")) for name in Boot.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            "This is not a running Engine: there is no record of its start.",
            f"Run it inside an Engine ({path} is written there at boot).",
        ) from error
