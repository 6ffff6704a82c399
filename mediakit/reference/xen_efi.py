"""Owns the unified xen.efi: Xen, its configuration, kernel and initrd in one PE file under one signature.

Debian's xen.efi needs two repairs before shim accepts what is made of it: COFF symbols off, and
IMAGE_SCN_MEM_DISCARDABLE cleared on ``.reloc`` (shim does not copy discardable sections, Xen reads its own).
Same inputs, same bytes: time stamps are taken out, and the signing time is SOURCE_DATE_EPOCH's.
Sources: PE/COFF specification §3–5; Xen's docs/misc/efi.pandoc, "Unified Xen kernel image".
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

from mediakit import run
from mediakit.errors import FormatError
from mediakit.plain import dataclass
from mediakit.reference import cmdline, signing
from mediakit.units import MIB, align_up

_DISCARDABLE = 0x02000000
_STEP = 2 * MIB
_FLAGS = "contents,alloc,load,readonly,data"


@dataclass(frozen=True)
class Section:
    """One entry of a PE section table; ``header`` is its offset in the file."""

    name: str
    virtual_size: int
    address: int
    size_bytes: int
    offset: int
    header: int


def unify(
    xen_efi: bytes | Path,
    kernel: Path,
    initrd: Path,
    out: Path,
    sb_key: Path,
    sb_cert: Path,
    *,
    xen_version: str = "4.17",
    signing_time: int | None = None,
) -> None:
    """Write the signed, unified xen.efi to ``out``; ``xen_efi`` is Debian's file or its bytes.

    ``signing_time`` (seconds) is by default SOURCE_DATE_EPOCH, else 0. FormatError if
    ``xen_efi`` is no PE file.
    """
    when = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) if signing_time is None else signing_time
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".xen-efi-") as scratch:
        work = Path(scratch)
        source = work / "source.efi"
        source.write_bytes(xen_efi if isinstance(xen_efi, bytes) else xen_efi.read_bytes())
        sections(source.read_bytes())
        stripped, joined, repaired = work / "stripped.efi", work / "joined.efi", work / "repaired.efi"
        run.run(["strip", "-o", stripped, source], timeout=120)
        (work / "xen.cfg").write_text(cmdline.xen_config())
        (work / "sbat.csv").write_text(sbat(xen_version))
        parts = {
            ".config": work / "xen.cfg",
            ".sbat": work / "sbat.csv",
            ".kernel": kernel,
            ".ramdisk": initrd,
        }
        run.run(_objcopy(stripped, parts, joined), timeout=300)
        repaired.write_bytes(repair(joined.read_bytes()))
        signing.sign_pe(repaired, out, sb_key, sb_cert, when)


def sbat(xen_version: str) -> str:
    """The SBAT section: which component of which generation this is (shim, SBAT.md)."""
    return (
        "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
        f"xen,1,Xen Project,xen,{xen_version},https://xenproject.org\n"
    )


def sections(image: bytes) -> list[Section]:
    """The section table of a PE32+ file; FormatError if it is none."""
    coff = _coff(image)
    count, optional = (
        struct.unpack_from("<H", image, coff + 2)[0],
        struct.unpack_from("<H", image, coff + 16)[0],
    )
    found = []
    for index in range(count):
        at = coff + 20 + optional + 40 * index
        if at + 40 > len(image):
            raise FormatError("The section table of the PE file is cut off.")
        name, virtual_size, address, size_bytes, offset = struct.unpack_from("<8s4I", image, at)
        found.append(
            Section(
                name.rstrip(b"\0").decode("ascii", "replace"), virtual_size, address, size_bytes, offset, at
            )
        )
    return found


def repair(image: bytes) -> bytes:
    """``image`` with ``.reloc`` kept in memory, and without time stamp and checksum."""
    fixed = bytearray(image)
    coff = _coff(image)
    struct.pack_into("<I", fixed, coff + 4, 0)  # TimeDateStamp
    struct.pack_into("<I", fixed, coff + 20 + 64, 0)  # CheckSum: no firmware looks at it
    for section in sections(image):
        if section.name == ".reloc":
            flags = struct.unpack_from("<I", image, section.header + 36)[0]
            struct.pack_into("<I", fixed, section.header + 36, flags & ~_DISCARDABLE)
    return bytes(fixed)


def _coff(image: bytes) -> int:
    """The offset of the COFF header of a PE32+ file."""
    if image[:2] == b"MZ" and len(image) >= 64:
        at = int(struct.unpack_from("<I", image, 60)[0])
        if image[at : at + 4] == b"PE\0\0" and image[at + 24 : at + 26] == b"\x0b\x02":
            return at + 4
    raise FormatError("This is not an EFI program for x64.", "Give Debian's /boot/xen-4.17-amd64.efi.")


def _objcopy(source: Path, parts: dict[str, Path], out: Path) -> list[str]:
    image = source.read_bytes()
    base = struct.unpack_from("<Q", image, _coff(image) + 20 + 24)[0]
    address = base + max(s.address + max(s.virtual_size, s.size_bytes) for s in sections(image))
    argv = ["objcopy"]
    for name, path in parts.items():
        address = align_up(address, _STEP)
        argv += [
            f"--add-section={name}={path}",
            f"--change-section-vma={name}={address:#x}",
            f"--set-section-flags={name}={_FLAGS}",
        ]
        address += path.stat().st_size
    return [*argv, str(source), str(out)]
