"""One FAT volume that firmware may look into, and the loaders in it: what they are, who signed them, what
GRUB has built in. Reads, judges nothing of the routes.

Sources: UEFI 2.10 §3.5.1.1 (\\EFI\\BOOT\\BOOT{arch}.EFI); shim's ``README.fallback`` and ``SBAT.md``;
Microsoft FAT specification 1.03 (“clean shutdown” bits in the second entry of the table).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mediakit.errors import FormatError
from mediakit.formats import grub_core, pe
from mediakit.formats.fat_read import Fat
from mediakit.formats.grub_core import GrubCore
from mediakit.formats.pe import EfiProgram
from mediakit.formats.reader import Reader, bytes_reader, sub_reader
from mediakit.plain import dataclass

if TYPE_CHECKING:
    from mediakit.iso.image import Image

NAMES = {
    "x64": "64-bit x86",
    "ia32": "32-bit x86",
    "aa64": "64-bit ARM",
    "arm": "32-bit ARM",
    "riscv64": "64-bit RISC-V",
    "loongarch64": "LoongArch",
}
LOADERS = {machine: f"EFI/BOOT/BOOT{machine.upper()}.EFI" for machine in NAMES}
SECOND_STAGES = ("grubx64.efi", "gcdx64.efi")
"""What a shim starts that does not say it."""
MAX_LOADER_BYTES = 64 << 20
_CLEAN_BITS = {16: 0x8000, 32: 0x08000000}
_TRACES = {
    "System Volume Information": "Windows",
    "$RECYCLE.BIN": "Windows",
    ".Trashes": "macOS",
    ".Spotlight-V100": "macOS",
    ".fseventsd": "macOS",
}


@dataclass(frozen=True)
class EfiFile:
    """A loader. ``kind``: shim, grub, systemd-boot or empty; ``offset_bytes`` is its place in the image.

    ``starts``: what a shim says that it starts, a name in its own folder.
    """

    path: str
    kind: str
    program: EfiProgram
    offset_bytes: int | None
    size_bytes: int
    core: GrubCore | None = None
    is_altered: bool = False
    vendors: tuple[str, ...] = ()
    revocations: tuple[tuple[str, int], ...] = ()
    starts: str = ""

    @property
    def dos_path(self) -> str:
        """The path as firmware and people write it."""
        return "\\" + self.path.replace("/", "\\")

    @property
    def sbat(self) -> str:
        """SBAT's generations in few words: ``shim 4, grub 5``; empty where it has none."""
        named = [e for e in self.program.sbat if e.component in ("shim", "grub", "xen", "systemd-boot")]
        return ", ".join(f"{entry.component} {entry.generation}" for entry in named)


@dataclass(frozen=True)
class EfiVolume:
    """One FAT that firmware may find; ``why_not`` is empty when it holds a loader for x64."""

    origin: str
    offset_bytes: int
    size_bytes: int
    loaders: dict[str, EfiFile]
    second_stage: EfiFile | None
    why_not: str
    damaged: tuple[tuple[str, str], ...] = ()
    fat: Fat | None = None
    is_dirty: bool = False
    traces: tuple[tuple[str, str], ...] = ()

    @property
    def loader(self) -> EfiFile | None:
        return self.loaders.get("x64")

    @property
    def is_for_others(self) -> bool:
        """Whether it was made for machines other than x64: it has their loaders, and none that is damaged."""
        return bool(self.loaders) and self.loader is None and LOADERS["x64"] not in dict(self.damaged)

    @property
    def chain(self) -> tuple[EfiFile, ...]:
        """What starts one another on x64: the first loader, then what a shim starts."""
        first = self.loader
        if first is None:
            return ()
        follows = first.kind == "shim" and self.second_stage is not None
        return (first, self.second_stage) if follows and self.second_stage else (first,)


class VolumeCache:
    """Looks at each place in the image once, however many tables point there."""

    def __init__(self, image: Image, known: Iterable[EfiVolume] = ()) -> None:
        """``known`` volumes are taken as they are."""
        self._image = image
        self._seen: dict[int, EfiVolume] = {volume.offset_bytes: volume for volume in known}

    def look(self, origin: str, offset: int) -> EfiVolume:
        """The FAT at ``offset``, and the loaders in it."""
        if offset not in self._seen:
            self._seen[offset] = examine(self._image, origin, offset)
        return self._seen[offset]


def examine(image: Image, origin: str, offset: int) -> EfiVolume:
    """The volume at ``offset`` of the image; ``why_not`` says what keeps it from booting x64."""
    left = image.size_bytes - offset
    damaged: list[tuple[str, str]] = []
    loaders: dict[str, EfiFile] = {}
    try:
        fat = Fat(sub_reader(image.reader, offset, left))
        size = fat.volume.size_bytes
        if size > left:
            return EfiVolume(origin, offset, size, {}, None, "the FAT filesystem is cut off.")
        for machine, path in LOADERS.items():
            found = _load(fat, path, offset, damaged)
            if found is not None and found.program.machine == machine and found.program.is_efi_application:
                loaders[machine] = found
        first = loaders.get("x64")
        names = (first.starts,) if first is not None and first.starts else SECOND_STAGES
        seconds = (_load(fat, f"EFI/BOOT/{name}", offset, damaged) for name in names)
        second = next((found for found in seconds if found is not None), None)
        dirty, traces = is_dirty(fat), find_traces(fat)
    except FormatError as error:
        return EfiVolume(origin, offset, 0, {}, None, error.message)
    why_not = ""
    if "x64" not in loaders:
        reasons = dict(damaged)
        why_not = "there is no \\EFI\\BOOT\\BOOTX64.EFI in it that is a loader for x64."
        if loaders:
            others = " and ".join(f"{NAMES[machine]} ({machine})" for machine in loaders)
            why_not = f"its loader is for {others}; there is none for {NAMES['x64']} (x64)."
        if LOADERS["x64"] in reasons:
            why_not = f"\\EFI\\BOOT\\BOOTX64.EFI in it is no loader: {reasons[LOADERS['x64']]}"
    return EfiVolume(origin, offset, size, loaders, second, why_not, tuple(damaged), fat, dirty, traces)


def is_dirty(fat: Fat) -> bool:
    """Whether the volume was not unmounted cleanly; FAT12 has no mark for it."""
    bit = _CLEAN_BITS.get(fat.type)
    return bit is not None and not fat.table.get(1) & bit


def find_traces(fat: Fat) -> tuple[tuple[str, str], ...]:
    """Folders that Windows or macOS left in the root, with who did."""
    names = {entry.name for entry in fat.names(0)}
    return tuple((name, who) for name, who in _TRACES.items() if name in names)


def _load(fat: Fat, path: str, base: int, damaged: list[tuple[str, str]]) -> EfiFile | None:
    """A loader through its extents: sparse when it is contiguous."""
    try:
        entry = fat.find(path)
        if entry is None or entry.is_directory:
            return None
        if entry.size_bytes > MAX_LOADER_BYTES:
            raise FormatError(f"It has {entry.size_bytes} bytes, more than any loader.")
        extents = fat.extents(path)
        size = sum(length for _, length in extents)
        start = extents[0][0] if len(extents) == 1 else None
        reader: Reader
        if start is not None:
            reader = sub_reader(fat.reader, start, size)
        else:
            data = fat.read(path, MAX_LOADER_BYTES)
            size, reader = len(data), bytes_reader(data)
        program = pe.read(reader, size)
    except FormatError as error:
        damaged.append((path, error.message))
        return None
    return describe(reader, size, program, path, None if start is None else base + start)


def describe(
    reader: Reader, size_bytes: int, program: EfiProgram, path: str, offset_bytes: int | None
) -> EfiFile:
    """What a program is and carries."""
    core = grub_core.read_efi(reader, program)
    kind = ""
    if program.generation("shim") is not None or program.section(".vendor_cert") is not None:
        kind = "" if path.casefold().endswith(("mmx64.efi", "fbx64.efi")) else "shim"
    elif core is not None or program.generation("grub") is not None:
        kind = "grub"
    elif program.section(".sdmagic") or program.generation("systemd-boot") is not None:
        kind = "systemd-boot"
    digests = {signer.digest for signer in program.signers if signer.digest}
    altered = False
    try:
        if digests:
            altered = pe.digest(reader, size_bytes, program) not in digests
    except FormatError:
        altered = True
    vendors = pe.vendor_names(reader, program) if kind == "shim" else ()
    revoked = pe.carried_revocations(reader, program) if kind == "shim" else ()
    starts = pe.next_loader(reader, size_bytes) if kind == "shim" else ""
    return EfiFile(path, kind, program, offset_bytes, size_bytes, core, altered, vendors, revoked, starts)
