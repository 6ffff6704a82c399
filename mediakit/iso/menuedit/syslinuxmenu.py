"""Edits of one isolinux or syslinux configuration: kernel arguments, default entry, timeout, label. Pure.

Everything that is not replaced stays as it is, byte for byte.
Source: syslinux 6.03 ``doc/syslinux.txt``, ``doc/menu.txt``, ``com32/menu/readconfig.c`` (keywords in any
case; a ``default`` that names a label wins over ``menu default``; ``timeout`` in tenths of a second).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mediakit.iso.bootmenus import isolinux_config
from mediakit.iso.bootmenus.isolinux_config import Directive, Section
from mediakit.iso.menuedit import kernelargs, labels
from mediakit.iso.menuedit.textedit import Splice, apply, decode, encode, line_end

TENTHS = 10
MAX_TIMEOUT_SECONDS = 3599
_IMAGES = ("kernel", "linux")
_OTHER_IMAGES = (".c32", ".com", ".cbt", ".bss", ".bs", ".0", ".img", ".lkrn")
_OTHER_KINDS = frozenset(
    {
        "com32",
        "comboot",
        "boot",
        "bss",
        "pxe",
        "fdimage",
        "config",
        "localboot",
        "menu goto",
        "menu exit",
        "menu quit",
    }
)
_NO_LINUX = re.compile(r"memtest|mt86|ipxe", re.IGNORECASE)
_MENUS = ("menu.c32", "vesamenu.c32")


@lru_cache(maxsize=8)
def sections(text: str) -> tuple[Section, ...]:
    """The lines by label; the first section is the whole file's. Kept, as one edit asks for it many times."""
    raw = encode(text)
    return isolinux_config.parse(raw, len(raw)).sections


def entries(text: str) -> list[tuple[str, str]]:
    """Label and title of every entry of the top menu, in order."""
    return [
        (section.name, section.title)
        for section in sections(text)
        if section.name and not section.depth and section.find("append", *_IMAGES, *_OTHER_KINDS)
    ]


def speaks(text: str, *keywords: str) -> bool:
    """Whether the file itself says one of the keywords that belong to the whole file."""
    return sections(text)[0].find(*keywords) is not None


def follows(text: str) -> list[tuple[str, bool]]:
    """The other configurations that this one reads, and whether they are another menu (not an include)."""
    found = []
    for section in sections(text):
        for line in section.directives:
            words = line.value.split()
            if line.keyword in ("include", "menu include") and words:
                found.append((words[0], False))
            elif line.keyword == "config" and words:
                found.append((words[0], bool(section.name)))
            elif line.keyword in ("ui", "default") and len(words) > 1 and words[0].lower().endswith(_MENUS):
                found += [(word, False) for word in words[1:]]
        kernel, append = section.find("kernel", "com32"), section.append
        if section.name and kernel and append and kernel.value.lower().endswith(_MENUS):
            found += [(word, True) for word in append.value.split() if not word.startswith("~")]
    return found


def add_kernel_arguments(text: str, arguments: Sequence[str], removed: Sequence[str] = ()) -> str:
    """``arguments`` merged into the line of every Linux, ``removed`` (as ``kernelargs.is_removed`` takes it)
    taken out; entries without a line get one.
    """
    raw = encode(text)
    parts = sections(text)
    shared = any(part.append for part in parts if not part.name)
    splices: list[Splice] = []
    for part in parts:
        kind = _kind(part)
        appended = part.append
        if appended is not None and kind:
            splices += _merge(appended, arguments, removed, is_xen=kind == "xen")
        elif arguments and kind == "linux" and part.name and not shared:
            image = part.find(*_IMAGES)
            if image is not None:
                splices.append(_line_behind(raw, image, f"append {_command_line(arguments)}", image))
    return apply(text, splices)


def set_timeout(text: str, seconds: int, *, insert: bool) -> str:
    """The menu's timeout: whole seconds, 0 for at once, -1 for never; put in front where there is none."""
    # in isolinux 0 means for ever; a tenth of a second is as good as at once
    value = "0" if seconds < 0 else str(seconds * TENTHS or 1)
    found = [line for line in sections(text)[0].directives if line.keyword == "timeout"]
    splices = [_replaced(line, value) for line in found if line.value != value]
    if not found and insert:
        splices.append(Splice(0, 0, f"timeout {value}{line_end(text)}"))
    return apply(text, splices)


def waits(text: str) -> bool:
    """Whether something is shown unasked, so that a timeout counts: a menu, or the prompt."""
    top = sections(text)[0]
    default, prompt = top.find("default"), top.find("prompt")
    starts_menu = default is not None and (default.value.lower().split() or [""])[0].endswith(".c32")
    return top.find("ui") is not None or starts_menu or (prompt is not None and prompt.value != "0")


def ask(text: str, *, insert: bool) -> str:
    """``prompt 1``; with ``insert`` also where the file says nothing of a prompt."""
    prompt = sections(text)[0].find("prompt")
    if prompt is not None:
        return apply(text, [_replaced(prompt, "1")])
    return apply(text, [Splice(0, 0, f"prompt 1{line_end(text)}")] if insert else [])


def set_default(text: str, label: str, *, insert: bool) -> str:
    """``label`` as the entry that is started unasked: ``default``, ``ontimeout`` and ``menu default``.

    The entry itself may be in another file of the menu. ``insert`` puts a ``default`` in front where this
    file says nothing.
    """
    parts = sections(text)
    splices = []
    spoken = False
    for line in parts[0].directives:
        first = line.value.split()[:1]
        if line.keyword not in ("default", "ontimeout") or not first:
            continue
        is_menu = first[0].lower().endswith(".c32")
        spoken = spoken or line.keyword == "default"
        if not is_menu and line.value != label:
            splices.append(_replaced(line, label))
    uses_menu = parts[0].find("ui") is not None or any(
        line.keyword == "default" and line.value.lower().endswith(".c32") for line in parts[0].directives
    )
    marked = [(part, line) for part in parts for line in part.directives if line.keyword == "menu default"]
    for part, line in marked:
        if not part.depth and part.name != label:
            splices.append(Splice(line.line_start, line.line_end, ""))
    target = next((part for part in parts if part.name == label), None)
    if target is not None and not target.is_default:
        like = target.directives[1] if len(target.directives) > 1 else None
        splices.append(_line_behind(encode(text), target.directives[0], "menu default", like))
    if insert and not spoken and not uses_menu:
        splices.append(Splice(0, 0, f"default {label}{line_end(text)}"))
    return apply(text, splices)


def replace_label(text: str, old: str, new: str) -> str:
    """The volume label ``old`` replaced wherever an ``append`` line names a filesystem by it."""
    splices = []
    for line in isolinux_config.directives(encode(text)):
        if line.keyword in ("append", "kernel", "linux", "default"):
            changed = labels.replace_in_word(line.value, old, new)
            if changed != line.value:
                splices.append(_replaced(line, changed))
    return apply(text, splices)


def _replaced(line: Directive, value: str) -> Splice:
    # a keyword that stands alone has no blank behind it
    return Splice(line.start, line.end, value if line.value else f" {value}")


def _line_behind(raw: bytes, line: Directive, words: str, like: Directive | None) -> Splice:
    """A new line behind ``line``, indented as ``like`` is."""
    end = line_end(decode(raw))
    at = line.line_end
    before = "" if raw[:at].endswith(b"\n") else end
    indent = "  "
    if like is not None:
        start = raw[like.line_start : like.line_end]
        indent = decode(start[: len(start) - len(start.lstrip())])
    return Splice(at, at, f"{before}{indent}{words}{end}")


def _command_line(arguments: Sequence[str]) -> str:
    return " ".join(map(kernelargs.quote, kernelargs.apply((), arguments)))


def _kind(part: Section) -> str:
    """What an entry starts: linux, xen, or nothing that takes a kernel's arguments."""
    image = part.find(*_IMAGES, *_OTHER_KINDS)
    if image is None:
        return "linux" if part.append else ""
    if image.keyword in _OTHER_KINDS and image.keyword != "com32":
        return ""
    path = (image.value.split() or [""])[0].lower()
    if path.endswith("mboot.c32"):
        return "xen"
    if path.endswith("linux.c32") or image.keyword == "linux":
        return "" if _NO_LINUX.search(path) else "linux"
    is_other = path.endswith(_OTHER_IMAGES) or image.keyword == "com32"
    return "" if is_other or not path or _NO_LINUX.search(path) else "linux"


def _merge(
    line: Directive, arguments: Sequence[str], removed: Sequence[str], *, is_xen: bool
) -> list[Splice]:
    """Merge arguments into an ``append`` line; of mboot.c32's images (Xen --- Linux --- initrd) the 2nd."""
    if line.value == "-":
        return [_replaced(line, _command_line(arguments))] if arguments else []
    words = kernelargs.places(line.value, line.start)
    if not is_xen:
        return kernelargs.splices(words, arguments, removed, end=line.end)
    marks = [i for i, word in enumerate(words) if word.text == kernelargs.INSTALLED_MARK]
    if not marks:
        return []
    image = words[min(marks[0] + 1, len(words) - 1)]
    own = words[marks[0] + 2 : marks[1] if len(marks) > 1 else len(words)]
    return kernelargs.splices(own, arguments, removed, end=own[-1].end if own else image.end)
