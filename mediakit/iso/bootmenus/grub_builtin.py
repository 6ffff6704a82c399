"""What a GRUB does before it looks for its menu: the configuration that was built into it (``-c``). Pure.

``grub-mkimage -c`` and ``grub-mkstandalone`` put it there: SystemRescue's starts another menu than grub.cfg,
Alpine's searches the medium by its label. Then GRUB reads ``$prefix/grub.cfg`` (``normal/main.c``).
"""

from __future__ import annotations

import re
from dataclasses import replace

from mediakit.errors import FormatError
from mediakit.formats.grub_core import GrubCore
from mediakit.iso.bootmenus import grub_config, grub_menu
from mediakit.iso.bootmenus.grub_menu import Medium
from mediakit.iso.bootmenus.menu import Files, Menu, Spot

_PATH = "/(built in)/grub.cfg"
_THEN = b"\nconfigfile $prefix/grub.cfg\n"
_LABEL_COMMANDS = ("search.fs_label", "search_label")
_LABEL_OPTION = re.compile(r"--label|--fs-label|-[a-z]*l[a-z]*")


def follow(medium: Medium, device: str, core: GrubCore, firmware: str) -> Menu | None:
    """The menu that the built-in configuration leads to; None where it leads to none on this medium."""
    if not core.config or core.has_memdisk:
        return None
    for text in (core.config, core.config + _THEN):
        files = _WithText(medium.volumes[device], text)
        inner = replace(medium, volumes=medium.volumes | {device: files})
        prefix = core.prefix.rpartition(")")[2]
        menu = grub_menu.follow(inner, device, _PATH, firmware, prefix if prefix.startswith("/") else "")
        configs = tuple(name for name in menu.configs if _PATH not in name)
        if configs and menu.entries:
            return replace(menu, configs=configs)
    return None


def searches_label(core: GrubCore, label: str) -> bool:
    """Whether the built-in configuration looks for the medium by ``label``."""
    try:
        commands = list(grub_config.parse(core.config).commands())
    except FormatError:
        return False
    for command in commands:
        words = [word.text for word in command.arguments]
        by_label = command.name in _LABEL_COMMANDS or (
            command.name == "search" and any(_LABEL_OPTION.fullmatch(word) for word in words)
        )
        if by_label and label in words:
            return True
    return False


class _WithText:
    """A filesystem with one more file."""

    def __init__(self, files: Files, text: bytes) -> None:
        self.name = files.name
        self._files = files
        self._text = text

    def find(self, path: str) -> Spot | None:
        return Spot(len(self._text), None) if path == _PATH else self._files.find(path)

    def has(self, path: str) -> bool:
        return path == _PATH or self._files.has(path)

    def read(self, path: str) -> bytes:
        return self._text if path == _PATH else self._files.read(path)

    def names(self, folder: str) -> list[str]:
        return self._files.names(folder)
