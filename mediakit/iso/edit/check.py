"""Whether an image can be edited at all, and whether a planned edit does what was asked and nothing else.

The plan is judged before anything is written, on the planned bytes, by the readers that everybody uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import iso9660
from mediakit.formats.iso9660 import BLOCK
from mediakit.formats.reader import sub_reader
from mediakit.iso.edit.changes import Carry, Change, Put, Remove, SetVolumeId
from mediakit.iso.edit.folders import EditTree, Folder, all_changed
from mediakit.iso.edit.forest import Forest
from mediakit.iso.edit.model import EditPlan
from mediakit.iso.edit.overlay import planned_image
from mediakit.iso.image import Image
from mediakit.iso.tree import Extent, Node, Tree

_WHOLE = "Write the image anew with the program that made it; mediakit reads it all the same."
_OTHER_TREES = {"udf": "UDF", "hfsplus": "HFS+", "hfs": "HFS"}
_DAMAGED = "Copy or download the image again."
_BY_FORCE = "Use --force if you know better."


def check_image(image: Image, changes: Sequence[Change]) -> None:
    """RefusedError for an image whose trees could not be kept right, with the reason."""
    facts = image.facts()
    if facts.is_truncated:
        raise RefusedError("The image is truncated: an edit would bury the damage.", _DAMAGED)
    if not any(isinstance(change, Put | Carry | Remove | SetVolumeId) for change in changes):
        return
    for kind, name in _OTHER_TREES.items():
        if kind in facts.structures.filesystems:
            raise RefusedError(
                f"The image has a tree of {name} too, which an edit would not keep right.", _WHOLE
            )
    if image.sessions.are_several:
        raise RefusedError("The image has several sessions: an edit would change one of them only.", _WHOLE)


def check_plan(image: Image, plan: EditPlan, forest: Forest, *, force: bool) -> tuple[str, ...]:
    """RefusedError when a route would fail that works now; FormatError when a tree is not what was wanted.

    With ``force`` failing routes come back as remarks.
    """
    broken: list[str] = []
    planned = planned_image(image, plan)
    before, after = image.facts(), planned.facts()
    if after.is_truncated:
        raise FormatError("The edited image would look truncated.", "Report this.")
    for name, route in before.boot.items():
        now = getattr(after.boot, name)
        if route.ok and not now.ok:
            what = f"After this edit the image would no longer boot by {_ROUTES.get(name, name)}: {now.why}"
            if not force:
                raise RefusedError(what, _BY_FORCE)
            broken.append(f"It no longer boots by {_ROUTES.get(name, name)}: {now.why}")
    for grove in forest.groves:
        tree = grove.tree
        start = tree.base * BLOCK
        size = plan.new_size_bytes - start
        reader = sub_reader(planned.reader, start, size)
        for old in grove.volumes:
            volume = iso9660.parse_volume(reader(old.lba * BLOCK, BLOCK), old.lba)
            _check_tree(tree, Tree(reader, size, volume), volume.root.lba)
    return tuple(broken)


def _check_tree(tree: EditTree, now: Tree, root_lba: int) -> None:
    wanted_root = tree.root.new_lba if tree.root.is_changed else tree.root.lba
    if root_lba != wanted_root:
        raise FormatError("The edited image would have another root folder.", "Report this.")
    for folder in all_changed(tree.root):
        extent = Extent(folder.new_lba * BLOCK, folder.new_bytes)
        node = Node(folder.name, "directory", extent.size_bytes, (extent,), ())
        found = {name: (child.kind, _places(child)) for name, child in now.children(node).items()}
        if found != _wanted(tree, folder):
            raise FormatError(
                f"The edited folder “{folder.path or '/'}” would not read as it should.", "Report this."
            )


def _wanted(tree: EditTree, folder: Folder) -> dict[str, tuple[str, list[tuple[int, int]]]]:
    wanted: dict[str, tuple[str, list[tuple[int, int]]]] = {}
    for entry in folder.entries:
        if entry.is_hidden:
            continue
        child = entry.child
        if entry.rock.child_lba is not None:
            link = entry.link
            lba = link.new_lba if link is not None and link.is_changed else entry.rock.child_lba
            place = [(lba * BLOCK, -1)]
        elif child is not None and child.is_changed:
            place = [(child.new_lba * BLOCK, child.new_bytes)]
        elif entry.put is not None:
            place = [(offset - tree.base * BLOCK, size) for offset, size in entry.put.extents]
        else:
            place = [
                (
                    int.from_bytes(raw[2:6], "little") * BLOCK + raw[1] * BLOCK,
                    int.from_bytes(raw[10:14], "little"),
                )
                for raw in entry.raws
            ]
        wanted.setdefault(entry.name, (entry.kind, _join(place)))
    return wanted


def _places(node: Node) -> list[tuple[int, int]]:
    if node.records and not node.records[0].is_directory and node.kind == "directory":
        return [(node.extents[0].offset_bytes, -1)]
    return _join([(extent.offset_bytes, extent.size_bytes) for extent in node.extents])


def _join(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring pieces joined, empty ones left out."""
    joined: list[tuple[int, int]] = []
    for offset, size in places:
        if not size:
            continue
        if joined and sum(joined[-1]) == offset:
            joined[-1] = (joined[-1][0], joined[-1][1] + size)
        else:
            joined.append((offset, size))
    return joined


_ROUTES = {
    "bios_cd": "BIOS from disc",
    "bios_usb": "BIOS from a stick",
    "uefi_cd": "UEFI from disc",
    "uefi_usb": "UEFI from a stick",
    "secure_boot": "Secure Boot",
}
