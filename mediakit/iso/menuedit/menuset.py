"""The menus of a medium with what an edit makes of their texts, until that becomes changes of the image.

``Menu`` is what one loader shows first, from all its files; nothing here knows what a menu says. ``changes``
makes files of the tree anew and patches the FATs of EFI images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field

from mediakit.errors import FormatError, RefusedError
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import patched_reader
from mediakit.iso.bootmenus.menu import DiscFiles, FatFiles, Spot
from mediakit.iso.edit.changes import Patch, Put, Remove
from mediakit.iso.menuedit.menufiles import MenuFile, Volume
from mediakit.iso.menuedit.textedit import encode
from mediakit.plain import dataclass
from mediakit.units import SECTOR

Change = Put | Patch | Remove


@dataclass
class Menu:
    """The files that make one menu, with their new texts by path; None where a file goes.

    ``files`` grows by those that an edit adds.
    """

    loader: str
    files: list[MenuFile]
    texts: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.texts = {file.path: file.text for file in self.files}

    @property
    def volume(self) -> Volume:
        return self.files[0].volume

    @property
    def root(self) -> str:
        return self.files[0].root

    @property
    def name(self) -> str:
        place = self.volume.name
        return f"{self.root} in {place}" if place else self.root

    def now(self, *, only_top: bool = False) -> list[tuple[MenuFile, str]]:
        """The files that there are, with their texts; ``only_top``: those that make the first menu."""
        found = [(file, self.texts[file.path]) for file in self.files if file.is_top or not only_top]
        return [(file, text) for file, text in found if text is not None]

    @property
    def top_files(self) -> list[MenuFile]:
        return [file for file, _ in self.now(only_top=True)]

    def change(self, transform: Callable[[str], str], files: Sequence[MenuFile] | None = None) -> None:
        for file, text in self.now():
            if files is None or file in files:
                self.texts[file.path] = transform(text)

    def add(self, path: str, text: str) -> None:
        """A new file of this menu, or other contents of one that was taken away."""
        if path not in self.texts:
            self.files.append(MenuFile(self.volume, path, self.loader, self.root, is_top=True, text=""))
        self.texts[path] = text


def group(files: list[MenuFile]) -> list[Menu]:
    """One menu for each loader's first configuration."""
    groups: dict[tuple[str, str, str], list[MenuFile]] = {}
    for file in files:
        groups.setdefault((file.volume.name, file.loader, file.root), []).append(file)
    return [Menu(loader, found) for (_, loader, _), found in groups.items()]


class EditedFiles:
    """A volume as it will be: what stands in the edited menus in place of what is there.

    ``name`` goes before paths, as those who follow menus show them.
    """

    def __init__(self, volume: Volume, menus: Sequence[Menu], name: str) -> None:
        self.name = name
        self._files: DiscFiles | FatFiles = volume.files
        self._texts: dict[str, str | None] = {}
        for menu in menus:
            if menu.volume == volume:
                self._texts |= {path_key(path): text for path, text in menu.texts.items()}

    def find(self, path: str) -> Spot | None:
        key = path_key(path)
        if key in self._texts:
            text = self._texts[key]
            return None if text is None else Spot(len(encode(text)), None)
        return self._files.find(path)

    def has(self, path: str) -> bool:
        return self.find(path) is not None if path_key(path) in self._texts else self._files.has(path)

    def read(self, path: str) -> bytes:
        text = self._texts.get(path_key(path), "")
        if text is None:
            raise FormatError(f"{path} is not there.")
        return encode(text) if path_key(path) in self._texts else self._files.read(path)

    def names(self, folder: str) -> list[str]:
        inside = {
            key: text for key, text in self._texts.items() if key.rpartition("/")[0] == path_key(folder)
        }
        gone = {key.rpartition("/")[2] for key, text in inside.items() if text is None}
        there = [name for name in self._files.names(folder) if name.lower() not in gone]
        known = {name.lower() for name in there}
        return there + [
            key.rpartition("/")[2]
            for key, text in inside.items()
            if text is not None and key.rpartition("/")[2] not in known
        ]


def path_key(path: str) -> str:
    """The same for all ways to write one path, on volumes where case says nothing; menus that differ by case
    alone are on no medium.
    """
    words: list[str] = []
    for word in path.lower().split("/"):
        if word == "..":
            words = words[:-1]
        elif word not in ("", "."):
            words.append(word)
    return "/" + "/".join(words)


def changes(menus: Sequence[Menu], now: int) -> tuple[list[Put | Patch | Remove], list[str]]:
    """What the new texts change on the image, and what a cut would tear; ``now`` (seconds) dates files in EFI
    images."""
    found: list[Put | Patch | Remove] = []
    torn: list[str] = []
    inside: dict[Volume, list[tuple[str, bytes | None]]] = {}
    for menu in menus:
        for file in menu.files:
            text = menu.texts[file.path]
            is_there = file.volume.files.find(file.path) is not None
            if text == (file.text if is_there else None):
                continue
            data = None if text is None else encode(text)
            if isinstance(file.volume.files, FatFiles):
                inside.setdefault(file.volume, []).append((file.path, data))
            else:
                found.append(Remove(file.path) if data is None else Put(file.path, data))
    for volume, files in inside.items():
        found += _patch_fat(volume, files, now, torn)
    return found, torn


def _patch_fat(
    volume: Volume, files: Sequence[tuple[str, bytes | None]], now: int, torn: list[str]
) -> list[Patch]:
    """The writes that replace, add or remove files of a FAT: each sees those before it, and waits for them.

    So after any cut the FAT has the old or the new file, whole. Where it is full, a file of which more than
    one sector changes can be torn: ``torn`` gets a sentence for it.
    """
    fat = volume.files
    assert isinstance(fat, FatFiles)
    written: list[tuple[int, bytes]] = []
    read = patched_reader(fat.fat.reader, written)
    patches = []
    for path, content in files:
        try:
            writes, is_safe = _fat_writes(Fat(read), path, content, now)
        except RefusedError as error:
            raise RefusedError(
                f"The menu {path} in {volume.name} cannot be changed: {error.message}", error.hint
            ) from error
        if not is_safe and content is not None and _is_torn(Fat(read).read(path), content):
            torn.append(
                f"There is no room in {volume.name} for a second {path}, so it is written over itself: a "
                "power cut in between would leave half the old menu and half the new one"
            )
        why, first = f"{path} in {volume.name}", len(written)
        patches += [
            Patch(fat.offset_bytes + at, data, why, first + number)
            for number, (at, data) in enumerate(writes)
        ]
        written += writes
    return patches


def _fat_writes(
    volume: Fat, path: str, content: bytes | None, now: int
) -> tuple[list[tuple[int, bytes]], bool]:
    """Into free clusters, or (False) the file's own where there are none: EFI images are often filled to the
    brim."""
    if content is None:
        return volume.plan_remove(path, timestamp=now), True
    try:
        return volume.plan_add(path, content, timestamp=now), True
    except RefusedError as error:
        try:
            return volume.plan_overwrite(path, content, timestamp=now), False
        except (RefusedError, FormatError):
            raise error from None


def _is_torn(old: bytes, new: bytes) -> bool:
    """Whether a cut can leave something else than the one or the other: the size has a sector of its own."""
    places = range(0, len(new), SECTOR)
    return len(old) != len(new) or sum(old[at : at + SECTOR] != new[at : at + SECTOR] for at in places) > 1
