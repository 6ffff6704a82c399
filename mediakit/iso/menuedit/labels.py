"""Volume labels: which ones a disc image can have, and where kernel arguments name them. Pure.

Sources: ECMA-119 §8.4.7 (32 d-characters; what is made today has a-characters and small letters too, and is
read everywhere); Joliet (16 UCS-2 characters); udev's ``\\x20`` for what is no plain character
(``systemd/src/shared/device-nodes.c``); dracut's ``root=live:LABEL=`` and ``CDLABEL=``, archiso's
``archisolabel=``, Anaconda's ``hd:LABEL=``.
"""

from __future__ import annotations

import re

from mediakit.errors import RefusedError, UsageError

MAX_BYTES = 32
JOLIET_CHARACTERS = 16
_STRICT = re.compile(r"[A-Z0-9_]+")
_PLAIN = re.compile(r"[A-Za-z0-9#+.:=@_-]")
_BREAKS = re.compile(r"[\s/\\\"'$`,;:{}&|<>=]")


def check(label: str, old: str, *, has_joliet: bool) -> list[str]:
    """Remarks on a new label; UsageError for one that no disc image can have, RefusedError for one that would
    not be found again.
    """
    if not label or len(label) > MAX_BYTES:
        raise UsageError(
            f"The label “{label}” has {len(label)} characters; 1 to {MAX_BYTES} are possible.",
            "Choose a shorter one.",
        )
    if not label.isascii() or not label.isprintable() or label != label.strip():
        raise UsageError(
            f"The label “{label}” cannot be written: only printable ASCII, without blanks at its ends.",
            "Use capitals, digits and _.",
        )
    broken = _BREAKS.search(label.replace(" ", ""))
    if broken:
        raise RefusedError(
            f"A label with “{broken[0]}” breaks boot menus and /dev/disk/by-label.",
            "Use capitals, digits and _.",
        )
    notes = []
    if not _STRICT.fullmatch(label):
        notes.append(
            f"The label “{label}” has characters beyond A to Z, 0 to 9 and _, which the standard lacks; "
            "every system of today reads it."
        )
    if has_joliet and len(label) > JOLIET_CHARACTERS:
        notes.append(
            f"Windows shows only the first {JOLIET_CHARACTERS} characters: “{label[:JOLIET_CHARACTERS]}”."
        )
    return notes


def udev_name(label: str) -> str:
    """``label`` as udev writes it in /dev/disk/by-label, and dracut takes it."""
    return "".join(c if _PLAIN.fullmatch(c) else f"\\x{ord(c):02x}" for c in label)


def replace_in_word(word: str, old: str, new: str) -> str:
    """One word of a boot menu, with a filesystem named by the new label: ``…LABEL=OLD``, ``by-label/OLD``."""
    if not old:
        return word
    for doubled in (False, True):
        name = udev_name(old)
        shape = name.replace("\\", "\\\\") if doubled else name
        target = udev_name(new).replace("\\", "\\\\") if doubled else udev_name(new)
        word = _replace(word, shape, target)
    return _replace(word, old, new if " " not in new or " " in old else udev_name(new))


def _replace(word: str, old: str, new: str) -> str:
    pattern = re.compile(rf"((?:label=|by-label/)[\"']?){re.escape(old)}(?=$|[\s\"':/,;])", re.IGNORECASE)

    def swap(match: re.Match[str]) -> str:
        return match[1] + new if match[0][len(match[1]) :] == old else match[0]

    return pattern.sub(swap, word)
