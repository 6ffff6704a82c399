"""The console that the screens run on: is it a VT, how large, which keyboard layout."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping

from mediakit import run
from mediakit.errors import MediakitError

LAYOUTS = {
    "us": "English (US)",
    "gb": "English (UK)",
    "es": "Spanish",
    "latam": "Spanish (Latin America)",
    "pt": "Portuguese",
    "br": "Portuguese (Brazil)",
    "de": "German",
    "ch": "German (Switzerland)",
    "fr": "French",
    "be": "Belgian",
    "it": "Italian",
    "nl": "Dutch",
    "dk": "Danish",
    "se": "Swedish",
    "no": "Norwegian",
    "fi": "Finnish",
    "pl": "Polish",
}
"""XKB layout code to its name, an English catalogue entry."""
SIZE = (80, 24)


def is_vt(tty: str) -> bool:
    """Whether ``tty`` (``/dev/tty1``) is a virtual terminal of this machine."""
    return re.fullmatch(r"/dev/tty\d+|/dev/console", tty) is not None


def tty_name(fd: int = 0) -> str:
    """The terminal behind ``fd``, or nothing."""
    try:
        return os.ttyname(fd)
    except OSError:
        return ""


def set_size(environment: MutableMapping[str, str], fd: int = 1) -> None:
    """Give a terminal that reports 0×0 (a serial line) the 80×24 that it has."""
    try:
        columns, lines = os.get_terminal_size(fd)
    except OSError:
        columns, lines = 0, 0
    if columns <= 0 or lines <= 0:
        environment.setdefault("COLUMNS", str(SIZE[0]))
        environment.setdefault("LINES", str(SIZE[1]))


def apply_keyboard(layout: str, tty: str) -> None:
    """Load ``layout`` on the VT; MediakitError when the tools or the layout are not there."""
    if layout not in LAYOUTS:
        raise MediakitError(f"There is no keyboard layout “{layout}”.", "Choose one from the list.")
    if run.has_tool("ckbcomp"):
        table = run.run(["ckbcomp", layout], timeout=30).stdout
        run.run(["loadkeys", "-C", tty, "-"], stdin=table, timeout=30)
    else:
        run.run(["loadkeys", "-C", tty, layout], timeout=30)
