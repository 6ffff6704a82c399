"""The boot structures of an image, raw: boot catalog, MBR, GPT, filesystems. No judgement."""

from __future__ import annotations

from collections import deque
from dataclasses import field
from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats import apm, bootinfo, eltorito, gpt, iso9660, mbr
from mediakit.formats.findings import Finding
from mediakit.formats.iso9660 import BLOCK
from mediakit.iso.nodes import FileTree, Node
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.image import Image

SECTOR = 512
_HFS = {b"H+": "hfsplus", b"HX": "hfsplus", b"BD": "hfs"}
MAX_NAMES_SEARCHED = 3000
"""How many names are looked at to find the path of a boot image: inspecting must not depend on tree size."""


@dataclass(frozen=True)
class Structures:
    """What lies around the files. ``paths`` gives the file that starts at a block, for boot images."""

    size_bytes: int
    catalog: eltorito.BootCatalog | None
    mbr: mbr.Mbr | None
    mbr_kind: str
    mbr_pointer: int
    gpt: gpt.GptState
    filesystems: tuple[str, ...]
    apple_map: apm.AppleMap | None = None
    paths: dict[int, tuple[str, int]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    first_sector: bytes = b""
    catalog_lba: int | None = None
    boot_sectors: frozenset[int] = frozenset()
    """Where MBR partitions start with a boot sector that has code."""
    has_grub_core: bool = False

    @property
    def has_unmarked_code(self) -> bool:
        """Whether the first sector has an MBR's known code, but not the mark 55 AA (and is not Apple's)."""
        is_apples = self.first_sector[:2] == apm.DRIVER_SIGNATURE
        known = bootinfo.mbr_kind(self.first_sector) not in ("none", "other")
        return self.mbr is None and known and not is_apples


def gather(image: Image) -> Structures:
    """Read everything once; damage becomes findings."""
    findings: list[Finding] = []
    catalog = _catalog(image, findings)
    first = image.read_at(0, SECTOR)
    # Apple's driver record lies there too, and old discs have anything behind it, 55 AA included
    is_apples = first[:2] == apm.DRIVER_SIGNATURE and not mbr.has_table(first)
    record = mbr.parse(first) if mbr.has_signature(first) and not is_apples else None
    table = _gpt(image, record, catalog)
    apple = _apple_map(image, findings)
    # images that are appended partitions lie behind the filesystem and are no files of it
    end = max(volume.space_blocks for volume in image.descriptors.volumes)
    wanted = {entry.lba for entry in catalog.entries if entry.lba < end} if catalog else set()
    return Structures(
        size_bytes=image.size_bytes,
        catalog=catalog,
        mbr=record,
        mbr_kind=bootinfo.mbr_kind(first) if record else "none",
        mbr_pointer=bootinfo.mbr_pointer(first),
        gpt=table,
        filesystems=_filesystems(image, apple, table),
        apple_map=apple,
        paths=_find_paths(image.tree, wanted, findings),
        findings=tuple(findings),
        first_sector=first,
        catalog_lba=image.descriptors.boot_catalog_lba,
        boot_sectors=_boot_sectors(image, record),
        has_grub_core=_has_grub_core(image, first) if record else False,
    )


def _gpt(image: Image, record: mbr.Mbr | None, catalog: eltorito.BootCatalog | None) -> gpt.GptState:
    table = gpt.read(image.reader, image.size_bytes, SECTOR)
    if table.backup is None or not _is_stale(image, table, record, catalog):
        return table
    what = "The last sectors hold the backup GPT of an earlier use, not this image's."
    place = table.backup.header_lba * SECTOR
    return gpt.GptState(None, None, (Finding("note", what, "Harmless: nothing looks there.", place, SECTOR),))


def _is_stale(
    image: Image, table: gpt.GptState, record: mbr.Mbr | None, catalog: eltorito.BootCatalog | None
) -> bool:
    """Whether the only GPT is a backup that a stick's earlier contents left at its end.

    It is the image's own where an MBR announces a GPT, where a primary header or its entries are left in the
    system area, or where it has a partition that starts at a boot image for UEFI.
    """
    if table.primary is not None or table.backup is None or (record is not None and record.has_protective):
        return False
    area = image.read_at(0, iso9660.FIRST_DESCRIPTOR * BLOCK)
    if area[SECTOR : SECTOR + 8] == gpt.SIGNATURE:
        return False
    entries = image.read_at(table.backup.entries_lba * SECTOR, gpt.ENTRY_BYTES)
    if any(entries) and entries in area:
        return False
    boots = {entry.lba * BLOCK for entry in catalog.entries if entry.is_efi} if catalog else set()
    return not any(p.start_lba * SECTOR in boots for p in table.backup.partitions)


def _boot_sectors(image: Image, record: mbr.Mbr | None) -> frozenset[int]:
    found = set()
    for partition in record.partitions if record else ():
        start = partition.start_lba * SECTOR
        if 0 < start <= image.size_bytes - SECTOR:
            sector = image.read_at(start, SECTOR)
            if mbr.has_signature(sector) and sector[0] in (0xE9, 0xEB) and any(sector[90:440]):
                found.add(partition.start_lba)
    return frozenset(found)


def _has_grub_core(image: Image, first: bytes) -> bool:
    """Whether GRUB's ``diskboot`` lies where its MBR for disks points (its messages are in it)."""
    start = bootinfo.grub2_disk_pointer(first) * SECTOR
    if not 0 < start <= image.size_bytes - SECTOR:
        return False
    sector = image.read_at(start, SECTOR)
    return b"loading" in sector and b"Geom" in sector


def _catalog(image: Image, findings: list[Finding]) -> eltorito.BootCatalog | None:
    lba = image.descriptors.boot_catalog_lba
    if lba is None:
        return None
    where = lba * BLOCK
    try:
        catalog = eltorito.parse(image.read_at(where, BLOCK))
    except FormatError as error:
        hint = "No firmware boots this from disc. Copy or download the image again."
        findings.append(Finding("error", error.message, hint, where, BLOCK))
        return None
    if not catalog.checksum_ok:
        what = "The checksum of the boot catalog is wrong."
        findings.append(Finding("error", what, "Many BIOSes refuse such a disc.", where, 32))
    return catalog


def _apple_map(image: Image, findings: list[Finding]) -> apm.AppleMap | None:
    try:
        found = apm.read(image.reader, image.size_bytes)
    except FormatError as error:
        findings.append(Finding("warning", error.message, "Only Macs look at it.", 512, 2048))
        return None
    for partition in found.partitions if found else ():
        assert found is not None
        start, size = partition.start_block * found.block_bytes, partition.blocks * found.block_bytes
        if start + size > image.size_bytes and partition.type != apm.TYPE_FREE:
            what = f"Apple partition {partition.index} ends behind the image."
            findings.append(Finding("warning", what, "Only Macs look at it.", start, size))
    return found


def _filesystems(image: Image, apple: apm.AppleMap | None, table: gpt.GptState) -> tuple[str, ...]:
    """What holds files, as names of ``inspect --json``; an Apple partition map is named among them."""
    found = ["iso9660"]
    found += [tree.kind for tree in image.trees if tree.kind != "iso9660"]
    if any(volume.kind == "enhanced" for volume in image.descriptors.volumes):
        found.append("iso9660_1999")
    if iso9660.has_udf(image.reader, image.size_bytes):
        found.append("udf")
    starts = [0]
    if apple is not None:
        found.append("apple_partition_map")
        starts += [p.start_block * apple.block_bytes for p in apple.partitions if p.is_hfs]
    starts += [p.start_lba * SECTOR for p in table.gpt.partitions] if table.gpt else []
    found += [_HFS[mark] for mark in (_mark(image, start) for start in starts) if mark in _HFS]
    return tuple(dict.fromkeys(found))


def _mark(image: Image, start: int) -> bytes:
    """The signature of an HFS or HFS+ volume that starts at a byte (Apple TN1150, “Volume Header”)."""
    return image.read_at(start + 1024, 2) if 0 <= start <= image.size_bytes - 1026 else b""


def _find_paths(tree: FileTree, wanted: set[int], findings: list[Finding]) -> dict[int, tuple[str, int]]:
    """Paths and sizes of the files that start at the wanted blocks, breadth first, as far as is cheap."""
    found: dict[int, tuple[str, int]] = {}
    folders: deque[tuple[str, Node]] = deque([("", tree.root)])
    seen = {tree.root.extents[0].offset_bytes}
    looked_at = 0
    try:
        while folders and len(found) < len(wanted) and looked_at < MAX_NAMES_SEARCHED:
            prefix, folder = folders.popleft()
            for name, node in tree.children(folder).items():
                looked_at += 1
                start = node.extents[0].offset_bytes
                if node.kind == "file" and node.size_bytes and start // BLOCK in wanted:
                    found[start // BLOCK] = (f"{prefix}/{name}", node.size_bytes)
                elif node.kind == "directory" and start not in seen:
                    seen.add(start)
                    folder_is_likely = name.casefold() in ("boot", "efi", "isolinux", "images", "grub")
                    (folders.appendleft if folder_is_likely else folders.append)((f"{prefix}/{name}", node))
    except FormatError as error:
        findings.append(Finding("error", error.message, error.hint))
    return found
