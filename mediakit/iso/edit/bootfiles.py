"""Boot images among the files that an edit replaces: what must follow, so that firmware finds the new ones.

The new image goes to the tail like any file; the catalog's entry and the MBR's pointer are switched, its boot
information is computed anew. The old image stays where it was until then, and after.
"""

from __future__ import annotations

import struct
from dataclasses import field

from mediakit.errors import RefusedError
from mediakit.formats import bootinfo
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.biosboot import MAX_BOOT_IMAGE_BYTES, BootImage
from mediakit.iso.edit.draft import Draft, Phase
from mediakit.iso.edit.folders import EditTree, Entry, NewFile
from mediakit.iso.edit.overlay import read_source
from mediakit.iso.edit.tables import Move
from mediakit.iso.image import Image
from mediakit.plain import dataclass
from mediakit.units import SECTOR


@dataclass
class BootFiles:
    """The boot images of one image, and those that the edit replaces."""

    image: Image
    replaced: list[tuple[BootImage, NewFile]] = field(default_factory=list)

    def put(self, tree: EditTree, old: Entry | None, file: NewFile) -> None:
        """Notice the replacement of a boot image; RefusedError for what cannot follow."""
        if old is None or old.kind != "file":
            return
        if old.put is not None:
            self.replaced = [(boot, file if f is old.put else f) for boot, f in self.replaced]
            return
        start = old.lba + tree.base
        if old.size_bytes and start == self.image.descriptors.boot_catalog_lba:
            raise RefusedError(
                f"{file.path} is the boot catalog: firmware reads it where it is.",
                "It is changed with the boot images it lists, not as a file.",
            )
        for boot in self.image.facts().boot_images:
            if boot.entry.lba == start and old.size_bytes:
                self._check(boot, file)
                self.replaced.append((boot, file))

    def check_removed(self, tree: EditTree, old: Entry, path: str) -> None:
        """RefusedError when a name of something that firmware starts is taken away."""
        starts = {boot.entry.lba for boot in self.image.facts().boot_images}
        starts.add(self.image.descriptors.boot_catalog_lba or -1)
        for entry, inner in _below(tree, old, path):
            if (
                entry.kind == "file"
                and entry.size_bytes
                and entry.put is None
                and entry.lba + tree.base in starts
            ):
                raise RefusedError(
                    f"{inner} is what firmware starts: without it the image would not boot.",
                    "Leave it in, or use --force.",
                )

    def contents(self, start: int, file: NewFile) -> bytes | None:
        """The bytes of a replaced BIOS boot image that will lie at byte ``start``; None for others."""
        boot = next((b for b, f in self.replaced if f is file and b.entry.is_bios), None)
        if boot is None or not (boot.table_ok or boot.grub2_ok):
            return None
        data = bytearray(read_source(file.source, 0, file.size_bytes))
        lba = start // BLOCK
        if boot.grub2_ok and len(data) >= bootinfo.GRUB2_OFFSET + 8:
            struct.pack_into("<Q", data, bootinfo.GRUB2_OFFSET, bootinfo.grub2_pointer_for(lba))
        if boot.table_ok and len(data) > 64:
            old = bootinfo.parse_table(self.image.read_at(boot.entry.lba * BLOCK, 64))
            total = bootinfo.checksum(bytes(data))
            table = bootinfo.BootInfoTable(old.descriptor_lba, lba, len(data), total)
            data[8:64] = table.build()
        return bytes(data)

    def moves(self) -> tuple[Move, ...]:
        """The partitions that are boot images by themselves follow them (offsets in bytes)."""
        return tuple(
            Move(boot.entry.lba * BLOCK, file.extents[0][0], file.size_bytes)
            for boot, file in self.replaced
            if file.extents
        )

    def plan(self, draft: Draft) -> None:
        """Switch catalog entries and the MBR's pointer to where the new images lie."""
        catalog = self.image.descriptors.boot_catalog_lba
        structures = self.image.facts().structures
        for boot, file in self.replaced:
            if catalog is None or not file.extents:
                continue  # a later change of the same edit took it out again
            new, old = file.extents[0][0] // BLOCK, boot.entry.lba
            where = catalog * BLOCK + boot.entry.slot * 32
            sectors = boot.entry.load_sectors
            if boot.entry.is_efi and sectors * SECTOR == -(-boot.size_bytes // SECTOR) * SECTOR:
                sectors = min(-(-file.size_bytes // SECTOR), 0xFFFF)
            draft.write(Phase.CATALOG, where + 6, struct.pack("<HI", sectors, new), "boot catalog")
            if boot.entry.is_bios and structures.mbr is not None:
                shift = structures.mbr_pointer - old * 4
                if shift in (0, 4) and structures.mbr_kind in ("isohybrid", "grub2", "memtest"):
                    pointer = struct.pack("<Q", new * 4 + shift)
                    draft.write(Phase.CATALOG, bootinfo.MBR_POINTER_OFFSET, pointer, "MBR: boot image")

    def follow(self, draft: Draft, old_start: int, new_start: int) -> None:
        """Catalog entries of an appended boot image that moved (offsets in bytes)."""
        catalog = self.image.descriptors.boot_catalog_lba
        for boot in self.image.facts().boot_images:
            if catalog is not None and boot.entry.lba * BLOCK == old_start:
                where = catalog * BLOCK + boot.entry.slot * 32 + 8
                draft.write(Phase.CATALOG, where, struct.pack("<I", new_start // BLOCK), "boot catalog")

    def _check(self, boot: BootImage, file: NewFile) -> None:
        if not file.size_bytes:
            raise RefusedError(f"{file.path} is a boot image; an empty one boots nothing.")
        if boot.entry.is_bios and file.size_bytes > MAX_BOOT_IMAGE_BYTES:
            raise RefusedError(f"{file.path} is too large for a BIOS boot image ({file.size_bytes} bytes).")
        if boot.entry.emulation in ("floppy", "hard disk") and file.size_bytes != boot.size_bytes:
            raise RefusedError(
                f"{file.path} is emulated as a {boot.entry.emulation}: the new image must have "
                f"{boot.size_bytes} bytes too, not {file.size_bytes}."
            )


def _below(tree: EditTree, entry: Entry, path: str) -> list[tuple[Entry, str]]:
    found = [(entry, path)]
    if entry.kind == "directory" and entry.child is not None:
        for inner in tree.load(entry.child):
            if not inner.is_hidden:
                if inner.kind == "directory":
                    tree.child(entry.child, inner)
                found += _below(tree, inner, f"{path}/{inner.name}")
    return found
