"""Edits of systemd-boot's configuration: ``loader.conf`` and the files of its entries. Pure: text to text.

``bls_config`` says where everything stands.
Source: UAPI Boot Loader Specification 1 (``options`` of type #1 entries), loader.conf(5).
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit.iso import bls_config
from mediakit.iso.bls_config import Line
from mediakit.iso.edit import kernelargs, labels
from mediakit.iso.edit.textedit import Splice, apply, encode, line_end


def title(text: str) -> str:
    found = bls_config.find(_parse(text), "title")
    return found.value if found is not None else ""


def add_kernel_arguments(text: str, arguments: Sequence[str]) -> str:
    """``arguments`` merged into the ``options`` of an entry that starts a Linux."""
    lines = _parse(text)
    linux = bls_config.find(lines, "linux")
    if linux is None or not arguments:
        return text
    words = [
        place
        for line in lines
        if line.keyword == "options"
        for place in kernelargs.places(line.value, line.start)
    ]
    if words:
        return apply(text, kernelargs.splices(words, arguments, end=words[-1].end))
    added = " ".join(map(kernelargs.quote, kernelargs.apply((), arguments)))
    return apply(text, [Splice(linux.end, linux.end, f"{line_end(text)}options {added}")])


def set_key(text: str, key: str, value: str) -> str:
    """``KEY VALUE`` in loader.conf, in the place of what it says, else at its end."""
    found = [line for line in _parse(text) if line.keyword == key]
    if found:
        return apply(text, [_replaced(line, value) for line in found if line.value != value])
    before = "" if not text or text.endswith("\n") else line_end(text)
    return f"{text}{before}{key} {value}{line_end(text)}"


def replace_label(text: str, old: str, new: str) -> str:
    """The volume label ``old`` replaced in the ``options``."""
    splices = []
    for line in _parse(text):
        changed = labels.replace_in_word(line.value, old, new)
        if line.keyword == "options" and changed != line.value:
            splices.append(_replaced(line, changed))
    return apply(text, splices)


def _parse(text: str) -> tuple[Line, ...]:
    return bls_config.parse(encode(text))


def _replaced(line: Line, value: str) -> Splice:
    # a keyword that stands alone has no blank behind it
    return Splice(line.start, line.end, value if line.value else f" {value}")
