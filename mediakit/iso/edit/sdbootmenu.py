"""Edits of systemd-boot's configuration: ``loader.conf`` and the files of its entries. Pure: text to text.

Source: UAPI Boot Loader Specification 1 (``options`` of type #1 entries), loader.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mediakit.iso.edit import kernelargs, labels
from mediakit.iso.edit.textedit import Splice, apply, line_end

_OPTIONS = re.compile(r"^([ \t]*options[ \t]+)(.*?)[ \t\r]*$", re.MULTILINE)
_LINUX = re.compile(r"^[ \t]*linux[ \t]+\S.*$", re.MULTILINE)
_TITLE = re.compile(r"^[ \t]*title[ \t]+(.*?)[ \t\r]*$", re.MULTILINE)
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def title(text: str) -> str:
    found = _TITLE.search(text)
    return found[1] if found else ""


def add_kernel_arguments(text: str, arguments: Sequence[str]) -> str:
    """``arguments`` merged into the ``options`` of an entry that starts a Linux."""
    linux = _LINUX.search(text)
    if linux is None or not arguments:
        return text
    spans = [
        (found.start(2) + word.start(), found.start(2) + word.end(), word[0])
        for found in _OPTIONS.finditer(text)
        for word in _WORDS.finditer(found[2])
    ]
    if not spans:
        end = linux.end() - (1 if linux[0].endswith("\r") else 0)
        words = " ".join(map(kernelargs.quote, arguments))
        return apply(text, [Splice(end, end, f"{line_end(text)}options {words}")])
    change = kernelargs.merge([kernelargs.unquote(word) for _, _, word in spans], arguments)
    splices = [
        Splice(spans[i][0], spans[i][1], " ".join(map(kernelargs.quote, new)))
        for i, new in change.replaced.items()
    ]
    added = " ".join(map(kernelargs.quote, change.added))
    if added and change.position < len(spans):
        splices.append(Splice(spans[change.position][0], spans[change.position][0], f"{added} "))
    elif added:
        splices.append(Splice(spans[-1][1], spans[-1][1], f" {added}"))
    return apply(text, splices)


def set_key(text: str, key: str, value: str) -> str:
    """``KEY VALUE`` in loader.conf, in the place of what it says, else at its end."""
    found = list(re.finditer(rf"^([ \t]*{key}[ \t]+)(.*?)[ \t\r]*$", text, re.MULTILINE))
    if found:
        return apply(text, [Splice(m.start(2), m.end(2), value) for m in found if m[2] != value])
    before = "" if not text or text.endswith("\n") else line_end(text)
    return f"{text}{before}{key} {value}{line_end(text)}"


def replace_label(text: str, old: str, new: str) -> str:
    """The volume label ``old`` replaced in the ``options``."""
    splices = []
    for found in _OPTIONS.finditer(text):
        changed = labels.replace_in_word(found[2], old, new)
        if changed != found[2]:
            splices.append(Splice(found.start(2), found.end(2), changed))
    return apply(text, splices)
