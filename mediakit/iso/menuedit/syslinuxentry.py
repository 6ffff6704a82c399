"""Whole entries in one isolinux configuration: a copy of one with other arguments, and taking one out. Pure.

A copy stands right behind what it was made from, so in the same submenu; it keeps every line that says how
to start, and has its own label and title, no hotkey and no ``menu default``. The comment in front of it says
that it was added (``entrymark``).
Source: syslinux 6.03 ``doc/syslinux.txt`` (a label's own ``append`` takes the place of the global one),
``doc/menu.txt``.
"""

from __future__ import annotations

from mediakit.iso.bootmenus import isolinux_config
from mediakit.iso.bootmenus.isolinux_config import Directive, Section
from mediakit.iso.menuedit import entrymark, syslinuxmenu
from mediakit.iso.menuedit.entrymark import Mark
from mediakit.iso.menuedit.textedit import Splice, apply, decode, encode, line_end

_STARTS = ("append", "initrd", "ipappend", "sysappend", "fdt", "fdtdir", *isolinux_config.KERNEL_WORDS)
_KEPT = (*_STARTS, "say", "text help", "menu indent", "menu passwd")
_OWN = (*_KEPT, "label", "menu label", "menu default", "menu hide", "menu disable")
_PROBE = ("mediakit_probe",)


def can_be_copied(text: str, section: Section) -> bool:
    """Whether the label starts a Linux."""
    if not section.name:
        return False
    new = _block(text, section, "x", "x", "", _PROBE)
    return any(_PROBE[0] in line.value.split() for line in isolinux_config.directives(encode(new)))


def mark_of(text: str, section: Section) -> Mark | None:
    """What the comment in front of a label that was added says; None for the image's own."""
    return entrymark.before(encode(text), section.directives[0].line_start)


def add(
    text: str, source: Section, label: str, title: str, arguments: tuple[str, ...], shared: str = ""
) -> str:
    """``text`` with a copy of ``source`` behind it; ``shared`` is the global ``append`` that it inherits."""
    raw, end = encode(text), line_end(text)
    at = max(line.line_end for line in _lines(source, _OWN))
    before = "" if raw[:at].endswith(b"\n") else end
    mark = entrymark.write(Mark(source.title, arguments))
    block = _block(text, source, label, title, shared, arguments)
    return apply(text, [Splice(at, at, f"{before}{mark}{end}{block}")])


def replace(
    text: str,
    old: Section,
    source: Section,
    title: str,
    arguments: tuple[str, ...],
    *,
    origin: str,
    shared: str = "",
) -> str:
    """``text`` with a copy of ``source`` in the place of ``old``, which was added; ``origin`` is noted."""
    start, end = entrymark.span(encode(text), old.directives[0].line_start)
    splices = [Splice(start, end, entrymark.write(Mark(origin, arguments)))]
    splices += [Splice(line.line_start, line.line_end, "") for line in _lines(old, _OWN)[1:]]
    head = old.directives[0]
    block = _block(text, source, old.name, title, shared, arguments)
    return apply(text, [*splices, Splice(head.line_start, head.line_end, block)])


def merge(text: str, section: Section, arguments: tuple[str, ...], removed: tuple[str, ...] = ()) -> str:
    """``text`` with arguments merged into the ``append`` line of that label only."""
    if section.append is None:
        return text
    line = section.append
    own = decode(encode(text)[line.line_start : line.line_end])
    kernel = section.kernel
    head = decode(encode(text)[kernel.line_start : kernel.line_end]) if kernel is not None else ""
    head = f"label x\n{head}" + ("" if head.endswith("\n") or not head else "\n")
    new = syslinuxmenu.add_kernel_arguments(head + own, arguments, removed)
    return apply(text, [Splice(line.line_start, line.line_end, new.removeprefix(head))])


def remove(text: str, section: Section) -> str:
    """``text`` without that label's lines; what else stands between them stays."""
    raw = encode(text)
    splices = [Splice(line.line_start, line.line_end, "") for line in _lines(section, _OWN)]
    at = section.directives[0].line_start
    if entrymark.before(raw, at) is not None:
        start, _ = entrymark.span(raw, at)
        splices.append(Splice(raw.rfind(b"\n", 0, start) + 1, at, ""))
    return apply(text, splices)


def _block(
    text: str, source: Section, label: str, title: str, shared: str, arguments: tuple[str, ...]
) -> str:
    """The lines of the copy, with the arguments merged in."""
    raw, end = encode(text), line_end(text)
    head = source.directives[0]
    written = decode(raw[head.line_start : head.line_end])
    kept = _lines(source, _KEPT)
    like = decode(raw[kept[0].line_start : kept[0].line_end]) if kept else "  "
    indent = like[: len(like) - len(like.lstrip())]
    is_upper = "LABEL" in written
    outer = written[: len(written) - len(written.lstrip())]
    lines = [f"{outer}{'LABEL' if is_upper else 'label'} {label}"]
    lines.append(f"{indent}{'MENU LABEL' if is_upper else 'menu label'} {title}")
    lines += [decode(raw[line.line_start : line.line_end]).rstrip("\r\n") for line in kept]
    if source.append is None and shared:
        lines.append(f"{indent}{'APPEND' if is_upper else 'append'} {shared}")
    block = syslinuxmenu.add_kernel_arguments("".join(line + end for line in lines), arguments)
    if is_upper and source.append is None:
        block = block.replace(f"{indent}append ", f"{indent}APPEND ")
    return block


def _lines(section: Section, wanted: tuple[str, ...]) -> list[Directive]:
    return [line for line in section.directives if line.keyword in wanted]
