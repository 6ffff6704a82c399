"""Tiny images as their makers left them and after edits, each made once a session; and what they should say."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tiny
from support import mediakit
from tiny import State

ARGUMENT = "tiny.mark=1"
EDITS = 20
Words = list[str]


@dataclass(frozen=True)
class Edited:
    """An image, what it should say when it boots, and files that it must have or must not have.

    ``partitions`` are digests of files that a partition may hold, where not only those of the whole medium.
    """

    file: Path
    state: State
    there: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    partitions: frozenset[str] = frozenset()


class Shelf:
    """Machines take the images as they are: nothing on the shelf is ever written again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tree: Path | None = None
        self._sources = folder / "sources"

    def image(self, kind: str) -> Path:
        """As its maker left it."""
        if self._tree is None:
            self._tree = tiny.tree(self._folder)
        root = self._tree
        return self._once(kind, lambda out: tiny.KINDS[kind](root, out))

    def base(self, kind: str) -> Path:
        """The same; what boots from disc only was made to boot from USB too."""
        if not kind.startswith("disc_"):
            return self.image(kind)
        words = ["rewrite", self.image(kind), "--usb-bootable", "--progress", "none", "-o"]
        return self._once(f"{kind}-usb", lambda out: mediakit(*words, out))

    def edited(self, kind: str, name: str) -> Edited:
        """After one edit of one sort, by its name in EDITS."""
        words, state, there, gone = EDITS_OF_ONE_SORT[name](self, State())
        file = self._once(
            f"{kind}-{name}", lambda out: self._rewrite(self._copy(self.base(kind), out), words)
        )
        return Edited(file, state, frozenset(there), frozenset(gone))

    def many(self, kind: str, count: int = EDITS) -> Edited:
        """After that many edits in a row, of all sorts."""
        state, there, gone = State(), set[str](), set[str]()
        series = []
        for number in range(1, count + 1):
            words, state, new, old = self._numbered(number, state)
            there, gone = (there | set(new)) - set(old), (gone | set(old)) - set(new)
            series.append(words)

        def make(out: Path) -> None:
            self._copy(self.base(kind), out)
            for words in series:
                self._rewrite(out, words)

        return Edited(self._once(f"{kind}-{count}", make), state, frozenset(there), frozenset(gone))

    def puts(self, files: dict[str, bytes]) -> Words:
        """The words that put ``files`` (path in the image → contents)."""
        words = []
        for path, data in files.items():
            source = self._sources / hashlib.sha256(data).hexdigest()
            if not source.exists():
                source.parent.mkdir(exist_ok=True)
                source.write_bytes(data)
            words += ["--add", f"{source}={path}"]
        return words

    def _numbered(self, number: int, state: State) -> tuple[Words, State, list[str], list[str]]:
        """The edit of that number: always a note and a small file, and now and then something large."""
        note, small = f"edit {number}", f"/many/{number}.txt"
        words = self.puts({"/note.txt": note.encode(), small: bytes([number]) * (number * 700)})
        state = replace(state, note=note)
        gone: list[str] = []
        if more := _IN_A_ROW.get(number):
            others, state, _, gone = EDITS_OF_ONE_SORT[more](self, state)
            words += others
        if number == 6:
            words += ["--kernel-arg", "tiny.six=1"]
            state = state.with_arguments("tiny.six=1")
        if number == 16:
            words += [*self.puts({"/boot/initrd.img": tiny.initrd_of(3)}), "--remove", "/many/3.txt"]
            state, gone = replace(state, initrd=3), ["/many/3.txt"]
        return words, state, [small], gone

    def _rewrite(self, image: Path, words: Words) -> None:
        mediakit("rewrite", image, "--in-place", "--progress", "none", *words)

    def _copy(self, image: Path, out: Path) -> Path:
        out.write_bytes(image.read_bytes())
        return out

    def _once(self, name: str, make: Callable[[Path], object]) -> Path:
        path = self._folder / f"{name}.iso"
        if not path.exists():
            scratch = path.with_suffix(".new")
            make(scratch)
            scratch.rename(path)
        return path


Edit = Callable[[Shelf, State], tuple[Words, State, list[str], list[str]]]


def _add(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    large = random.Random(1).randbytes(3_000_001)
    files = {"/new/deep folder/large.bin": large, "/new/deep folder/empty": b"", "/added.txt": b"added"}
    return shelf.puts(files), state, list(files), []


def _replace(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    return shelf.puts({"/note.txt": b"replaced"}), replace(state, note="replaced"), [], []


def _kernel(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    files = {"/boot/vmlinuz": tiny.kernel_of(2) + bytes(70_000), "/boot/initrd.img": tiny.initrd_of(2)}
    return shelf.puts(files), replace(state, kernel=2, initrd=2), [], []


def _remove(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    gone = [f"/spare/file-{number}.bin" for number in range(3)]
    return ["--remove", "/spare"], state, [], gone


def _argument(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    return ["--kernel-arg", ARGUMENT], state.with_arguments(ARGUMENT), [], []


def _default(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    words = ["--menu-default", "second", "--menu-timeout", "1"]
    return words, state.with_arguments("tiny.entry=second"), [], []


def _label(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    # some layouts' EFI images name it: in place nothing can switch both at once, which has to be forced
    return ["--label", "ANOTHER", "--force"], replace(state, label="ANOTHER"), [], []


def _compact(shelf: Shelf, state: State) -> tuple[Words, State, list[str], list[str]]:
    words, after, there, gone = _add(shelf, state)
    return [*words, "--compact", "--kernel-arg", ARGUMENT], after.with_arguments(ARGUMENT), there, gone


EDITS_OF_ONE_SORT: dict[str, Edit] = {
    "add": _add,
    "replace": _replace,
    "kernel": _kernel,
    "remove": _remove,
    "argument": _argument,
    "default": _default,
    "label": _label,
    "compact": _compact,
}
_IN_A_ROW = {4: "remove", 8: "kernel", 10: "argument", 12: "label", 14: "default", 18: "add"}
