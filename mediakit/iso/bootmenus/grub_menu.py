"""Follows a GRUB configuration as GRUB would, as far as a medium alone can tell: which entries there are and
which files they name. Nothing is started; what depends on the machine is “cannot be told”.

The language is ``grub_script``'s; here are the commands. Sources: GRUB manual 2.06, “Commands”;
``grub-core/commands/search.c``, ``loopback.c``, ``normal/menu.c`` (entries run when the menu is complete).
"""

from __future__ import annotations

from dataclasses import field

from mediakit.errors import FormatError
from mediakit.iso.bootmenus import grub_config
from mediakit.iso.bootmenus.grub_config import Command, Script
from mediakit.iso.bootmenus.grub_scope import Home, Medium, Scope, Unknown, Value
from mediakit.iso.bootmenus.grub_script import ESP, MEDIUM, Exit, Interpreter, Return
from mediakit.iso.bootmenus.grub_words import Word
from mediakit.iso.bootmenus.menu import Menu, MenuEntry, MenuFile, Place, Spot, read_config
from mediakit.plain import dataclass

__all__ = ["ESP", "MEDIUM", "Medium", "follow"]

MAX_CONFIGS = 64
MAX_ENTRIES = 400
MAX_MENUS = 30
"""Submenus and configurations inside one another."""
MAX_LOOKUPS = 3000
"""Files that are looked for, over a whole menu; long paths count several times."""
MAX_ENVIRONMENT_BYTES = 4096
"""An environment block has 1024."""
_DISCS = ("cd", "cd0")


@dataclass
class _Collected:
    entries: list[MenuEntry] = field(default_factory=list)
    includes: list[MenuFile] = field(default_factory=list)
    problems: list[tuple[Place, str]] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Pending:
    """An entry whose body has not run yet, with the words it was defined with."""

    command: Command
    words: list[str]
    config: Home
    place: Place


def follow(medium: Medium, device: str, path: str, firmware: str, prefix: str) -> Menu:
    """The menu that starts with the configuration ``path`` on ``device``."""
    walker = _Walker(medium, firmware)
    scope = Scope(
        {
            "root": device,
            "prefix": f"({device}){prefix}",
            "cmdpath": f"({device})/EFI/BOOT" if firmware == "uefi" else f"({device})",
            "grub_platform": "efi" if firmware == "uefi" else "pc",
            "grub_cpu": "x86_64" if firmware == "uefi" else "i386",
        }
    )
    scope.exported = {"root", "prefix", "cmdpath", "grub_platform", "grub_cpu"}
    try:
        walker.run_config(scope, device, path, ())
    except Exit:
        pass
    found = walker.found
    return Menu(
        "grub",
        "uefi" if firmware == "uefi" else "bios",
        tuple(dict.fromkeys(found.configs)),
        tuple(found.entries),
        tuple(dict.fromkeys(found.includes)),
        tuple(dict.fromkeys(found.problems)),
    )


class _Walker(Interpreter):
    """The interpreter with the commands that matter here."""

    def __init__(self, medium: Medium, firmware: str) -> None:
        super().__init__()
        self.found = _Collected()
        self._medium = medium
        self._pending: list[_Pending] = []
        self._files: list[MenuFile] = []
        self._arguments: list[tuple[str, Place]] = []
        self._stack: list[tuple[str, str]] = []
        self._menus = 0
        self._lookups_left = MAX_LOOKUPS
        self._tokens_left = grub_config.MAX_TOKENS
        self._scripts: dict[tuple[str, str], Script] = {}

    # --- configurations -----------------------------------------------------------------------------------

    def run_config(self, scope: Scope, device: str, path: str, titles: tuple[str, ...]) -> None:
        """Run a configuration with a menu of its own: first the script, then what its entries would do."""
        pending, self._pending = self._pending, []
        scope.variables["config_file"] = f"({device}){path}"
        scope.variables["config_directory"] = f"({device}){path.rpartition('/')[0]}"
        try:
            self._source(scope, device, path)
        except Exit:
            pass
        self._finish_menu(scope, titles, scope.variables.get("default", "") or "0")
        self._pending = pending

    def _finish_menu(self, scope: Scope, titles: tuple[str, ...], wanted: Value) -> None:
        """Entries run when the menu is complete: with the variables as they are then.

        ``wanted`` is the default among these entries (``normal/menu.c``): number, id or title, and behind
        ``>`` what it is inside of that submenu.
        """
        if self._menus >= MAX_MENUS:
            return
        self._menus += 1
        try:
            self._run_entries(scope, titles, wanted)
        finally:
            self._menus -= 1

    def _run_entries(self, scope: Scope, titles: tuple[str, ...], wanted: Value) -> None:
        head, inside = grub_config.split_default(wanted) if isinstance(wanted, str) else ("", "")
        pending = self._pending
        for number, item in enumerate(pending):
            if len(self.found.entries) >= MAX_ENTRIES or self._is_spent:
                return
            title, entry_id = grub_config.entry_title(item.words)
            inner = scope.copy()
            inner.arguments = list(item.words)
            config, self._config = self._config, item.config
            self._files, self._arguments, self._pending = [], [], []
            for block in item.command.blocks[:1]:
                self._run_quietly(inner, block)
            is_default = bool(head) and head in (str(number), entry_id, title)
            head = "" if is_default else head
            if item.command.name == "submenu":
                self._finish_menu(inner, (*titles, title), (inside or "0") if is_default else "")
            else:
                files = tuple(dict.fromkeys(self._files))
                named = tuple(self._arguments)
                shown = " > ".join((*titles, title))
                self.found.entries.append(MenuEntry(shown, entry_id, item.place, files, named, is_default))
            self._config = config
        self._pending = pending

    def _run_quietly(self, scope: Scope, body: Script) -> None:
        try:
            self.run(scope, body)
        except Exit:
            pass

    def _source(self, scope: Scope, device: str, path: str) -> None:
        if (device, path) in self._stack or len(self.found.configs) >= MAX_CONFIGS:
            return
        files = self._medium.volumes[device]
        spot = files.find(path)
        try:
            script = self._script(device, path, spot)
        except FormatError:
            return
        shown = files.name + path
        self.found.configs.append(shown)
        self._stack.append((device, path))
        config, self._config = self._config, (shown, spot.offset_bytes if spot else None)
        for line, what in script.problems[:1]:
            self.found.problems.append((Place(shown, line), what))
        try:
            self.run(scope, script)
        except Return:
            pass
        finally:
            self._config = config
            self._stack.pop()

    def _script(self, device: str, path: str, spot: Spot | None) -> Script:
        """A configuration, parsed once; FormatError where it cannot be read."""
        if (device, path) not in self._scripts:
            text, is_whole = read_config(self._medium.volumes[device], path, spot)
            script = grub_config.parse(text, self._tokens_left, is_whole=is_whole)
            self._tokens_left -= script.token_count
            self._scripts[device, path] = script
        return self._scripts[device, path]

    def _place(self, start: int, end: int, line: int) -> Place:
        shown, base = self._config
        return Place(shown, line, None if base is None else base + start, end - start, start)

    # --- commands -----------------------------------------------------------------------------------------

    def call(self, scope: Scope, command: Command, words: list[tuple[Value, Word]]) -> bool | None:
        """One command that is no part of the language; its result, None where the machine decides."""
        name = words[0][0] if words else ""
        arguments = words[1:]
        if name in grub_config.ENTRY_COMMANDS:
            place = self._place(command.start, command.words[-1].end, command.line)
            texts = [word.text if isinstance(value, Unknown) else value for value, word in arguments]
            self._pending.append(_Pending(command, texts, self._config, place))
            return True
        if name in ("source", ".", "configfile", "normal"):
            return self._load(scope, str(name), arguments)
        if name in ("search", "search.file", "search.fs_label", "search.fs_uuid"):
            return self._search(scope, command, str(name), [value for value, _ in arguments])
        if name == "loopback":
            return self._loopback(scope, arguments)
        if name in grub_config.KERNEL_COMMANDS or name in ("devicetree", "chainloader"):
            role = "loader" if name == "chainloader" else "kernel" if name != "devicetree" else "device tree"
            if role == "kernel":
                line = " ".join(w.text if isinstance(v, Unknown) else v for v, w in arguments[1:])
                self._arguments.append((line, self._place(command.start, command.end, command.line)))
            return self._boot_files(scope, role, arguments[:8], only_first=True)
        if name in grub_config.MODULE_COMMANDS:
            return self._boot_files(scope, "module", arguments[:8], only_first=True)
        if name in grub_config.INITRD_COMMANDS:
            return self._boot_files(scope, "initrd", arguments, only_first=False)
        if name == "load_env":
            return self._load_env(scope, [value for value, _ in arguments])
        return None

    def exists(self, scope: Scope, value: Value, kind: str) -> bool | None:
        """``[ -f … ]`` and its like."""
        device, path, _ = self._split(scope, value)
        if device not in self._medium.volumes or path is None:
            return None
        self._spend_lookup(path)
        files = self._medium.volumes[device]
        if kind == "f":
            return files.find(path) is not None
        if kind == "s":
            spot = files.find(path)
            return spot is not None and spot.size_bytes > 0
        return files.has(path)

    def _split(self, scope: Scope, value: Value) -> tuple[str, str | None, str]:
        """Device and path of a file's name, and why not where it cannot be told."""
        if isinstance(value, Unknown):
            return "", None, value.why
        text = value
        device: Value = scope.variables.get("root", Unknown())
        if text.startswith("("):
            inner, closed, text = text[1:].partition(")")
            device = inner if closed else Unknown()
        if isinstance(device, Unknown):
            return "", None, device.why
        device = MEDIUM if device in _DISCS else device
        if not text.startswith("/") or any(c in text for c in "*?["):
            return device, None, ""
        if device in self._medium.volumes:
            return device, text, ""
        if device in scope.loops:
            return device, None, f"it lies inside {scope.loops[device]}"
        return device, None, f"it lies on ({device}), a disk of the machine"

    def _file(self, scope: Scope, role: str, value: Value, word: Word) -> MenuFile:
        place = self._place(word.start, word.end, word.line)
        device, path, why = self._split(scope, value)
        shown = word.text if isinstance(value, Unknown) else value
        if path is None:
            return MenuFile(role, shown, "unknown", place, why)
        self._spend_lookup(path)
        files = self._medium.volumes[device]
        spot = files.find(path)
        size = spot.size_bytes if spot else 0
        return MenuFile(role, files.name + path, "there" if spot else "missing", place, "", size)

    def _spend_lookup(self, path: str, count: int = 1) -> None:
        """Finding a file costs much more than a step; Exit where it was too much."""
        self._lookups_left -= count + len(path) // 64
        if self._lookups_left < 0:
            raise Exit

    def _boot_files(
        self, scope: Scope, role: str, arguments: list[tuple[Value, Word]], *, only_first: bool
    ) -> bool | None:
        result: bool | None = None
        for value, word in arguments:
            if isinstance(value, str) and (value.startswith(("-", "+")) or not value):
                continue
            if isinstance(value, str) and value.startswith("(") and "/" not in value:
                return None  # (hd0)+1: a sector, not a file
            bare = value.split(":", 2)[-1] if isinstance(value, str) and value.startswith("newc:") else value
            file = self._file(scope, role, bare, word)
            self._files.append(file)
            result = False if file.state == "missing" else result
            if only_first:
                break
        return result

    def _load(self, scope: Scope, name: str, arguments: list[tuple[Value, Word]]) -> bool | None:
        if not arguments:
            return None
        value, word = arguments[0]
        file = self._file(scope, "configuration", value, word)
        device, path, _ = self._split(scope, value)
        if path is None or file.state == "missing":
            self.found.includes.append(file)
            return False if file.state == "missing" else None
        if (device, path) in self._stack:
            return True
        if name in ("source", "."):
            self._source(scope, device, path)
            return True
        before = len(self.found.entries)
        self.run_config(scope.exported_copy(), device, path, ())
        if len(self.found.entries) > before:
            raise Exit  # the new menu stays
        return True

    def _search(self, scope: Scope, command: Command, name: str, words: list[Value]) -> bool | None:
        kind, target, wanted = "", "", list[Value]()
        if "." in name:
            kind = {"search.file": "file", "search.fs_label": "label", "search.fs_uuid": "fs-uuid"}[name]
            wanted = words[:1]
            target = str(words[1]) if len(words) > 1 else "root"
            words = []
        at = 0
        while at < len(words):
            word, follows = words[at], words[at + 1 : at + 3]
            at += 1
            if word in ("-f", "--file", "-l", "--label", "-u", "--fs-uuid"):
                kind = {"f": "file", "l": "label", "u": "fs-uuid"}.get(str(word).strip("-")[:1], "")
                kind = "file" if word == "--file" else kind
            elif word in ("-s", "--set"):
                is_named = len(follows) > 1 and not str(follows[0]).startswith(("-", "/"))
                target = str(follows[0]) if is_named else "root"
                at += is_named
            elif isinstance(word, str) and word.startswith("--set="):
                target = word[6:]
            elif isinstance(word, str) and (word == "--hint" or word == "-h"):
                at += 1
            elif not (isinstance(word, str) and word.startswith("-")):
                wanted.append(word)
        found = self._find(kind, wanted[0] if wanted else Unknown())
        if target and (isinstance(found, str) or not isinstance(scope.variables.get(target), str)):
            self._assign(scope, target, found)  # a search that finds nothing leaves the variable alone
        if isinstance(found, Unknown) and kind in ("label", "fs-uuid") and isinstance(wanted[0], str):
            role = "label" if kind == "label" else "UUID"
            place = self._place(command.start, command.end, command.line)
            self.found.includes.append(MenuFile(role, wanted[0], "elsewhere", place, found.why))
        return True if isinstance(found, str) else None

    def _find(self, kind: str, wanted: Value) -> Value:
        if isinstance(wanted, Unknown):
            return Unknown(wanted.why)
        if kind == "file":
            for device in (MEDIUM, ESP):
                if device in self._medium.volumes:
                    self._spend_lookup(wanted)
                    if self._medium.volumes[device].has(wanted):
                        return device
            return Unknown(f"the menu looks for a disk with {wanted}, which this medium has not")
        known = self._medium.labels if kind == "label" else self._medium.uuids
        for device, name in known.items():
            if name.casefold() == wanted.casefold() if kind == "fs-uuid" else name == wanted:
                return device
        word = "the label" if kind == "label" else "the UUID"
        return Unknown(f"the menu looks for a disk with {word} {wanted}, which this medium has not")

    def _loopback(self, scope: Scope, arguments: list[tuple[Value, Word]]) -> bool | None:
        rest = [pair for pair in arguments if not (isinstance(pair[0], str) and pair[0].startswith("-"))]
        if len(rest) < 2 or not isinstance(rest[0][0], str):
            return None
        file = self._file(scope, "image", *rest[1])
        self._files.append(file)
        scope.set_loop(rest[0][0], file.path)
        return False if file.state == "missing" else None

    def _load_env(self, scope: Scope, words: list[Value]) -> bool | None:
        from mediakit.formats import grubenv

        name: Value = "${prefix}"
        names: list[str] = []
        left = iter(words)
        for word in left:
            if word in ("-f", "--file"):
                name = next(left, name)
            elif isinstance(word, str) and not word.startswith("-"):
                names.append(word)
        device, path, _ = self._split(scope, name)
        values: dict[str, str] = {}
        if path is not None and (files := self._medium.volumes.get(device)) is not None:
            self._spend_lookup(path, 8)
            spot = files.find(path)
            try:
                if spot is not None and spot.size_bytes <= MAX_ENVIRONMENT_BYTES:
                    values = grubenv.parse(files.read(path))
            except FormatError:
                pass
        for key in names:
            if path is None:
                self._assign(scope, key, Unknown())
        for key, text in values.items():
            if not names or key in names:
                self._assign(scope, key, text)
        return None
