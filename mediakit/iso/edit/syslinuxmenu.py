"""Edits of one isolinux or syslinux configuration: kernel arguments, default entry, timeout, label. Pure.

Everything that is not replaced stays as it is, byte for byte.
Source: syslinux 6.03 ``doc/syslinux.txt``, ``doc/menu.txt``, ``com32/menu/readconfig.c`` (keywords in any
case; a ``default`` that names a label wins over ``menu default``; ``timeout`` in tenths of a second).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field

from mediakit.iso import isolinux_config
from mediakit.iso.edit import kernelargs, labels
from mediakit.iso.edit.textedit import Splice, apply, characters, encode, line_end
from mediakit.plain import dataclass

TENTHS = 10
MAX_TIMEOUT_SECONDS = 3599
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
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


@dataclass(frozen=True)
class Line:
    """One line with a keyword (``menu X`` counts as one), and the span of what stands behind it."""

    start: int
    end: int
    keyword: str
    value: str
    value_start: int
    indent: str

    @property
    def value_end(self) -> int:
        return self.value_start + len(self.value)


@dataclass
class Section:
    """The lines of one label; the first section, with no name, is what comes before any label."""

    name: str
    lines: list[Line] = field(default_factory=list)
    depth: int = 0

    def find(self, *keywords: str) -> Line | None:
        """The last line with one of the keywords: it is the one that counts."""
        return next((line for line in reversed(self.lines) if line.keyword in keywords), None)


def lines(text: str) -> Iterator[Line]:
    """Every line that says something; comments, blank lines and help texts say nothing."""
    raw = encode(text)
    places = characters(text, raw)
    for found in isolinux_config.directives(raw):
        start, end = places[found.line_start], places[found.line_end]
        indent = text[start : end - len(text[start:end].lstrip())]
        yield Line(start, end, found.keyword, found.value, places[found.start], indent)


def sections(text: str) -> list[Section]:
    """The lines by label; what belongs to the whole file wherever it stands is in the first section."""
    found = [Section("")]
    depth = 0
    for line in lines(text):
        if line.keyword == "menu begin":
            depth += 1
            found.append(Section("", depth=depth))
        elif line.keyword == "menu end":
            depth = max(0, depth - 1)
            found.append(Section("", depth=depth))
        elif line.keyword == "label":
            found.append(Section(line.value, [line], depth))
        elif line.keyword in ("default", "timeout", "ontimeout", "include", "ui", "prompt"):
            found[0].lines.append(line)
        else:
            found[-1].lines.append(line)
    return found


def entries(text: str) -> list[tuple[str, str]]:
    """Label and title of every entry of the top menu, in order."""
    found = []
    for section in sections(text):
        shown = section.find("menu label")
        is_choice = (
            section.find("kernel", "linux", "append", "localboot", "config", *_OTHER_KINDS) is not None
        )
        if section.name and not section.depth and is_choice:
            title = (shown.value if shown else section.name).replace("^", "")
            found.append((section.name, title))
    return found


def follows(text: str) -> list[tuple[str, bool]]:
    """The other configurations that this one reads, and whether they are another menu (not an include)."""
    found = []
    for section in sections(text):
        for line in section.lines:
            words = line.value.split()
            if line.keyword in ("include", "menu include") and words:
                found.append((words[0], False))
            elif line.keyword == "config" and words:
                found.append((words[0], bool(section.name)))
            elif line.keyword in ("ui", "default") and len(words) > 1 and words[0].lower().endswith(_MENUS):
                found += [(word, False) for word in words[1:]]
        kernel, append = section.find("kernel", "com32"), section.find("append")
        if section.name and kernel and append and kernel.value.lower().endswith(_MENUS):
            found += [(word, True) for word in append.value.split() if not word.startswith("~")]
    return found


def add_kernel_arguments(text: str, arguments: Sequence[str]) -> str:
    """``arguments`` merged into the line of every Linux; entries without any get one."""
    parts = sections(text)
    shared = any(part.find("append") for part in parts if not part.name)
    splices: list[Splice] = []
    for part in parts:
        kind = _kind(part)
        appended = part.find("append")
        if appended is not None and kind:
            splices += _merge(appended, arguments, is_xen=kind == "xen")
        elif kind == "linux" and part.name and not shared:
            image = part.find("linux", "kernel")
            if image is not None:
                words = " ".join(map(kernelargs.quote, kernelargs.apply((), arguments)))
                before = "" if text[image.end - 1 : image.end] == "\n" else line_end(text)
                line = f"{before}{image.indent}append {words}{line_end(text)}"
                splices.append(Splice(image.end, image.end, line))
    return apply(text, splices)


def set_timeout(text: str, seconds: int, *, insert: bool) -> str:
    """The menu's timeout: whole seconds, 0 for at once, -1 for never; put in front where there is none."""
    # in isolinux 0 means for ever; a tenth of a second is as good as at once
    value = "0" if seconds < 0 else str(seconds * TENTHS or 1)
    found = [line for line in lines(text) if line.keyword == "timeout"]
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
    for line in parts[0].lines:
        first = line.value.split()[:1]
        if line.keyword not in ("default", "ontimeout") or not first:
            continue
        is_menu = first[0].lower().endswith(".c32")
        spoken = spoken or line.keyword == "default"
        if not is_menu and line.value != label:
            splices.append(_replaced(line, label))
    uses_menu = parts[0].find("ui") is not None or any(
        line.keyword == "default" and line.value.lower().endswith(".c32") for line in parts[0].lines
    )
    marked = [(part, line) for part in parts for line in part.lines if line.keyword == "menu default"]
    for part, line in marked:
        if not part.depth and part.name != label:
            splices.append(Splice(line.start, line.end, ""))
    target = next((part for part in parts if part.name == label), None)
    if target is not None and not target.find("menu default"):
        head = target.lines[0]
        before = "" if text[: head.end].endswith("\n") else line_end(text)
        indent = target.lines[1].indent if len(target.lines) > 1 else "  "
        splices.append(Splice(head.end, head.end, f"{before}{indent}menu default{line_end(text)}"))
    if insert and not spoken and not uses_menu:
        splices.append(Splice(0, 0, f"default {label}{line_end(text)}"))
    return apply(text, splices)


def replace_label(text: str, old: str, new: str) -> str:
    """The volume label ``old`` replaced wherever an ``append`` line names a filesystem by it."""
    splices = []
    for line in lines(text):
        if line.keyword in ("append", "kernel", "linux", "default"):
            changed = labels.replace_in_word(line.value, old, new)
            if changed != line.value:
                splices.append(_replaced(line, changed))
    return apply(text, splices)


def _replaced(line: Line, value: str) -> Splice:
    # a keyword that stands alone has no blank behind it
    return Splice(line.value_start, line.value_end, value if line.value else f" {value}")


def _kind(part: Section) -> str:
    """What an entry starts: linux, xen, or nothing that takes a kernel's arguments."""
    image = part.find("kernel", "linux", *_OTHER_KINDS)
    if image is None:
        return "linux" if part.find("append") else ""
    if image.keyword in _OTHER_KINDS and image.keyword != "com32":
        return ""
    path = (image.value.split() or [""])[0].lower()
    if path.endswith("mboot.c32"):
        return "xen"
    if path.endswith("linux.c32") or image.keyword == "linux":
        return "" if _NO_LINUX.search(path) else "linux"
    is_other = path.endswith(_OTHER_IMAGES) or image.keyword == "com32"
    return "" if is_other or not path or _NO_LINUX.search(path) else "linux"


def _merge(line: Line, arguments: Sequence[str], *, is_xen: bool) -> list[Splice]:
    """Merge arguments into an ``append`` line; of mboot.c32's images (Xen --- Linux --- initrd) the 2nd."""
    if line.value == "-":
        return [_replaced(line, " ".join(map(kernelargs.quote, kernelargs.apply((), arguments))))]
    words = list(_WORDS.finditer(line.value))
    if is_xen:
        marks = [i for i, word in enumerate(words) if word[0] == kernelargs.INSTALLED_MARK]
        if not marks:
            return []
        last = marks[1] if len(marks) > 1 else len(words)
        words = words[marks[0] + 2 : last]
        end = words[-1].end() if words else _end_of(line.value, marks[0] + 1)
    else:
        end = len(line.value)
    change = kernelargs.merge([kernelargs.unquote(word[0]) for word in words], arguments)
    splices = []
    for index, new in change.replaced.items():
        start = words[index].start() if new or not index else words[index - 1].end()
        splices.append(
            Splice(
                line.value_start + start,
                line.value_start + words[index].end(),
                " ".join(map(kernelargs.quote, new)),
            )
        )
    added = " ".join(map(kernelargs.quote, change.added))
    if added and change.position < len(words):
        at = line.value_start + words[change.position].start()
        splices.append(Splice(at, at, f"{added} "))
    elif added:
        at = line.value_start + end
        splices.append(Splice(at, at, f" {added}"))
    return splices


def _end_of(value: str, index: int) -> int:
    words = list(_WORDS.finditer(value))
    return words[min(index, len(words) - 1)].end()
