"""Customising an Engine medium: what is to stand under /custom becomes changes of the image. Pure planning.

Kernel arguments, menu default and timeout go into the room of ``bootenv`` and answers into that of
``answers.toml``, in place; branding is put beside them. ``index.json`` lists and hashes what is custom, so
that the medium still verifies; its signature is made anew, or goes, as the old one no longer fits. Changes
anywhere else are refused: the manifest is signed. Writing is the work of ``iso.edit``.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import field
from pathlib import Path

from mediakit import iso
from mediakit.engine import answers, custom, manifest, signature
from mediakit.engine.custom import ANSWERS_PATH, BOOTENV_PATH, BRANDING_FOLDER, FOLDER
from mediakit.engine.documents import is_medium_path
from mediakit.engine.image import EngineImage
from mediakit.engine.manifest import ManifestFile
from mediakit.engine.signature import SecretKey
from mediakit.errors import FormatError, RefusedError, SourceError, UsageError
from mediakit.formats import grubenv
from mediakit.formats.reader import Reader
from mediakit.iso.edit.changes import Change, Overwrite, Put, Remove
from mediakit.iso.menuedit import kernelargs, menus
from mediakit.plain import dataclass
from mediakit.units import MIB

MAX_ROOM_BYTES = MIB
MAX_BRANDING_FILES = 1000
_BOOTENV_BYTES = 1024
_FORCE = "With --force it is done, and the medium no longer verifies as its maker's."
_ROOMS = (BOOTENV_PATH, ANSWERS_PATH)


@dataclass(frozen=True)
class Wish:
    """What is wanted. ``changes`` are files to put or remove; ``by`` and ``key`` say who stands for it.

    Without ``by`` the name stays the one that is there; ``signer`` is taken where there is none.
    """

    kernel_arguments: tuple[str, ...] = ()
    default: str = ""
    timeout_seconds: int | None = None
    answers: str | None = field(default=None, repr=False)
    branding: Path | None = None
    changes: tuple[Put | Remove, ...] = ()
    by: str = ""
    signer: str = ""
    key: SecretKey | None = None
    force: bool = False
    removed_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Customisation:
    """The changes, in order, and remarks for people; no changes where the medium is as wished already."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def plan(engine: EngineImage, image: iso.Image, wish: Wish) -> Customisation:
    """How ``wish`` changes the medium that ``engine`` and ``image`` both read.

    RefusedError for what the medium has no room or no place for, UsageError for wishes that make no sense.
    """
    return _Planner(engine, image, wish).plan()


def broken_parts(engine: EngineImage, regions: Iterable[tuple[int, int]], planned: Reader) -> list[str]:
    """Signed parts of the medium that are others once ``regions`` (offset, size) read as in ``planned``."""
    parts: list[tuple[str, int, int]] = []
    for entry in engine.manifest.files:
        if engine.exists(entry.path):
            parts += [(entry.path, start, start + size) for start, size in engine.source.spans(entry.path)]
    return [*_others(engine, parts, regions, planned), *broken_areas(engine, regions, planned)]


def broken_areas(engine: EngineImage, regions: Iterable[tuple[int, int]], planned: Reader) -> list[str]:
    """The same of what is no file, for an image whose files may lie elsewhere."""
    parts = [(area.name, start, end) for area in engine.manifest.areas for start, end in _outside_holes(area)]
    return _others(engine, parts, regions, planned)


def _others(
    engine: EngineImage,
    parts: Sequence[tuple[str, int, int]],
    regions: Iterable[tuple[int, int]],
    planned: Reader,
) -> list[str]:
    found = []
    for offset, size in regions:
        for name, start, end in parts:
            low, high = max(offset, start), min(offset + size, end)
            if low < high and planned(low, high - low) != engine.source.read_at(low, high - low):
                found.append(name)
    return list(dict.fromkeys(found))


class _Planner:
    """One plan in the making: ``_new`` holds what each touched file under /custom will be (None: gone)."""

    def __init__(self, engine: EngineImage, image: iso.Image, wish: Wish) -> None:
        self._engine, self._image, self._wish = engine, image, wish
        self._new: dict[str, bytes | Path | None] = {}
        self._outside: list[Change] = []
        self._notes: list[str] = []
        self._files = {p for p in engine.source.walk() if p.startswith(FOLDER)}

    def plan(self) -> Customisation:
        wish = self._wish
        for change in wish.changes:
            self._take(change)
        asked = (wish.kernel_arguments, wish.removed_arguments, wish.default)
        if any(asked) or wish.timeout_seconds is not None:
            self._bootenv()
        if wish.answers is not None:
            self._answers(wish.answers)
        if wish.branding is not None:
            self._branding(wish.branding)
        changes = [*self._outside, *self._changes()]
        changes += self._index(bool(changes))
        return Customisation(tuple(changes), tuple(self._notes))

    def _take(self, change: Put | Remove) -> None:
        """A file that somebody adds or removes by name."""
        path = posixpath.normpath("/" + change.path.lstrip("/"))
        if path in (custom.PATH, custom.SIGNATURE_PATH):
            raise RefusedError(f"{path} is kept by this program.", "Sign the list with --sign KEY.")
        if path + "/" == FOLDER:
            raise RefusedError("/custom itself stays on an Engine medium.", "Remove what is in it.")
        if not path.startswith(FOLDER):
            self._change_outside(change, path)
        elif isinstance(change, Remove):
            self._remove(path)
        elif path == ANSWERS_PATH:
            data = change.source if isinstance(change.source, bytes) else _read(change.source)
            try:
                self._answers(data.decode("utf-8-sig"))
            except UnicodeDecodeError:
                raise UsageError(f"{path} must be UTF-8 text.", "See: mediakit answers example") from None
        elif path == BOOTENV_PATH:
            data = change.source if isinstance(change.source, bytes) else _read(change.source)
            grubenv.parse(data)
            self._new[path] = data
        else:
            self._new[path] = change.source

    def _change_outside(self, change: Put | Remove, path: str) -> None:
        if not self._wish.force:
            what = "is signed" if self._is_listed(path) else "would not be covered by the signature"
            raise RefusedError(
                f"{path} {what}: only /custom is changed on an Engine medium.",
                f"Put it under /custom, or build the medium with it. {_FORCE}",
            )
        self._outside.append(change)
        self._notes.append(f"{path} was changed against the manifest: the medium no longer verifies.")

    def _is_listed(self, path: str) -> bool:
        names = [entry.path for entry in self._engine.manifest.files] + [
            manifest.PATH,
            manifest.SIGNATURE_PATH,
        ]
        return any(name == path or name.startswith(f"{path}/") for name in names)

    def _remove(self, path: str) -> None:
        if path == BOOTENV_PATH:
            self._new[path] = grubenv.build({}, max(self._room(path), _BOOTENV_BYTES))
        elif path == ANSWERS_PATH:
            self._new[path] = b"".ljust(self._room(path), b"\n")
        else:
            gone = [name for name in self._files if name == path or name.startswith(f"{path}/")]
            if not gone:
                raise SourceError(
                    f"{path} is not in the image.", "mediakit inspect --files lists what is there."
                )
            self._new |= dict.fromkeys(gone)

    def _bootenv(self) -> None:
        if not self._room(BOOTENV_PATH):
            raise RefusedError(
                f"The medium has no {BOOTENV_PATH}: its menu cannot be changed.", "It is older than 5.0."
            )
        wish = self._wish
        variables = grubenv.parse(self._read_room(BOOTENV_PATH))
        if wish.kernel_arguments or wish.removed_arguments:
            words = self._without(variables.get("args", "").split())
            words = kernelargs.apply(words, wish.kernel_arguments)
            blank = next((word for word in wish.kernel_arguments if " " in word), None)
            if blank is not None:
                raise RefusedError(
                    f"“{blank}” has a blank, which the menu of an Engine medium cannot pass on.",
                    "Give arguments without blanks.",
                )
            variables["args"] = " ".join(words)
        if wish.default:
            variables["entry"] = menus.resolve(self._image, wish.default)
        if wish.timeout_seconds is not None:
            menus.check_timeout(wish.timeout_seconds)
            variables["timeout"] = str(wish.timeout_seconds)
        try:
            self._new[BOOTENV_PATH] = grubenv.build(variables, max(self._room(BOOTENV_PATH), _BOOTENV_BYTES))
        except FormatError as error:
            raise RefusedError(error.message, error.hint) from error

    def _without(self, words: list[str]) -> list[str]:
        """The added arguments without those to remove; what the signed menu itself says is out of reach."""
        left = [word for word in words if not kernelargs.is_removed(word, self._wish.removed_arguments)]
        for one in self._wish.removed_arguments:
            if not any(kernelargs.is_removed(word, (one,)) for word in words):
                self._notes.append(
                    f"{one} is not among the arguments that were added; those of the signed menu stay."
                )
        return left

    def _answers(self, text: str) -> None:
        answers.parse(text)
        data = text.rstrip("\0 \t\r\n").encode() + b"\n"
        self._new[ANSWERS_PATH] = data.ljust(max(self._room(ANSWERS_PATH), len(data)), b"\n")

    def _branding(self, folder: Path) -> None:
        """/custom/branding becomes what is in ``folder``."""
        self._new |= {name: None for name in self._files if name.startswith(BRANDING_FOLDER)}
        for source, relative in _tree(folder):
            self._new[BRANDING_FOLDER + relative] = source

    def _changes(self) -> list[Change]:
        """What differs from the medium as it is."""
        changes: list[Change] = []
        for path, content in sorted(self._new.items()):
            if content is None:
                if path in self._files:
                    changes.append(Remove(path))
                continue
            if not is_medium_path(path):
                raise UsageError(f"“{path}” cannot be a path of a medium.", "Use plain names.")
            if path in self._files and _size_and_hash(content) == self._hash(path):
                continue
            if path in _ROOMS and path in self._files and isinstance(content, bytes):
                if len(content) <= self._room(path):
                    changes.append(self._overwrite(path, content))
                    continue
                self._notes.append(f"{path} is larger than its room; it is put anew.")
            changes.append(Put(path, content))
        return changes

    def _overwrite(self, path: str, content: bytes) -> Overwrite:
        """In place; answers may hold a password, which must not survive in an undo record, old or new."""
        was_empty = not custom.holds_something(path, self._read_room(path))
        return Overwrite(
            path, content, f"{path}, in its room", secret=path == ANSWERS_PATH, keeps_old=was_empty
        )

    def _index(self, is_changed: bool) -> list[Change]:
        """The list of what is custom, and its signature, if anything of it changes."""
        entries = self._entries()
        key = self._wish.key
        old = (
            custom.parse(self._engine.read(custom.PATH, MAX_ROOM_BYTES))
            if custom.PATH in self._files
            else None
        )
        by = self._wish.by or (old.by if old else "") or self._wish.signer
        is_right = old is not None and set(old.files) == set(entries) and (old.by == by or not is_changed)
        if is_right and not is_changed and key is None:
            return []
        data = custom.to_bytes(by if entries else "", entries)
        room = self._room(custom.PATH)
        data = data.ljust(room, b"\n")
        changes: list[Change] = []
        if custom.PATH in self._files and len(data) <= room:
            if data != self._read_room(custom.PATH):
                changes.append(Overwrite(custom.PATH, data, "the list of what is custom"))
        else:
            changes.append(Put(custom.PATH, data))
        if key is not None and entries:
            comment = f"customised by {by}" if by else "customised"
            text = signature.sign(data, key, comment).encode()
            if custom.SIGNATURE_PATH not in self._files or text != self._read_room(custom.SIGNATURE_PATH):
                changes.append(Put(custom.SIGNATURE_PATH, text))
        elif custom.SIGNATURE_PATH in self._files and changes:
            changes.append(Remove(custom.SIGNATURE_PATH))
            self._notes.append(
                "The list of what is custom was signed; its signature no longer fits and was removed."
            )
        return changes

    def _entries(self) -> list[ManifestFile]:
        """Every file under /custom that will say something, with size and hash."""
        entries = []
        for path in sorted(self._files | set(self._new)):
            if path in (custom.PATH, custom.SIGNATURE_PATH):
                continue
            content = self._new.get(path, b"")
            if path in self._new and content is None:
                continue
            if path in _ROOMS:
                data = content if path in self._new and isinstance(content, bytes) else self._read_room(path)
                if not custom.holds_something(path, data):
                    continue
            size, digest = self._hash(path) if path not in self._new else _size_and_hash(content or b"")
            entries.append(ManifestFile(path, size, digest))
        return entries

    def _room(self, path: str) -> int:
        return self._engine.size(path) if path in self._files else 0

    def _read_room(self, path: str) -> bytes:
        return self._engine.read(path, MAX_ROOM_BYTES)

    def _hash(self, path: str) -> tuple[int, str]:
        digest = hashlib.sha256()
        for block in self._engine.stream(path):
            digest.update(block)
        return self._engine.size(path), digest.hexdigest()


def _size_and_hash(content: bytes | Path) -> tuple[int, str]:
    if isinstance(content, bytes):
        return len(content), hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise _unreadable(content, error) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ROOM_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > MAX_ROOM_BYTES:
        raise UsageError(f"{path} is too large for that place.", f"There is room for {MAX_ROOM_BYTES} bytes.")
    return data


def _tree(folder: Path) -> Sequence[tuple[Path, str]]:
    """Every file under ``folder`` with its relative path; links and special files are refused."""
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder.", "Name the folder with the branding files.")
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise UsageError(
                f"{path} is no ordinary file.", "Branding is made of ordinary files and folders."
            )
        if path.is_file():
            found.append((path, relative))
    if len(found) > MAX_BRANDING_FILES:
        raise UsageError(f"{folder} has {len(found)} files.", f"At most {MAX_BRANDING_FILES} are taken.")
    return found


def _outside_holes(area: manifest.Area) -> list[tuple[int, int]]:
    """The signed parts of an area: start and end in the image."""
    parts, position = [], 0
    for hole in area.holes:
        parts.append((position, hole.offset_bytes))
        position = hole.offset_bytes + hole.size_bytes
    parts.append((position, area.size_bytes))
    return [(area.offset_bytes + a, area.offset_bytes + b) for a, b in parts if b > a]


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path} cannot be read: {error.strerror}.", "Check the path.")
