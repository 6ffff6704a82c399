"""Whether an image that was written anew is as good as the old one: boot facts, names, kinds, contents.

Looks at both through the readers that everybody uses, and says what differs. Never writes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.iso.biosboot import BootImage
from mediakit.iso.edit.survey import Part, partitions, read_tables
from mediakit.iso.facts import ImageFacts
from mediakit.iso.image import Image
from mediakit.iso.tree import Node
from mediakit.progress import Cancel, Event, Observer
from mediakit.units import MIB

Span = tuple[int, int]
_FILLER = "Gap"
_TABLE = (8, 64)
_GRUB2_POINTER = (2548, 2556)


def differences(
    old: Image, new: Image, observer: Observer, cancel: Cancel, changed: Sequence[Span] | None = None
) -> Iterator[str]:
    """Sentences that end “the image would not be the same:”, the gravest first.

    ``changed``: outside of these parts (sorted, apart from each other) both are the same bytes; what is not
    read then is what lies in the same place in both.
    """
    yield from _boot(old, new)
    yield from _beside(old, new, changed)
    yield from _files(old, new, observer, cancel, changed)


def _boot(old: Image, new: Image) -> Iterator[str]:
    before, after = old.facts(), new.facts()
    if after.is_truncated:
        yield "its tables would say more than there is."
    if before.volume_id != after.volume_id:
        yield f"its label was “{before.volume_id}” and would be “{after.volume_id}”."
    for (name, route), (_, now) in zip(before.boot.items(), after.boot.items(), strict=True):
        if route.ok and not now.ok:
            yield f"it would lose a way to boot ({name}): {now.why}"
    missing = set(before.structures.filesystems) - set(after.structures.filesystems)
    if missing:
        yield f"it would lose its {sorted(missing)[0]} tree."
    if before.structures.gpt.primary is not None and after.structures.gpt.primary is None:
        yield "it would lose its partition table (GPT)."
    if _partitions(before) != _partitions(after):
        yield "its partition tables would have other entries."
    yield from _boot_images(before.boot_images, after.boot_images)


def _partitions(facts: ImageFacts) -> list[tuple[object, ...]]:
    """Numbers and kinds of all partitions but xorriso's fillers."""
    mbr, gpt = facts.structures.mbr, facts.structures.gpt.primary
    found: list[tuple[object, ...]] = [(p.index, p.type, p.active) for p in mbr.partitions] if mbr else []
    parts = gpt.partitions if gpt else ()
    return found + [(p.index, p.type_guid, p.guid, p.name) for p in parts if not p.name.startswith(_FILLER)]


def _boot_images(before: tuple[BootImage, ...], after: tuple[BootImage, ...]) -> Iterator[str]:
    """The entries of the boot catalog, in their order."""
    if len(before) != len(after):
        yield f"its boot catalog had {len(before)} entries and would have {len(after)}."
        return
    for old, new in zip(before, after, strict=True):
        was, now = old.entry, new.entry
        if (was.platform, was.emulation) != (now.platform, now.emulation):
            yield f"{old.name} would be of another kind in the boot catalog."
        elif was.load_sectors != now.load_sectors:
            yield f"firmware would load {now.load_sectors} sectors of {old.name}, not {was.load_sectors}."
        elif (old.table_ok, old.grub2_ok) > (new.table_ok, new.grub2_ok):
            yield f"{old.name} would not know where it lies."


def _beside(old: Image, new: Image, changed: Sequence[Span] | None) -> Iterator[str]:
    """Partitions that hold no files of the tree: EFI images that are appended, data behind the image."""
    places = {(part.table, part.index): part.start for part in data_partitions(new)}
    for part in data_partitions(old):
        start, size = places.get((part.table, part.index)), part.end - part.start
        if part.end > old.size_bytes or part.name.startswith(_FILLER):
            continue
        if start is None or start + size > new.size_bytes:
            yield f"its partition {part.index} would lie elsewhere."
            continue
        is_kept = start == part.start and changed is not None
        if is_kept and not _touches(part.start, part.end, changed or ()):
            continue
        for at in range(0, size, MIB):
            length = min(MIB, size - at)
            if old.read_at(part.start + at, length) != new.read_at(start + at, length):
                yield f"its partition {part.index} would have other content."
                break


def data_partitions(image: Image) -> list[Part]:
    """The partitions in which no file of the tree lies, but for one that is the partition."""
    starts = sorted(
        extent.offset_bytes
        for _, node in image.tree.walk()
        if node.kind == "file"
        for extent in node.extents
        if extent.size_bytes
    )
    parts = partitions(*read_tables(image.reader, image.size_bytes))
    # xorriso makes one of the first sector to carry the active flag
    return [
        part
        for part in parts
        if part.start >= FIRST_DESCRIPTOR * BLOCK
        and bisect_right(starts, part.start) == bisect_left(starts, part.end)
    ]


def _files(
    old: Image, new: Image, observer: Observer, cancel: Cancel, changed: Sequence[Span] | None
) -> Iterator[str]:
    """Every path, kind, permission and content of the old tree, in the new one."""
    loaders = {boot.path for boot in old.facts().boot_images if boot.entry.is_bios}
    found = dict(new.tree.walk())
    done = 0
    observer(Event("phase", str(new.path), "verify", total_bytes=old.size_bytes, message="comparing"))
    for path, node in old.tree.walk():
        cancel.check()
        other = found.pop(path, None)
        if other is None:
            yield f"{path} would be missing."
        elif (other.kind, other.target) != (node.kind, node.target):
            yield f"{path} would be of another kind."
        elif other.mode != node.mode:
            yield f"{path} would have other permissions."
        elif node.kind == "file" and not _is_catalog(old, node):
            is_kept = changed is not None and node.extents == other.extents and not _is_in(node, changed)
            if not is_kept and (
                other.size_bytes != node.size_bytes
                or _digest(old, node, path in loaders) != _digest(new, other, path in loaders)
            ):
                yield f"{path} would have other content."
            done += node.size_bytes
            observer(Event("progress", str(new.path), "verify", done, old.size_bytes))
    for path in found:
        yield f"{path} would be new."


def _is_in(node: Node, changed: Sequence[Span]) -> bool:
    return any(_touches(offset, offset + size, changed) for offset, size in node.extents)


def _touches(start: int, end: int, changed: Sequence[Span]) -> bool:
    at = bisect_right(changed, start, key=lambda span: span[1])
    return at < len(changed) and changed[at][0] < end


def _is_catalog(image: Image, node: Node) -> bool:
    """The boot catalog names places, which are others in the new image."""
    lba = image.descriptors.boot_catalog_lba
    return lba is not None and any(extent.offset_bytes == lba * BLOCK for extent in node.extents)


def _digest(image: Image, node: Node, is_loader: bool) -> bytes:
    """The digest of a file; a boot loader's without what it is told of its own place."""
    digest = hashlib.sha256()
    at = 0
    for extent in node.extents:
        for skip in range(0, extent.size_bytes, MIB):
            size = min(MIB, extent.size_bytes - skip)
            data = bytes(size) if extent.is_hole else image.read_at(extent.offset_bytes + skip, size)
            digest.update(_masked(data) if is_loader and not at else data)
            at += size
    return digest.digest()


def _masked(data: bytes) -> bytes:
    blank = bytearray(data)
    for start, end in (_TABLE, _GRUB2_POINTER):
        if len(data) >= end:
            blank[start:end] = bytes(end - start)
    return bytes(blank)


def remarks(old: Image, new: Image) -> Iterator[str]:
    """What is other, and no reason to refuse: sessions, and names in the trees that few people look at."""
    if old.sessions.are_several:
        yield "Its sessions became one, with the files that were shown so far."
    for tree in old.trees:
        other = next((found for found in new.trees if found.kind == tree.kind), None)
        if other is None or tree.kind == old.tree.kind:
            continue
        names = {path for path, _ in tree.walk()}
        changed = sorted(names - {path for path, _ in other.walk()})
        if changed:
            title = {"joliet": "Joliet tree (Windows)"}.get(tree.kind, "plain ISO 9660 tree")
            yield f"In the {title} {len(changed)} names were made anew, such as {changed[0]}."
