"""One planted defect a test: exactly that finding, with its bytes, and exactly the routes it breaks."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit.formats import fat, gpt
from mediakit.formats.reader import bytes_reader
from mediakit.iso import efiboot, efivolume, fix
from mediakit.iso.facts import ImageFacts
from mediakit.iso.image import Image
from tests.isos import make
from tests.isos.programs import IA32, efi_program

Isos = Callable[[str], Path]
SECTOR = 512
MICROSOFT, DEBIAN = make.MICROSOFT, "Debian Secure Boot CA"
SHIM = efi_program(signers=(MICROSOFT,), sbat=make.SHIM_SBAT)


def look(data: bytes | bytearray) -> ImageFacts:
    return Image(Path("x.iso"), bytes_reader(bytes(data)), len(data)).facts()


def edit(data: bytes, offset: int, raw: bytes) -> bytes:
    return data[:offset] + raw + data[offset + len(raw) :]


def news(original: bytes, changed: bytes) -> tuple[list[str], set[str]]:
    """Findings that were not there before, and the routes that worked before."""
    before, after = look(original), look(changed)
    known = {f.what for f in before.findings}
    routes = dict(after.boot.items())
    lost = {name for name, route in before.boot.items() if route.ok and not routes[name].ok}
    new = [f for f in after.findings if f.what not in known]
    assert all(f.offset_bytes is not None and f.size_bytes for f in new)
    return [f"{f.severity}: {f.what}" for f in new], lost


def entry(index: int, status: int, kind: int, start: int, sectors: int) -> tuple[int, bytes]:
    """Where an MBR entry lies, and its bytes."""
    return 446 + 16 * (index - 1), struct.pack(
        "<B3sB3sII", status, b"\0\2\0", kind, b"\xff\xff\xff", start, sectors
    )


@pytest.mark.parametrize(
    ("kind", "change", "text", "lost"),
    [
        ("isohybrid_gpt", entry(3, 0, 0x83, 500, 600), "error: Partition 2 of the MBR and Partition 3 of the MBR overlap", set()),
        ("isohybrid_gpt", entry(3, 0, 0x83, 300, 50), "", set()),
        ("isohybrid_gpt", (446, b"\x81"), "warning: Partition 1 of the MBR has the status 0x81", set()),
        ("isohybrid_gpt", entry(3, 0, 0xEE, 1, 4000), "note: The isohybrid MBR's entries were replaced", set()),
        ("grub_gpt", (446, b"\x80"), "warning: The MBR's protective entry has the active flag", set()),
        ("grub_gpt", (458, b"\x10\0\0\0"), "warning: The MBR's protective entry ends at sector 16", set()),
        ("grub_gpt", (450, b"\x83"), "warning: The MBR has no protective entry", set()),
        ("grub_gpt", (446, bytes(16)), "error: The MBR's protective entry is gone", set()),
        ("grub_bootable_flag", entry(2, 0, 0xEE, 1, 2000), "error: The MBR announces a GPT", {"uefi_usb"}),
        ("el_torito", (0, b"\xeb\x63GRUB"), "error: The first sector holds code, but does not end with 55 AA", set()),
    ],
)  # fmt: skip
def test_an_mbr_entry_that_is_odd_is_named(
    isos: Isos, kind: str, change: tuple[int, bytes], text: str, lost: set[str]
) -> None:
    original = isos(kind).read_bytes()
    if "announces" in text:
        original = edit(edit(original, 512, bytes(512)), len(original) - 512, bytes(512))
        lost = set()
    found, routes = news(original, edit(original, *change))
    assert routes == lost
    assert any(what.startswith(text) for what in found) if text else not found, found
    assert len(found) <= 2, found


def rebuilt(data: bytes, change: Callable[[gpt.Gpt], gpt.Gpt]) -> bytes:
    """The image with both sides of its GPT changed alike."""
    state = gpt.read(bytes_reader(data), len(data), SECTOR)
    assert state.primary and state.backup
    for side in (state.primary, state.backup):
        built = change(side).build(SECTOR)
        data = edit(edit(data, built.header_offset, built.header), built.array_offset, built.array)
    return data


def test_gpt_partitions_that_overlap_are_named_and_nested_ones_are_not(isos: Isos) -> None:
    original = isos("grub_gpt").read_bytes()

    def moved(start: int, end: int) -> Callable[[gpt.Gpt], gpt.Gpt]:
        def change(side: gpt.Gpt) -> gpt.Gpt:
            first, *rest = side.partitions
            return dataclasses.replace(
                side, partitions=(dataclasses.replace(first, start_lba=start, end_lba=end), *rest)
            )

        return change

    found, lost = news(original, rebuilt(original, moved(64, 1500)))
    assert found == ["error: GPT partition 1 and GPT partition 2 overlap without one lying in the other."]
    assert not lost
    assert news(original, rebuilt(original, moved(64, 2511)))[0] == []


def test_a_gpt_partition_typed_anew_is_a_note(isos: Isos) -> None:
    original = isos("grub_gpt").read_bytes()

    def change(side: gpt.Gpt) -> gpt.Gpt:
        parts = tuple(dataclasses.replace(p, type_guid=gpt.BASIC_DATA) for p in side.partitions)
        return dataclasses.replace(side, partitions=parts)

    found, lost = news(original, rebuilt(original, change))
    assert (
        not lost and len(found) == 1 and found[0].startswith("note: GPT partition 2, which UEFI boots from")
    )


def with_esp(data: bytes, **files: bytes) -> bytes:
    """The image with another EFI volume in the place of its own."""
    start = look(data).efi_volumes[0].offset_bytes
    names = {
        "first": "EFI/BOOT/BOOTX64.EFI",
        "second": "EFI/BOOT/grubx64.efi",
        "ia32": "EFI/BOOT/BOOTIA32.EFI",
    }
    entries = [fat.FatFile(names.get(name, name), raw) for name, raw in files.items()]
    return edit(data, start, fat.build(256 << 10, entries, label="ESP", serial=0x1234).to_bytes())


# texts of a shim: what it starts is built in, beside its other programs' names
SUSE_TEXTS = "\0\\mmx64.efi\0\0\\EFI\\BOOT\\fbx64.efi\0\0\\\\grub.efi\0\0".encode("utf-16-le")
SUSE = efi_program(signers=(MICROSOFT,), sbat=make.SHIM_SBAT, more={b".data": SUSE_TEXTS})
GOOD = efi_program(signers=(DEBIAN,), sbat="sbat,1,x\ngrub,5,x\n")


@pytest.mark.parametrize(
    ("files", "text", "lost"),
    [
        ({"first": SHIM, "second": GOOD}, "", set()),
        ({"first": SHIM}, "there is no grubx64.efi beside it", {"secure_boot"}),
        ({"first": SHIM, "second": efi_program()}, "grubx64.efi is not signed", {"secure_boot"}),
        ({"first": SHIM, "second": GOOD[:1300]}, "grubx64.efi beside it is no loader", {"secure_boot"}),
        ({"first": SHIM[:1300], "second": GOOD}, "is no loader: The EFI program is cut off", {"uefi_cd", "uefi_usb", "secure_boot"}),
        ({"second": GOOD}, "there is no \\EFI\\BOOT\\BOOTX64.EFI", {"uefi_cd", "uefi_usb", "secure_boot"}),
        ({"first": SHIM, "second": GOOD, "ia32": b"MZ"}, "BOOTIA32.EFI in", set()),
        ({"first": SHIM, "second": efi_program(signers=(DEBIAN,), sbat="sbat,1,x\ngrub,2,x\n")}, "SBAT generation grub 2", set()),
        ({"first": efi_program(signers=(MICROSOFT,), sbat="sbat,1,x\nshim,1,x\n"), "second": GOOD}, "SBAT generation shim 1", set()),
        ({"first": SHIM, "second": efi_program(signers=(DEBIAN,), sbat="sbat,1,x\ngrub,4,x\n")}, "note: \\EFI\\BOOT\\grubx64.efi has the SBAT generation grub 4; machines with the revocations of 2025", set()),
        ({"first": SHIM, "second": efi_program(signers=(DEBIAN,), sbat="sbat,1,x\ngrub,5,x\ngrub.peimage,1,x\n")}, "SBAT generation grub.peimage 1", set()),
        ({"first": SUSE, "second": GOOD}, "there is no grub.efi beside it", {"secure_boot"}),
        ({"first": SUSE, "EFI/BOOT/grub.efi": GOOD}, "", set()),
    ],
)  # fmt: skip
def test_a_loader_that_does_not_start_is_named(
    isos: Isos, files: dict[str, bytes], text: str, lost: set[str]
) -> None:
    original = with_esp(isos("grub_bootable_flag").read_bytes(), first=SHIM, second=GOOD)
    found, routes = news(original, with_esp(original, **files))
    assert routes == lost
    assert any(text in what for what in found) if text else not found, found


def test_what_is_made_for_32_bit_uefi_alone_is_whole(isos: Isos) -> None:
    """As Memtest86+'s second image: machines with 64-bit UEFI cannot start it, and it does not say so."""
    original = isos("grub_bootable_flag").read_bytes()
    files = [fat.FatFile("EFI/BOOT/BOOTIA32.EFI", efi_program(IA32))]
    start = look(original).efi_volumes[0].offset_bytes
    facts = look(edit(original, start, fat.build(256 << 10, files, label="ESP", serial=1).to_bytes()))
    assert not facts.boot.uefi_cd.ok and not facts.boot.uefi_usb.ok and not facts.broken_claims
    assert "its loader is for 32-bit x86 (ia32); there is none for 64-bit x86" in facts.boot.uefi_usb.why
    assert facts.boot.uefi_usb.why.startswith("GPT partition 1: ")
    assert [f.severity for f in facts.findings] == ["note"]
    assert "There is a loader for UEFI on 32-bit x86 (ia32) only" in facts.findings[0].what


def test_memtests_own_mbr_is_known_by_its_message_and_followed(isos: Isos) -> None:
    original = isos("grub_gpt").read_bytes()
    code = b"\xea\x05\0\xc0\x07".ljust(0xF4, b"\x90") + b"Loading Memtest86+\r\n"
    good = edit(original, 0, code.ljust(0x1B0, b"\0"))
    assert look(good).boot.bios_usb.why == "The Memtest86+ MBR starts /boot/grub/eltorito.img."
    lost = look(edit(good, 0x1B0, struct.pack("<Q", 7)))
    assert lost.broken_claims == ("bios_usb",) and "points to sector 7" in lost.boot.bios_usb.why


@pytest.mark.parametrize(
    ("kind", "lost"), [("isohybrid_gpt", True), ("grub_gpt", True), ("el_torito", False)]
)
def test_an_image_that_lost_its_system_area_no_longer_boots_as_it_was_made_to(
    isos: Isos, kind: str, lost: bool
) -> None:
    """As pycdlib and other writers of plain ISO 9660 leave it; the backup GPT or GRUB's pointer tells."""
    facts = look(edit(isos(kind).read_bytes(), 0, bytes(32768)))
    assert ("bios_usb" in facts.broken_claims) is ("uefi_usb" in facts.broken_claims) is lost
    gone = [f for f in facts.findings if "boot code of the first sector is gone" in f.what]
    assert [(f.severity, f.offset_bytes, f.size_bytes) for f in gone] == [("error", 0, 512)] * lost


def test_a_cut_off_esp_asks_for_the_image_and_not_for_a_loader(isos: Isos) -> None:
    data = isos("grub_appended").read_bytes()
    facts = look(data[: look(data).efi_volumes[0].offset_bytes + (100 << 10)])
    (cut,) = (f for f in facts.findings if "ends behind the image" in f.what)
    assert cut.hint == "Copy or download the image again."


def test_a_gpt_without_backup_is_a_warning_for_it_boots(isos: Isos) -> None:
    """FreeBSD's images are made so: the filesystem fills the place."""
    original = isos("grub_gpt").read_bytes()
    filled = original[: -80 * SECTOR] + b"x" * 80 * SECTOR
    found, lost = news(original, filled)
    assert found == ["warning: The backup partition table (GPT) is missing."] and not lost
    plan = fix.make_plan(Image(Path("x.iso"), bytes_reader(filled), len(filled)))
    assert not any("GPT" in what for what in plan.fixes)


def test_an_esp_that_is_no_fat_or_cut_short_is_named(isos: Isos) -> None:
    original = isos("grub_bootable_flag").read_bytes()
    start = look(original).efi_volumes[0].offset_bytes
    for change in (edit(original, start, bytes(512)), edit(original, start + 19, b"\xff\xff")):
        found, lost = news(original, change)
        assert lost == {"uefi_cd", "uefi_usb", "secure_boot"}
        assert found and all(what.startswith("error: ") for what in found)


def test_a_signed_loader_that_was_changed_and_one_of_another_signer_do_not_start(isos: Isos) -> None:
    """What real signatures say is tried with sbsign in test_pe; here the judgement of what was read."""
    volume = look(isos("grub_gpt").read_bytes()).efi_volumes[0]
    first, second = volume.loader, volume.second_stage
    assert first and second
    assert efiboot.judge_secure_boot([volume], []).ok

    def judged(**changes: efivolume.EfiFile) -> str:
        loaders = {**volume.loaders, "x64": changes.get("first", first)}
        other = dataclasses.replace(volume, loaders=loaders, second_stage=changes.get("second", second))
        findings: list[efiboot.Finding] = []
        route = efiboot.judge_secure_boot([other], findings)
        assert not route.ok and [f.severity for f in findings] == ["error"]
        return route.why

    altered = dataclasses.replace(second, is_altered=True)
    assert "grubx64.efi was changed after it was signed" in judged(second=altered)
    vendor = dataclasses.replace(first, vendors=("Canonical Ltd. Master CA",))
    assert "signed by Debian Secure Boot CA, but the shim trusts Canonical" in judged(first=vendor)
    program = dataclasses.replace(second.program, sbat=(efivolume.pe.SbatEntry("grub", 2, "", "", ""),))
    asks = dataclasses.replace(first, revocations=(("grub", 3),))
    old = dataclasses.replace(second, program=program)
    assert "grub 2 is below 3" in judged(first=asks, second=old)


def test_what_windows_left_on_a_stick_is_named_and_harmless(isos: Isos) -> None:
    stick = bytearray(isos("grub_gpt").read_bytes().ljust(60 << 20, b"\0"))
    files = [fat.FatFile("System Volume Information/x", b"x")]
    data = fat.build(40 << 20, files, label="ENGINE-DATA", serial=1)
    start = 8 << 20
    raw = bytearray(data.to_bytes())
    volume = fat.Fat(bytes_reader(bytes(raw)))
    assert volume.type in (16, 32)
    at = volume.volume.fat_offset + (volume.type // 8 if volume.type == 16 else 4)
    width = volume.type // 8
    value = int.from_bytes(raw[at : at + width], "little") & ~(0x8000 if width == 2 else 0x08000000)
    raw[at : at + width] = value.to_bytes(width, "little")
    stick[start : start + len(raw)] = raw
    table = gpt.read(bytes_reader(bytes(stick)), len(stick), SECTOR).primary
    assert table
    last = len(stick) // SECTOR - 1
    part = gpt.GptPartition(
        5, "ENGINE-DATA", gpt.BASIC_DATA, table.disk_guid, start // SECTOR, (48 << 20) // SECTOR - 1
    )
    place = last - table.array_bytes // SECTOR
    primary = dataclasses.replace(
        table, partitions=(*table.partitions, part), alternate_lba=last, last_usable_lba=place - 1
    )
    backup = dataclasses.replace(primary, header_lba=last, alternate_lba=1, entries_lba=place)
    for side in (primary, backup):
        built = side.build(SECTOR)
        stick[built.header_offset : built.header_offset + SECTOR] = built.header
        stick[built.array_offset : built.array_offset + len(built.array)] = built.array
    facts = look(stick)
    notes = [f.what for f in facts.findings if f.severity == "note"]
    assert any("data partition behind the image: “ENGINE-DATA”, 40.0 MiB, FAT" in what for what in notes), (
        notes
    )
    assert any("dirty bit" in what for what in notes)
    assert "Windows left “System Volume Information” in “ENGINE-DATA”." in notes
    assert not [f for f in facts.findings if f.severity == "error"] and not facts.broken_claims


def test_claims_are_what_the_image_was_made_for(isos: Isos) -> None:
    assert look(isos("el_torito").read_bytes()).claims == ("bios_cd",)
    assert look(isos("uefi_only").read_bytes()).claims == ("uefi_cd", "secure_boot")
    assert look(isos("data_only").read_bytes()).claims == ()
    assert look(isos("isohybrid_mbr").read_bytes()).claims == ("bios_cd", "bios_usb")
    whole = isos("grub_gpt").read_bytes()
    assert len(look(whole).claims) == 5
    unknown = edit(isos("isohybrid_mbr").read_bytes(), 0, b"\xfa" * 440)
    assert look(unknown).claims == ("bios_cd",) and not look(unknown).broken_claims
    windows = edit(unknown, 300, b"Error loading operating system")
    assert look(windows).broken_claims == ("bios_usb",)
    assert "Windows's code" in look(windows).boot.bios_usb.why
