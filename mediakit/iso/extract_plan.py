"""What extracting paths of an image makes: folders, files, links, and what is left out. Pure; writes nothing.

The image is not trusted: names that no system allows, special files and links that may lead out of the folder
are left out and said; folders inside themselves and overlapping ones end the walk there, not the extraction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from mediakit.errors import DeviceError, FormatError, MediakitError, SourceError, UsageError
from mediakit.iso.image import Image
from mediakit.iso.nodes import MAX_DEPTH, Node
from mediakit.plain import dataclass

SHOWN_SIGNS = 100


@dataclass(frozen=True)
class Entry:
    """One thing to be made: ``path`` below the folder, and what it is in the image."""

    path: str
    node: Node


@dataclass(frozen=True)
class LeftOut:
    """Something that was not extracted, and why: the end of a sentence that begins with its path."""

    path: str
    why: str


@dataclass(frozen=True)
class Damaged:
    """Something that could not be read, and which bytes of the image are the reason."""

    path: str
    offset_bytes: int
    size_bytes: int
    cause: str


@dataclass
class ExtractPlan:
    """What an extraction makes, in order: folders, files as they lie in the image, links."""

    folders: list[Entry] = field(default_factory=list)
    files: list[Entry] = field(default_factory=list)
    links: list[Entry] = field(default_factory=list)
    skipped: list[LeftOut] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)

    @property
    def total_bytes(self) -> int:
        return sum(entry.node.size_bytes for entry in self.files)


def make_plan(image: Image, paths: Iterable[str]) -> ExtractPlan:
    """What extracting ``paths`` makes; each keeps its path, links on the way to it are followed.

    SourceError if one of them is not in the image. A damaged folder below them is noted, not fatal.
    """
    planner = _Planner(image)
    for path in paths:
        planner.add(path)
    plan = planner.plan
    plan.files.sort(key=lambda entry: max((offset for offset, _ in entry.node.extents[:1]), default=0))
    folders = {entry.path for entry in plan.folders}
    contained = []
    for entry in plan.links:
        if _leads_out(entry.path, entry.node.target, folders):
            target = entry.node.target[:SHOWN_SIGNS] or "nothing"
            plan.skipped.append(LeftOut(entry.path, f"it is a link that may lead out, to {target}"))
        else:
            contained.append(entry)
    plan.links = contained
    return plan


class _Planner:
    """Collects the entries of several paths; what two of them share is made once."""

    def __init__(self, image: Image) -> None:
        self.plan = ExtractPlan()
        self._image = image
        self._taken: set[str] = set()
        self._left_bytes = image.size_bytes

    def add(self, path: str) -> None:
        words = [word for word in path.split("/") if word not in ("", ".")]
        if ".." in words:
            raise UsageError(f"{path} has “..” in it.", "Write the path without it.")
        node, where = self._image.tree.root, ""
        for number in range(len(words)):
            found = self._image.tree.find("/".join(words[: number + 1]))
            if found is None or (number + 1 < len(words) and found.kind != "directory"):
                raise SourceError(
                    f"{path} is not in the image.", "mediakit inspect --files lists what is there."
                )
            name = found.name if found.name.casefold() == words[number].casefold() else words[number]
            node, where = found, f"{where}/{name}"
            self._take(Entry(where, node))
        if node.kind == "directory":
            self._walk(where, node)

    def _take(self, entry: Entry) -> None:
        if entry.path in self._taken:
            return
        self._taken.add(entry.path)
        if entry.node.kind == "other":
            why = "it is a device node, pipe or socket"
            self.plan.skipped.append(LeftOut(entry.path, why))
        else:
            lists = {"directory": self.plan.folders, "file": self.plan.files, "symlink": self.plan.links}
            lists[entry.node.kind].append(entry)

    def _walk(self, top: str, node: Node) -> None:
        """Everything below a folder. Each folder once, all of them no larger than the image: no loops."""
        seen: set[int] = set()
        stack = [(top, node, top.count("/"))]
        while stack:
            prefix, folder, depth = stack.pop()
            offset, size = folder.extents[0] if folder.extents else (0, 0)
            self._left_bytes -= size
            if folder.extents and (offset in seen or depth > MAX_DEPTH or self._left_bytes < 0):
                self.plan.damaged.append(Damaged(prefix or "/", offset, size, "the folder is inside itself"))
                continue
            seen.add(offset)
            try:
                children = self._image.tree.children(folder)
            except (FormatError, DeviceError) as error:
                self.plan.damaged.append(Damaged(prefix or "/", offset, size, as_cause(error)))
                continue
            folders = []
            for name, child in children.items():
                entry = Entry(f"{prefix}/{name}", child)
                if not _is_name(name):
                    self.plan.skipped.append(LeftOut(entry.path, "no system allows such a name"))
                    continue
                self._take(entry)
                if child.kind == "directory":
                    folders.append((entry.path, child, depth + 1))
            stack += reversed(folders)


def as_cause(error: MediakitError) -> str:
    """Why something was not read, as it stands behind its path."""
    return "it cannot be read" if isinstance(error, DeviceError) else error.message.rstrip(".")


def _leads_out(path: str, target: str, folders: set[str]) -> bool:
    """Whether a link may lead out of the folder, now or with whatever else is put there.

    Upward steps count only where they leave a real folder: behind a link they lead elsewhere than it seems.
    """
    if target.startswith("/") or not target:
        return True
    trail = path.split("/")[1:-1]
    words = [word for word in target.split("/") if word not in ("", ".")]
    last_up = max((number for number, word in enumerate(words) if word == ".."), default=-1)
    for number, word in enumerate(words):
        if word != "..":
            trail.append(word)
            if number < last_up and "/" + "/".join(trail) not in folders:
                return True
        elif trail:
            trail.pop()
        else:
            return True
    return False


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name
