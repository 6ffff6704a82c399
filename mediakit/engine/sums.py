"""Lists of sums, in an image (``md5sum.txt``, ``SHA256SUMS``, …) or beside it: which they are, what they say.

Understood are the lines of md5sum and its kin (text and binary marks, names escaped with a backslash), BSD's
``SHA256 (name) = sum``, and openssl's. Reads only; what leads out of the medium is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from mediakit.engine.documents import is_medium_path
from mediakit.engine.sources import Source
from mediakit.plain import dataclass
from mediakit.units import MIB

NOTHING = (
    "There is nothing to check it against: no manifest, no implanted MD5, no list of sums. "
    "Compare its SHA-256 with the one its maker publishes."
)
STRENGTH = {"sha512": 0, "sha384": 1, "sha256": 2, "sha224": 3, "blake2b": 4, "sha1": 5, "md5": 6}
MAX_LIST_BYTES = 16 * MIB
MAX_ALL_BYTES = 24 * MIB
"""Lists of one image together: thousands of names may lead to the same bytes."""
_SIGNS = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_KINDS = ("sha512", "sha384", "sha256", "sha224", "sha1", "md5", "b2")
_ROOT_LISTS = tuple(
    f"/{name}"
    for kind in _KINDS
    for name in (f"{kind.upper()}SUMS", f"{kind}sum.txt", f"{kind}sums.txt", f"{kind}sums", f"{kind}sum")
)
_LIST_NAME = re.compile(r"(?:.*[.-])?(?:md5|sha(?:1|224|256|384|512)|b2)(?:sums?)?(?:\.txt)?", re.IGNORECASE)
_GNU = re.compile(r"(\\?)([0-9A-Fa-f]{32,128})(?: [ *]|[ \t]+)(.+)")
_BSD = re.compile(r"(\\?)([A-Za-z0-9-]{3,12}) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})")
_BARE = re.compile(r"[0-9A-Fa-f]{32,128}")
_ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


@dataclass(frozen=True)
class Listed:
    """One line of a list of sums: ``path`` in the medium, and the list's."""

    path: str
    digest: str
    algorithm: str
    source: str


def listed(source: Source) -> list[Listed]:
    """What the lists of an image say, the strongest sum of each file; empty if it has none.

    Lists in the root are taken; without any, those that lie in folders, beside what they list.
    """
    found = _merge(line for path in _root_lists(source) for line in _read(source, path))
    if found or not source.is_image:
        return found
    return _merge(line for path in _folder_lists(source) for line in _read(source, path))


def lists_about(source: Source, names: Callable[[str], Iterable[str]], paths: Iterable[str]) -> list[str]:
    """The lists that may name ``paths``: those in the root, without any those in their folders.

    ``names`` says what a folder holds: the whole tree is not walked for one file.
    """
    if found := _root_lists(source):
        return found
    folders = dict.fromkeys(path[:at] for path in paths for at in range(1, len(path)) if path[at] == "/")
    return [f"{folder}/{name}" for folder in folders for name in names(folder) if _LIST_NAME.fullmatch(name)]


def read_list(source: Source, path: str) -> str:
    """A list's text; empty for one that is too large to be one."""
    if source.size(path) > MAX_LIST_BYTES:
        return ""
    return b"".join(source.stream(path, 0, source.size(path))).decode("utf-8", "surrogateescape")


def lines_of(source: Source, text: str, path: str) -> list[Listed]:
    """What ``text``, all or some lines of the list ``path``, says of the files of an image."""
    lines = parse_list(text, path)
    if path.count("/") == 1:
        return lines
    here = path.rpartition("/")[0]
    return [_settle(source, line, here) for line in lines]


def _root_lists(source: Source) -> list[str]:
    return list(_not_too_many(source, (path for path in _ROOT_LISTS if source.exists(path))))


def _folder_lists(source: Source) -> list[str]:
    found = (path for path in source.walk() if _LIST_NAME.fullmatch(path.rsplit("/", 1)[1]))
    return list(_not_too_many(source, found))


def _not_too_many(source: Source, lists: Iterable[str]) -> Iterable[str]:
    """The first of ``lists``, as far as all together have a sensible size."""
    left = MAX_ALL_BYTES
    for path in lists:
        left -= min(source.size(path), MAX_LIST_BYTES)
        if left < 0:
            return
        yield path


def beside(path: Path) -> list[Listed]:
    """The sum of a whole image file, from a list that lies in its folder and names it; the strongest one.

    ``IMAGE.sha256`` and the like may hold the bare sum. Empty if there is none.
    """
    if not path.is_file():
        return []
    names = [f"{path.name}.{kind}{end}" for kind in _KINDS for end in ("", "sum", "sum.txt")]
    names += [f"{path.name}{end}" for end in (".CHECKSUM", "-CHECKSUM")]
    names += [name[1:] for name in _ROOT_LISTS] + sorted(
        one.name for one in path.parent.glob("*CHECKSUM") if one.is_file()
    )
    found = []
    for name in dict.fromkeys(names):
        text = _read_file(path.with_name(name))
        lines = parse_list(text, name)
        if name.startswith(path.name) and _BARE.fullmatch(text.strip()):
            digest = text.strip().lower()
            algorithm = _algorithm(name, digest)
            lines = [Listed("/" + path.name, digest, algorithm, name)] if algorithm else []
        is_its_own = name.startswith(path.name)  # made by hand, perhaps with a path of elsewhere in it
        found += [
            line
            for line in lines
            if line.path == "/" + path.name or (is_its_own and line.path.rsplit("/", 1)[1] == path.name)
        ]
    return sorted(found, key=lambda line: STRENGTH[line.algorithm])[:1]


def parse_list(text: str, source: str) -> list[Listed]:
    """The lines of a list whose path is ``source``; names are relative to its folder. Others are skipped."""
    folder = source.rpartition("/")[0]
    found = []
    for raw in text.split("\n"):
        line = raw.lstrip().rstrip("\r")
        if match := _BSD.fullmatch(line):
            escaped, kind, name, digest = match.groups()
            algorithm = _algorithm(kind, digest)
        elif match := _GNU.fullmatch(line):
            escaped, digest, name = match.groups()
            algorithm = _algorithm(source.rpartition("/")[2], digest)
        else:
            continue
        if escaped:
            name = re.sub(r"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
        rest = name.removeprefix("./")
        path = rest if rest.startswith("/") and folder else f"{folder}/{rest.lstrip('/')}"
        if algorithm and is_medium_path(path) and path != source:
            found.append(Listed(path, digest.lower(), algorithm, source))
    return found


def _algorithm(kind: str, digest: str) -> str:
    """The algorithm of a sum, by its length; BLAKE2b is as long as SHA-512. Empty if it is none of ours."""
    length = _SIGNS.get(len(digest), "")
    is_blake = length == "sha512" and re.search(r"b2|blake", kind, re.IGNORECASE)
    return "blake2b" if is_blake else length


def _read(source: Source, path: str) -> list[Listed]:
    return lines_of(source, read_list(source, path), path)


def _settle(source: Source, line: Listed, folder: str) -> Listed:
    """A name in a folder's list may count from the root instead."""
    at_root = line.path.removeprefix(folder)
    if source.exists(line.path) or not source.exists(at_root):
        return line
    return Listed(at_root, line.digest, line.algorithm, line.source)


def _merge(lines: Iterable[Listed]) -> list[Listed]:
    best: dict[str, Listed] = {}
    for line in lines:
        known = best.get(line.path)
        if known is None or STRENGTH[line.algorithm] < STRENGTH[known.algorithm]:
            best[line.path] = line
    return list(best.values())


def _read_file(path: Path) -> str:
    """A list beside an image; empty if it is none that can be read."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_LIST_BYTES:
            return ""
        return path.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
