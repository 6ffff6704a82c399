"""Owns making a new hybrid ISO from files and boot images, through xorriso: bootable by BIOS and UEFI, from
disc and from stick. What is in the files is the caller's business.

ISO 9660 level 3, Rock Ridge and Joliet; GRUB's hybrid MBR; El Torito for BIOS (with boot info) and UEFI (the
appended ESP image); a GPT whose first partition is typed Linux (Windows would offer to format "basic data").
Same spec, same bytes. OUT appears only when it is complete.
Sources: ECMA-119; El Torito 1.0; UEFI 2.10 §5.3 and §13.3.2; xorrisofs(1); GRUB's ``boot/i386/pc/boot.S``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mediakit import run
from mediakit.errors import DeviceError, RefusedError, SourceError
from mediakit.formats import gpt
from mediakit.formats.reader import file_reader
from mediakit.plain import dataclass
from mediakit.units import MIB, SECTOR, align_up, format_size

BLOCK = 2048
ALIGNMENT_PATH = "/boot/alignment"
CATALOG_PATH = "/boot/grub/boot.cat"
_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LBA = re.compile(r"^File data lba:\s*(\d+) ,\s*(\d+) ,\s*(\d+) ,\s*(\d+) , '(.*)'$")


@dataclass(frozen=True)
class IsoFile:
    """A file of the tree: its absolute path in the ISO, and where its bytes are."""

    path: str
    source: Path | bytes

    @property
    def size_bytes(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


@dataclass(frozen=True)
class IsoSpec:
    """Everything an ISO is made of. ``first`` are paths that are laid out first, the first one of them at a
    multiple of 1 MiB; ``identity`` seeds every id; ``created`` (seconds) is every date."""

    files: tuple[IsoFile, ...]
    volume_id: str
    bios_image: str
    hybrid_mbr: bytes
    esp_image: bytes
    first: tuple[str, ...]
    identity: str
    created: int
    publisher: str = "Engine"


@dataclass(frozen=True)
class IsoLayout:
    """Where things ended up: (offset, size) in bytes. Files above 4 GiB have one contiguous range too."""

    files: dict[str, tuple[int, int]]
    esp: tuple[int, int]
    size_bytes: int


Finish = Callable[[Path, IsoLayout], None]


def build_iso(spec: IsoSpec, out: Path, *, finish: Finish | None = None) -> IsoLayout:
    """Write the ISO of ``spec`` to ``out``; ``finish`` may patch the finished file before it gets its name.

    RefusedError when there is no room, SourceError when an input is missing, DeviceError when xorriso fails.
    """
    _check(spec, out)
    part = out.with_name(out.name + ".part")
    try:
        with tempfile.TemporaryDirectory(prefix="mediakit-iso-") as scratch:
            work = Path(scratch)
            _xorriso(spec, part, work, BLOCK, probe=True)
            start = locate(part)[ALIGNMENT_PATH][0]
            padding = align_up(start + 1, MIB) - start
            _xorriso(spec, part, work, padding)
        _tidy_tables(spec, part)
        layout = _layout(part)
        if layout.files[spec.first[0]][0] % MIB:
            raise DeviceError(f"{spec.first[0]} was not laid out at a multiple of 1 MiB.", "Report this.")
        if finish is not None:
            finish(part, layout)
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)
    return layout


def locate(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size in bytes of every file's content in the ISO ``path``, as xorriso sees it."""
    done = run.run(
        [
            "xorriso",
            "-indev",
            f"stdio:{run.safe_path(path)}",
            "-find",
            "/",
            "-type",
            "f",
            "-exec",
            "report_lba",
        ],
        timeout=120,
    )
    found: dict[str, tuple[int, int]] = {}
    for line in done.text.splitlines():
        match = _LBA.match(line)
        if match is not None and int(match[1]) == 0:
            found[match[5]] = (int(match[2]) * BLOCK, int(match[4]))
    return found


def _layout(path: Path) -> IsoLayout:
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        reader = file_reader(file.fileno(), size_bytes)
        state = gpt.read(reader, size_bytes, SECTOR)
        # The boot record names the catalog (El Torito §2.0), which xorriso reports no LBA of.
        catalog = int.from_bytes(reader(17 * BLOCK + 0x47, 4), "little") * BLOCK
    if state.primary is None or state.backup is None or len(state.primary.partitions) != 2:
        raise DeviceError("The partition table of the new ISO is not what it should be.", "Report this.")
    esp = state.primary.partitions[1]
    files = locate(path) | {CATALOG_PATH: (catalog, BLOCK)}
    return IsoLayout(files, (esp.start_lba * SECTOR, esp.sectors * SECTOR), size_bytes)


def _check(spec: IsoSpec, out: Path) -> None:
    total = len(spec.esp_image) + 4 * MIB
    for file in spec.files:
        if isinstance(file.source, Path) and not file.source.is_file():
            raise SourceError(f"{file.source} is not a file.", "The ISO needs it.")
        total += align_up(file.size_bytes, BLOCK)
    if not out.parent.is_dir():
        raise SourceError(f"The folder {out.parent} does not exist.", "Make it first.")
    if out.exists() and not out.is_file():
        raise RefusedError(f"{out} is not an ordinary file.", "Build to a file, then use mediakit write.")
    free = shutil.disk_usage(out.parent).free
    if total > free:
        raise RefusedError(
            f"The ISO needs {format_size(total)}, {out.parent} has {format_size(free)} free.",
            "Make room, or build to another filesystem.",
        )


def _xorriso(spec: IsoSpec, out: Path, work: Path, padding: int, *, probe: bool = False) -> None:
    """Run xorriso once; a probe gives every file one block, to learn where the files begin."""
    out.unlink(missing_ok=True)
    grafts = []
    for number, file in enumerate((*spec.files, IsoFile(ALIGNMENT_PATH, bytes(padding)))):
        if isinstance(file.source, bytes):
            # Equal bytes under two names are one file here, and one extent in the ISO.
            source = work / hashlib.sha256(file.source).hexdigest()
            source.write_bytes(file.source)
        else:
            source = file.source
        if probe and file.path != spec.bios_image:
            source = work / f"probe-{number}"
            source.write_bytes(bytes(BLOCK))
        grafts.append(f"{_escape(file.path)}={_escape(run.safe_path(source))}")
    (work / "grafts").write_text("\n".join(grafts) + "\n")
    (work / "mbr.img").write_bytes(spec.hybrid_mbr)
    (work / "esp.img").write_bytes(spec.esp_image)
    total = sum(file.size_bytes for file in spec.files)
    try:
        run.run(
            _argv(spec, out, work),
            timeout=300 + total // (4 * MIB),
            env={"SOURCE_DATE_EPOCH": str(spec.created)},
        )
    except run.ToolError as error:
        text = error.completed.error_text if error.completed else ""
        if "No space left" in text:
            raise RefusedError(
                f"{out.parent} is full.", "Make room, or build to another filesystem."
            ) from error
        raise


def _argv(spec: IsoSpec, out: Path, work: Path) -> list[str]:
    date = datetime.fromtimestamp(spec.created, UTC).strftime("%Y%m%d%H%M%S") + "00"
    argv = ["xorriso", "-as", "mkisofs", "-quiet", "-iso-level", "3", "-r", "-J", "-joliet-long"]
    argv += ["-file-mode", "0444", "-dir-mode", "0555", "-V", spec.volume_id, "-publisher", spec.publisher]
    argv += [f"--modification-date={date}", "--set_all_file_dates", date, "-c", CATALOG_PATH.lstrip("/")]
    argv += ["--grub2-mbr", str(work / "mbr.img"), "--mbr-force-bootable", "-partition_offset", "0"]
    argv += ["-b", spec.bios_image.lstrip("/"), "-no-emul-boot", "-boot-load-size", "4"]
    argv += ["-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot"]
    argv += ["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]
    argv += ["-append_partition", "2", _ESP, str(work / "esp.img"), "-appended_part_as_gpt"]
    argv += ["-iso_mbr_part_type", _LINUX, "--gpt_disk_guid", str(_uuid(spec, "disk"))]
    for weight, path in enumerate((*reversed(spec.first), ALIGNMENT_PATH), start=1000):
        argv += ["--sort-weight", str(weight), path]
    return [*argv, "-graft-points", "-path-list", str(work / "grafts"), "-o", run.safe_path(out)]


def _tidy_tables(spec: IsoSpec, path: Path) -> None:
    """Give the MBR a disk id, type the ISO's partition Linux, and drop xorriso's filler partitions."""
    size_bytes = path.stat().st_size
    with path.open("r+b") as file:
        state = gpt.read(file_reader(file.fileno(), size_bytes), size_bytes, SECTOR)
        for side in (state.primary, state.backup):
            if side is None:
                raise DeviceError("xorriso wrote no valid partition table.", "Is it xorriso 1.5.4 or newer?")
            tidy = replace(side, partitions=_partitions(spec, side)).build(SECTOR)
            for lba, data in ((side.entries_lba, tidy.array), (side.header_lba, tidy.header)):
                file.seek(lba * SECTOR)
                file.write(data)
        file.seek(440)
        file.write(_disk_id(spec))


def _partitions(spec: IsoSpec, side: gpt.Gpt) -> tuple[gpt.GptPartition, ...]:
    esp = next(p for p in side.partitions if p.type_guid == uuid.UUID(_ESP))
    iso = min(side.partitions, key=lambda p: p.start_lba)
    return (
        replace(
            iso,
            index=1,
            name="engine-iso",
            type_guid=uuid.UUID(_LINUX),
            guid=_uuid(spec, "iso"),
            attributes=0,
        ),
        replace(esp, index=2, name="engine-medium-esp", guid=_uuid(spec, "esp"), attributes=0),
    )


def _disk_id(spec: IsoSpec) -> bytes:
    return hashlib.sha256(f"{spec.identity} mbr".encode()).digest()[:3] + b"\x45"  # never zero


def _uuid(spec: IsoSpec, what: str) -> uuid.UUID:
    return uuid.uuid5(uuid.UUID(_LINUX), f"{spec.identity} {what}")


def _escape(path: str) -> str:
    """A path as one side of a graft point (xorrisofs(1), -graft-points)."""
    return path.replace("\\", "\\\\").replace("=", "\\=")
