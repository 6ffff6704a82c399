"""Follows an ISOLINUX or SYSLINUX configuration: which entries there are and which files they name.

Sources: syslinux 6.03 ``core/fs/iso9660/iso9660.c`` (where configurations are looked for), ``com32/elflink/
ldlinux/readconfig.c`` (what keywords mean), ``doc/menu.txt``; names without a slash in front are relative to
the folder of the first configuration. Nothing is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from itertools import islice

from mediakit.errors import FormatError
from mediakit.iso.bootmenus import isolinux_config, menu_places
from mediakit.iso.bootmenus.isolinux_config import Config, Directive, Section
from mediakit.iso.bootmenus.menu import Files, Menu, MenuEntry, MenuFile, Place, Spot, read_config
from mediakit.plain import dataclass

MAX_CONFIGS = 64
MAX_ENTRIES = 400
MAX_FILES = 64
"""Files of one entry that are looked for."""
MAX_LOOKUPS = 3000
"""Names that are looked for, over a whole menu; long paths count several times."""
MAX_TEXT_BYTES = 512 << 10
"""Configurations that are read, over a whole menu."""
_SUFFIXES = ("", ".c32", ".cbt", ".com", ".bin", ".bss", ".bs", ".0")
_NO_FILE = ("localboot", "fdimage", "pxe")
_MENUS = ("menu.c32", "vesamenu.c32", "gfxboot.c32", "gfxboot", "whichsys.c32", "ifcpu64.c32")


def find_config(files: Files, folders: tuple[str, ...] = menu_places.ISOLINUX) -> str | None:
    """The configuration that the loader would read first."""
    paths = (f"{folder}/{name}" for folder in folders for name in menu_places.ISOLINUX_NAMES)
    return next((path for path in paths if files.find(path) is not None), None)


def follow(files: Files, path: str, firmware: str = "bios") -> Menu:
    """The menu that starts with the configuration ``path``."""
    walker = _Walker(files, path.rpartition("/")[0])
    walker.read(path)
    return Menu(
        "isolinux",
        "uefi" if firmware == "uefi" else "bios",
        tuple(walker.configs),
        tuple(walker.entries()),
        tuple(dict.fromkeys(walker.includes)),
    )


@dataclass
class _Walker:
    files: Files
    folder: str
    configs: list[str] = field(default_factory=list)
    includes: list[MenuFile] = field(default_factory=list)
    _labels: list[tuple[Section, Config, tuple[str, int | None]]] = field(default_factory=list)
    _default: str = ""
    _bytes_left: int = MAX_TEXT_BYTES
    _lookups_left: int = MAX_LOOKUPS

    def read(self, path: str) -> None:
        """One configuration and what it includes."""
        shown = self.files.name + path
        if shown in self.configs or len(self.configs) >= MAX_CONFIGS:
            return
        spot = self.files.find(path)
        try:
            text, _ = read_config(self.files, path, spot)  # no half line
        except FormatError:
            return
        self._bytes_left -= len(text)
        if self._bytes_left < 0:
            return
        config = isolinux_config.parse(text)
        self.configs.append(shown)
        home = (shown, spot.offset_bytes if spot else None)
        if config.ui is not None:
            self._module(config.ui, home)
        if config.default is not None:
            word = (config.default.value.split() or [""])[0]
            self._default = word
            if word.endswith(".c32"):
                self._module(config.default, home)
                for name in config.default.value.split()[1:MAX_FILES]:
                    if self._find(self._absolute(name)) is not None:
                        self.read(self._absolute(name))
        self._labels += [(label, config, home) for label in config.labels]
        for directive in config.includes():
            for word, start, end in directive.words()[:1]:
                file = self._file("configuration", word, home, directive.line, start, end)
                if file.state == "there":
                    self.read(self._absolute(word))
                else:
                    self.includes.append(file)

    def entries(self) -> Iterator[MenuEntry]:
        """Labels as entries, in order; those that name another configuration bring in its labels."""
        number = 0
        while number < len(self._labels) and number < MAX_ENTRIES:
            label, config, home = self._labels[number]
            number += 1
            if label.is_heading or label.kernel is None:
                continue
            place = self._place(home, label.line, label.kernel.line_start, label.kernel.line_end)
            files = list(islice(self._files_of(label, config, home), MAX_FILES))
            append = label.append or config.append
            line = append.value if append else ""
            is_default = label.is_default or label.name.split()[:1] == [self._default]
            named = ((line, self._place(home, append.line, append.start, append.end)),) if append else ()
            yield MenuEntry(label.title or label.name, label.name, place, tuple(files), named, is_default)

    def _files_of(self, label: Section, config: Config, home: tuple[str, int | None]) -> Iterator[MenuFile]:
        kernel = label.kernel
        assert kernel is not None
        words = kernel.words()
        if kernel.keyword in _NO_FILE or not words:
            return
        append = label.append or config.append
        arguments = f"{' '.join(word for word, _, _ in words[1:])} {append.value if append else ''}"
        name, start, end = words[0]
        module = name.rpartition("/")[2].casefold()
        if kernel.keyword == "config" or module in _MENUS:
            yield from self._submenu(kernel, append, home)
            return
        role = "module" if module.endswith(".c32") else "kernel"
        yield self._file(role, name, home, kernel.line, start, end)
        if label.initrd is not None:
            for word, at, to in label.initrd.words()[:1]:
                for path in word.split(","):
                    yield self._file("initrd", path, home, label.initrd.line, at, to)
        place = append or kernel
        for path in isolinux_config.initrds(arguments):
            yield self._file("initrd", path, home, place.line, place.start, place.end)
        if module == "mboot.c32" and append is not None:
            yield from self._multiboot(append, home)

    def _submenu(
        self, kernel: Directive, append: Directive | None, home: tuple[str, int | None]
    ) -> Iterator[MenuFile]:
        """A label that shows another menu: ``config x.cfg``, or ``vesamenu.c32 x.cfg``."""
        source = kernel if kernel.keyword == "config" else append
        if kernel.keyword != "config":
            for word, start, end in kernel.words()[:1]:
                yield self._file("module", word, home, kernel.line, start, end)
        for word, start, end in source.words()[:1] if source is not None else ():
            if not word.startswith(("-", "~")):
                file = self._file("configuration", word, home, kernel.line, start, end)
                if file.state == "there":
                    self.read(self._absolute(word))
                yield file

    def _multiboot(self, append: Directive, home: tuple[str, int | None]) -> Iterator[MenuFile]:
        """``mboot.c32 xen.gz args --- vmlinuz args --- initrd``: the first word of each piece."""
        is_first = True
        for word, start, end in append.words():
            if is_first and word != "-c":
                yield self._file("module", word, home, append.line, start, end)
            is_first = word == "---"

    def _module(self, directive: Directive, home: tuple[str, int | None]) -> None:
        for word, start, end in directive.words()[:1]:
            self.includes.append(self._file("module", word, home, directive.line, start, end))

    def _file(
        self, role: str, name: str, home: tuple[str, int | None], line: int, start: int, end: int
    ) -> MenuFile:
        place = self._place(home, line, start, end)
        if "::" in name or name.startswith("("):
            return MenuFile(role, name, "unknown", place, "it comes from the network or another disk")
        path = self._absolute(name)
        folders = [path] if "/" in name or role not in ("module",) else [
            path, *(f"{folder}/{name}" for folder in menu_places.ISOLINUX)
        ]  # fmt: skip
        for candidate in folders:
            for suffix in _SUFFIXES if role in ("kernel", "module") else ("",):
                spot = self._find(candidate + suffix)
                if spot is not None:
                    shown = self.files.name + candidate + suffix
                    return MenuFile(role, shown, "there", place, "", spot.size_bytes)
        if self._lookups_left < 0:
            return MenuFile(role, self.files.name + path, "unknown", place, "the menu names too many files")
        return MenuFile(role, self.files.name + path, "missing", place)

    def _find(self, path: str) -> Spot | None:
        self._lookups_left -= 1 + len(path) // 64
        return self.files.find(path) if self._lookups_left >= 0 else None

    def _absolute(self, name: str) -> str:
        words: list[str] = []
        for word in (name if name.startswith("/") else f"{self.folder}/{name}").split("/"):
            if word == "..":
                words = words[:-1]
            elif word not in ("", "."):
                words.append(word)
        return "/" + "/".join(words)

    @staticmethod
    def _place(home: tuple[str, int | None], line: int, start: int, end: int) -> Place:
        return Place(home[0], line, None if home[1] is None else home[1] + start, end - start)


def mark_default(menu: Menu) -> Menu:
    """The menu with its first entry as the default where it names none, as the menu's own program does."""
    if menu.entries and not any(entry.is_default for entry in menu.entries):
        first = replace(menu.entries[0], is_default=True)
        return replace(menu, entries=(first, *menu.entries[1:]))
    return menu
