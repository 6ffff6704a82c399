"""How an image boots, from what, and what is odd about it, as lines: for ``inspect`` and ``audit``.

80 columns; colour only underlines what the words say.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from mediakit.formats.findings import Finding
    from mediakit.iso import ImageFacts
    from mediakit.iso.bootmenus.menu import Menu
    from mediakit.iso.efivolume import EfiFile

WIDTH = 80
ROUTES = {
    "bios_cd": "BIOS from disc",
    "bios_usb": "BIOS from a stick",
    "uefi_cd": "UEFI from disc",
    "uefi_usb": "UEFI from a stick",
    "secure_boot": "Secure Boot",
}
Line = tuple[str, str]
"""Text, and how it is set off: bold, good, bad, warn or nothing."""
_CODES = {"bold": "1", "good": "32", "bad": "31", "warn": "33"}
_SEVERITIES = ("error", "warning", "note")
_STYLES = {"error": "bad", "warning": "warn", "note": ""}
_KINDS = {"shim": "shim", "grub": "GRUB", "systemd-boot": "systemd-boot", "": "loader"}


def show(lines: Iterable[Line], file: TextIO | None = None) -> None:
    """Print to standard output or ``file``, in colour on a terminal that wants it."""
    out = file or sys.stdout
    colour = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    for text, style in lines:
        clean = printable(text)
        print(f"\033[{_CODES[style]}m{clean}\033[0m" if colour and style in _CODES else clean, file=out)


def printable(text: str) -> str:
    """Control characters and undecodable bytes of names replaced: they must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def wrapped(head: str, text: str, style: str = "") -> Iterator[Line]:
    """``head``, then ``text`` wrapped behind it; names without blanks are not broken."""
    room = max(20, WIDTH - len(head))
    rows = textwrap.wrap(printable(text), room, break_long_words=False, break_on_hyphens=False) or [""]
    yield (head + rows[0]).rstrip(), style
    for row in rows[1:]:
        yield " " * len(head) + row, style


def routes(facts: ImageFacts) -> Iterator[Line]:
    """The four routes and Secure Boot: yes or no, and why."""
    yield "\nBoots", "bold"
    for name, route in facts.boot.items():
        word = "yes" if route.ok else "no"
        claimed = not route.ok and name in facts.claims
        style = "good" if route.ok else "bad" if claimed else ""
        yield from wrapped(f"  {word:<3}  {ROUTES[name]:<17}  ", route.why, style)


def sources(facts: ImageFacts) -> Iterator[Line]:
    """What is started: boot images, loaders with their signers and SBAT generations, menus."""
    lines = [*_bios(facts), *_uefi(facts)]
    if lines:
        yield "\nStarts", "bold"
        yield from lines


def _bios(facts: ImageFacts) -> Iterator[Line]:
    names = {"isolinux": "ISOLINUX", "grub2": "GRUB"}
    for boot in facts.boot_images:
        if not boot.entry.is_bios:
            continue
        version = f" {boot.version}" if boot.version else ""
        kind = names.get(boot.loader, "a boot image") + version
        emulation = f", as {boot.entry.emulation}" if boot.entry.emulation != "none" else ""
        yield from wrapped("  BIOS  ", f"{kind}: {boot.name}{emulation}")
        menu = facts.menus.of("bios")
        if menu is not None:
            yield from _menu(menu)


def _uefi(facts: ImageFacts) -> Iterator[Line]:
    for volume in facts.efi_volumes:
        names = list(volume.loaders)
        machines = f" ({', '.join(names)})" if names else ", without a loader"
        fat = f"FAT{volume.fat.type}" if volume.fat is not None else "no FAT"
        yield from wrapped("  UEFI  ", f"{volume.origin}: {fat}{machines}")
        for file in volume.chain:
            yield from wrapped("          ", _loader(file))
        for route in ("uefi_cd", "uefi_usb"):
            menu = facts.menus.of(route)
            if menu is not None and not volume.why_not:
                yield from _menu(menu)
                break


def _loader(file: EfiFile) -> str:
    signers = list(dict.fromkeys(str(signer) for signer in file.program.signers))
    signed = f"signed by {', '.join(signers)}" if signers else "not signed"
    sbat = f"; SBAT {file.sbat}" if file.sbat else ""
    altered = "; CHANGED after it was signed" if file.is_altered else ""
    return f"{_KINDS[file.kind]} {file.dos_path}: {signed}{altered}{sbat}"


def _menu(menu: Menu) -> Iterator[Line]:
    default = next((entry.title for entry in menu.entries if entry.is_default), "")
    count = len(menu.entries)
    text = f"menu {menu.configs[0] if menu.configs else '?'}: {count} {'entry' if count == 1 else 'entries'}"
    yield from wrapped("          ", f"{text}, starts “{default}”" if default else text)


def findings(found: Iterable[Finding], *, with_places: bool = False) -> Iterator[Line]:
    """What is odd, the worst first, each with what to do; with the bytes it is about where asked."""
    ordered = sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity))
    if ordered:
        yield "\nWhat is odd", "bold"
    for finding in ordered:
        style = _STYLES[finding.severity]
        yield from wrapped(f"  {finding.severity:<8} ", finding.what, style)
        if finding.hint:
            yield from wrapped("           ", finding.hint)
        if with_places and finding.offset_bytes is not None and finding.size_bytes:
            end = finding.offset_bytes + finding.size_bytes
            yield f"           bytes {finding.offset_bytes} to {end}", ""
