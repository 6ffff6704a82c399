"""What somebody wants of ``rewrite``, made into the changes of one image. Pure planning; knows Engine media.

An Engine medium is changed under /custom only (``engine.customise``); on any other image the boot menus
themselves are edited. Planning the bytes and writing them is the work of ``iso.edit``.
"""

from __future__ import annotations

import os
import stat
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mediakit import iso
from mediakit.engine import manifest
from mediakit.errors import RefusedError, SourceError, UsageError
from mediakit.formats.reader import Reader
from mediakit.iso.edit.changes import Change, Put, Remove, SetVolumeId
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.engine import customise
    from mediakit.engine.image import EngineImage
    from mediakit.engine.signature import SecretKey
    from mediakit.iso.menuedit.menuentries import NewEntry
    from mediakit.iso.menuedit.menus import MenuPlan

# What only some requests need (Engine media, menus, labels, USB) is imported where it is used: loading all of
# it takes longer than adding a file.
MAX_ADDED_FILES = 50_000


@dataclass(frozen=True)
class Request:
    """Everything that can be asked for; the defaults ask for nothing."""

    files: tuple[Put | Remove, ...] = ()
    kernel_arguments: tuple[str, ...] = ()
    default: str = ""
    timeout_seconds: int | None = None
    answers: str | None = field(default=None, repr=False)
    branding: Path | None = None
    label: str = ""
    usb_bootable: bool = False
    by: str = ""
    signer: str = ""
    key: SecretKey | None = None
    force: bool = False
    removed_arguments: tuple[str, ...] = ()
    entries: tuple[NewEntry, ...] = ()
    removed_entries: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        optional = (self.answers, self.branding, self.key)
        asked = (self.files, self.edits_menus, self.usb_bootable)
        return not any(asked) and all(value is None for value in optional)

    @property
    def edits_menus(self) -> bool:
        """Whether a boot menu says anything of what is asked for; one that names the label does."""
        arguments = (self.kernel_arguments, self.removed_arguments)
        asked = (*arguments, self.entries, self.removed_entries, self.default, self.label)
        return any(asked) or self.timeout_seconds is not None


@dataclass(frozen=True)
class Changes:
    """The changes in order, and remarks for people. ``is_engine``: the manifest must still hold.

    ``risks``: what a cut in the middle would leave where they are made in place.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    is_engine: bool
    risks: tuple[str, ...] = ()


def gather(image: iso.Image, request: Request, *, now: int) -> Changes:
    """The changes that ``request`` means for ``image``; refusals and usage errors say what cannot be."""
    is_engine = image.exists(manifest.PATH)
    changes: list[Change] = []
    notes: list[str] = []
    risks: tuple[str, ...] = ()
    if is_engine:
        _refuse_entries(request)
        from mediakit.engine import customise
        from mediakit.engine.image import open_engine

        with open_engine(image.path) as engine:
            customised = customise.plan(engine, image, _wish(request))
        changes += customised.changes
        notes += customised.notes
    else:
        _refuse_engine_only(request)
        files, there = _without_what_is_there(image, request.files)
        changes += files
        notes += there
        if request.edits_menus:
            planned = _plan_menus(image, request, now)
            _refuse_conflict(request.files, planned.changes)
            changes += planned.changes
            notes += planned.notes
            risks = planned.risks
    if request.label:
        from mediakit.iso.menuedit import labels

        old = image.facts().volume_id
        has_joliet = any(tree.kind == "joliet" for tree in image.trees)
        notes += labels.check(request.label, old, has_joliet=has_joliet)
        if request.label != old:
            notes += _check_built_in(image, old, force=request.force)
            changes.append(SetVolumeId(request.label))
    if request.usb_bootable:
        from mediakit.iso.edit import usb

        made = usb.plan(image)
        changes += made.patches
        notes += made.notes
    if changes and not is_engine:
        from mediakit.engine import newsums

        lists, renewed = newsums.plan(image, changes)
        changes += lists
        notes += renewed
    return Changes(tuple(changes), tuple(notes), is_engine, risks)


def _check_built_in(image: iso.Image, label: str, *, force: bool) -> list[str]:
    """RefusedError where a loader has the old label built in: it would no longer find the medium."""
    from mediakit.iso.menuedit import builtin

    found = builtin.loaders_with_label(image, label)
    if not found:
        return []
    what = f"The label “{label}” is built into {', '.join(found)}, which looks for it to find the medium."
    if not force:
        raise RefusedError(what, "Keep the label; with --force the image gets one that this loader misses.")
    return [f"{what} It no longer does."]


def _without_what_is_there(
    image: iso.Image, files: tuple[Put | Remove, ...]
) -> tuple[list[Put | Remove], list[str]]:
    """The files that differ from the image's, and remarks on the others: the same edit again is no edit."""
    if any(isinstance(change, Remove) for change in files):
        return list(files), []  # what is removed first is not there any more
    left: list[Put | Remove] = []
    notes = []
    for change in files:
        if isinstance(change, Put) and change.mode is None and _is_same(image, change):
            notes.append(f"{change.path} is there already, with the same contents.")
        else:
            left.append(change)
    return left, notes


def _is_same(image: iso.Image, put: Put) -> bool:
    size = len(put.source) if isinstance(put.source, bytes) else put.source.stat().st_size
    node = image.tree.find(put.path)
    if node is None or node.kind != "file" or node.size_bytes != size:
        return False
    if isinstance(put.source, bytes):
        return image.read(put.path) == put.source
    with put.source.open("rb") as file:
        return all(file.read(len(block)) == block for block in image.stream(put.path))


def check_manifest(
    engine: EngineImage,
    regions: list[tuple[int, int]],
    planned: Reader,
    *,
    force: bool,
    has_files: bool = True,
) -> list[str]:
    """RefusedError if ``regions`` (offset, size), once as in ``planned``, break what is signed.

    With ``force`` it is a remark. Without ``has_files`` the caller compares the files, which may have moved.
    """
    from mediakit.engine import customise

    look = customise.broken_parts if has_files else customise.broken_areas
    broken = look(engine, list(regions), planned)
    if not broken:
        return []
    what = f"The edit changes what the manifest signs: {', '.join(broken)}."
    if not force:
        raise RefusedError(what, "With --force it is done, and the medium no longer verifies as its maker's.")
    return [f"{what} The medium no longer verifies."]


def parse_add(text: str) -> list[Put]:
    """``SRC=DST`` as files to put: a file, or a folder with all that is in it.

    ``=`` may be in either name: the first split whose left side exists is taken. A DST that ends in ``/`` is
    the folder that SRC goes into. UsageError for anything else.
    """
    source, destination = _split(text)
    if not destination.startswith("/"):
        destination = f"/{destination}"
    if destination.endswith("/") and source.name not in ("", ".", ".."):
        destination += source.name
    destination = _as_in_image(destination.rstrip("/"))
    if source.is_dir():
        return _tree(source, destination)
    if not destination:
        raise UsageError(f"“{text}” says no place for the file.", "Write SRC=/PATH/IN/THE/IMAGE.")
    return [_put(destination, source)]


def parse_remove(text: str) -> Remove:
    """A path to remove; UsageError for the root."""
    path = "/" + _as_in_image(text.strip("/"))
    if path == "/":
        raise UsageError("The whole image cannot be removed.", "Name a file or folder in it.")
    return Remove(path)


def _wish(request: Request) -> customise.Wish:
    from mediakit.engine import customise

    return customise.Wish(
        kernel_arguments=request.kernel_arguments,
        default=request.default,
        timeout_seconds=request.timeout_seconds,
        answers=request.answers,
        branding=request.branding,
        changes=request.files,
        by=request.by,
        signer=request.signer,
        key=request.key,
        force=request.force,
        removed_arguments=request.removed_arguments,
    )


def _plan_menus(image: iso.Image, request: Request, now: int) -> MenuPlan:
    from mediakit.iso.menuedit import menus

    edit = menus.MenuEdit(
        kernel_arguments=request.kernel_arguments,
        default=request.default,
        timeout_seconds=request.timeout_seconds,
        removed_arguments=request.removed_arguments,
        entries=request.entries,
        removed_entries=request.removed_entries,
    )
    if request.label:
        edit = replace(edit, old_label=image.facts().volume_id, new_label=request.label)
    return menus.plan(image, edit, now=now)


def _refuse_engine_only(request: Request) -> None:
    asked = {
        "--answers": request.answers,
        "--branding": request.branding,
        "--sign": request.key,
        "--by": request.by or None,
    }
    for option, value in asked.items():
        if value is not None:
            raise RefusedError(
                f"{option} is for Engine media, and this image is none.", "Use --add to put files into it."
            )


def _refuse_entries(request: Request) -> None:
    if request.entries or request.removed_entries:
        raise RefusedError(
            "The menu of an Engine medium is signed: its entries stay as they are.",
            "--kernel-arg adds to all of them, --menu-default names the one that starts.",
        )


def _refuse_conflict(files: tuple[Put | Remove, ...], changed: tuple[object, ...]) -> None:
    """A menu that is put or removed by name cannot be edited in the same run."""
    edited = {change.path for change in changed if isinstance(change, Put | Remove)}
    for file in files:
        if any(path == file.path or path.startswith(file.path + "/") for path in edited):
            raise UsageError(
                f"{file.path} is changed by name and by an edit of the boot menus.",
                "Do one, then the other, in two runs.",
            )


def _split(text: str) -> tuple[Path, str]:
    at = text.find("=")
    while at >= 0:
        source = Path(text[:at])
        if text[:at] and os.path.lexists(source):
            return source, text[at + 1 :]
        at = text.find("=", at + 1)
    if "=" not in text:
        raise UsageError(
            f"“{text}” does not say where to.", "Write SRC=DST, such as logo.png=/boot/logo.png."
        )
    raise SourceError(f"{text.partition('=')[0]} does not exist.", "Check the path before the = sign.")


def _as_in_image(name: str) -> str:
    """A name from the command line or a folder: an image has UTF-8, whatever the locale made of the bytes."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def _put(destination: str, source: Path) -> Put:
    """A program stays one: executable files are put so, others as the image has them."""
    is_program = source.is_file() and bool(source.stat().st_mode & 0o111)
    return Put(destination, source, 0o555 if is_program else None)


def _tree(folder: Path, destination: str) -> list[Put]:
    """Every file below ``folder``; links that lead to files are followed, others and devices are refused."""
    found: list[Put] = []
    for root, names, files in os.walk(folder):
        names.sort()
        for name in names:
            if Path(root, name).is_symlink():
                raise UsageError(
                    f"{Path(root, name)} is a link to a folder.", "Add that folder by its own name."
                )
        for name in sorted(files):
            path = Path(root, name)
            if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
                raise UsageError(f"{path} is no ordinary file.", "Only files and folders can be added.")
            relative = _as_in_image(path.relative_to(folder).as_posix())
            found.append(_put(f"{destination}/{relative}", path))
            if len(found) > MAX_ADDED_FILES:
                raise UsageError(f"{folder} has more than {MAX_ADDED_FILES} files.", "Add less at once.")
    if not found:
        raise UsageError(f"{folder} has no files to add.", "Empty folders are not added.")
    return found
