"""Edits of systemd-boot's configuration: ``loader.conf`` and the files of its entries. Pure: text to text.

``bls_config`` says where everything stands.
Source: UAPI Boot Loader Specification 1 (``options`` of type #1 entries), loader.conf(5).
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit.iso.bootmenus import bls_config
from mediakit.iso.bootmenus.bls_config import Line
from mediakit.iso.menuedit import entrymark, kernelargs, labels
from mediakit.iso.menuedit.entrymark import Mark
from mediakit.iso.menuedit.textedit import Splice, apply, encode, line_end


def title_of(text: str) -> str:
    found = bls_config.find(_parse(text), "title")
    return found.value if found is not None else ""


def add_kernel_arguments(text: str, arguments: Sequence[str], removed: Sequence[str] = ()) -> str:
    """``arguments`` merged into the ``options`` of an entry that starts a Linux, ``removed`` (as
    ``kernelargs.is_removed`` understands them) taken out.
    """
    lines = _parse(text)
    linux = bls_config.find(lines, "linux")
    if linux is None:
        return text
    words = [
        place
        for line in lines
        if line.keyword == "options"
        for place in kernelargs.places(line.value, line.start)
    ]
    if words:
        return apply(text, kernelargs.splices(words, arguments, removed, end=words[-1].end))
    if not arguments:
        return text
    added = " ".join(map(kernelargs.quote, kernelargs.apply((), arguments)))
    return apply(text, [Splice(linux.end, linux.end, f"{line_end(text)}options {added}")])


def copy(text: str, title: str, arguments: tuple[str, ...], origin: str) -> str:
    """The text of another entry: the same with its own title, ``arguments`` merged in, and a mark that says
    ``origin``.
    """
    lines = _parse(text)
    end = line_end(text)
    splices = [Splice(line.line_start, line.line_end, "") for line in lines if line.keyword == "title"]
    raw = encode(text)
    if entrymark.before(raw, _first(raw)) is not None:
        splices.append(Splice(0, _first(raw), ""))
    mark = entrymark.write(Mark(origin, arguments))
    return f"{mark}{end}title {title}{end}{add_kernel_arguments(apply(text, splices), arguments)}"


def mark_of(text: str) -> Mark | None:
    """What the comment in front of an entry that was added says; None for the image's own."""
    raw = encode(text)
    return entrymark.before(raw, _first(raw))


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


def _first(raw: bytes) -> int:
    """Where the second line begins, in front of which a mark stands."""
    return raw.find(b"\n") + 1


def _parse(text: str) -> tuple[Line, ...]:
    return bls_config.parse(encode(text))


def _replaced(line: Line, value: str) -> Splice:
    # a keyword that stands alone has no blank behind it
    return Splice(line.start, line.end, value if line.value else f" {value}")
