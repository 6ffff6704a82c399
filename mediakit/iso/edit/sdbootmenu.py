"""Edits of systemd-boot's configuration: ``loader.conf`` and the files of its entries. Pure: text to text.

Source: UAPI Boot Loader Specification 1 (``options`` of type #1 entries), loader.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mediakit.iso.edit import kernelargs, labels
from mediakit.iso.edit.textedit import Splice, apply, line_end

_LINE = r"^([ \t]*{}[ \t]+)([^\n]*)$"
_OPTIONS = re.compile(_LINE.format("options"), re.MULTILINE)
_LINUX = re.compile(_LINE.format("linux"), re.MULTILINE)
_TITLE = re.compile(_LINE.format("title"), re.MULTILINE)
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def title(text: str) -> str:
    found = _TITLE.search(text)
    return found[2].rstrip() if found else ""


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
        end = linux.start(2) + len(linux[2].rstrip())
        words = " ".join(map(kernelargs.quote, kernelargs.apply((), arguments)))
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
    found = list(re.finditer(_LINE.format(key), text, re.MULTILINE))
    if found:
        spans = [(match.start(2), match[2].rstrip()) for match in found]
        return apply(text, [Splice(at, at + len(old), value) for at, old in spans if old != value])
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
