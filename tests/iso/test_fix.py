"""Repairs: one planted defect, the repair that belongs to it, judged again here and by sgdisk and xorriso."""

from __future__ import annotations

import shutil
import struct
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.errors import DeviceError, RefusedError
from mediakit.formats import gpt
from mediakit.formats.reader import bytes_reader
from mediakit.iso import fix
from mediakit.iso.image import Image

Isos = Callable[[str], Path]
SECTOR = 512


class Memory:
    """A writer over bytes that remembers its writes; ``after`` cuts the power after so many."""

    def __init__(self, data: bytes, after: int = 1000) -> None:
        self.data = bytearray(data)
        self.writes: list[tuple[int, int]] = []
        self.flushes = 0
        self.after = after

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> None:
        if len(self.writes) == self.after:
            raise DeviceError("cut")
        assert self.flushes == len(self.writes), "the last write was not flushed"
        self.writes.append((offset, len(data)))
        self.data[offset : offset + len(data)] = data

    def flush(self) -> None:
        self.flushes += 1


def look(data: bytes | bytearray) -> Image:
    return Image(Path("x.iso"), bytes_reader(bytes(data)), len(data))


def fixed(data: bytes | bytearray) -> tuple[bytes, fix.FixPlan]:
    plan = fix.make_plan(look(data))
    memory = Memory(bytes(data))
    fix.apply(plan, memory)
    return bytes(memory.data), plan


def lba_of(data: bytes, name: str) -> int:
    return look(data).extents(name)[0].offset_bytes


def edit(data: bytes, offset: int, raw: bytes) -> bytes:
    return data[:offset] + raw + data[offset + len(raw) :]


def loader(data: bytes) -> int:
    name = (
        "/isolinux/isolinux.bin"
        if b"ISOHybrid".decode().encode("utf-16-le") in data
        else "/boot/grub/eltorito.img"
    )
    return lba_of(data, name)


def last(data: bytes) -> int:
    return len(data) - SECTOR


DEFECTS: dict[str, tuple[str, Callable[[bytes], bytes], tuple[str, ...], str]] = {
    "pointer of GRUB's MBR": ("grub_bootable_flag", lambda d: edit(d, 0x1B0, b"\x77\x77"), ("bios_usb",), "Let the MBR point"),
    "pointer of isohybrid": ("isohybrid_gpt", lambda d: edit(d, 0x1B0, bytes(8)), ("bios_usb",), "Let the MBR point"),
    "place in isolinux": ("isohybrid_gpt", lambda d: edit(d, loader(d) + 12, b"\1\1"), ("bios_cd", "bios_usb"), "boot information table"),
    "length in isolinux": ("isohybrid_gpt", lambda d: edit(d, loader(d) + 16, b"\1\1"), ("bios_cd", "bios_usb"), "boot information table"),
    "place in GRUB": ("grub_bootable_flag", lambda d: edit(d, loader(d) + 8, bytes(8)), ("bios_cd",), "boot information table"),
    "GRUB's own pointer": ("grub_bootable_flag", lambda d: edit(d, loader(d) + 2548, bytes(8)), ("bios_cd", "bios_usb"), "boot information table"),
    "catalog checksum": ("grub_bootable_flag", lambda d: edit(d, catalog(d) + 28, b"\x99"), ("bios_cd",), "boot catalog"),
    "primary header": ("grub_bootable_flag", lambda d: edit(d, 512 + 20, b"xxxx"), ("uefi_usb",), "primary GPT"),
    "primary header gone": ("grub_bootable_flag", lambda d: edit(d, 512, bytes(512)), ("uefi_usb",), "primary GPT"),
    "primary entries": ("grub_bootable_flag", lambda d: edit(d, 1024, b"x" * 64), ("uefi_usb",), "primary GPT"),
    "primary entries and header": ("grub_bootable_flag", lambda d: edit(d, 512 + 40, b"x" * 520), ("uefi_usb",), "primary GPT"),
    "backup header": ("grub_bootable_flag", lambda d: edit(d, last(d), bytes(512)), (), "backup GPT"),
    "backup entries": ("grub_bootable_flag", lambda d: edit(d, last(d) - 32 * SECTOR, b"x" * 16), (), "backup GPT"),
    "active flag": ("grub_bootable_flag", lambda d: edit(d, 446, b"\0"), (), "active flag"),
    "active flag of isohybrid": ("isohybrid_gpt", lambda d: edit(d, 446, b"\0"), (), "active flag"),
    "active flag moved": ("isohybrid_gpt", lambda d: edit(edit(d, 446, b"\0"), 462, b"\x80"), (), "active flag"),
    "two active flags": ("isohybrid_gpt", lambda d: edit(d, 462, b"\x80"), (), "active flag"),
    "mark of the MBR": ("grub_bootable_flag", lambda d: edit(d, 510, bytes(2)), ("bios_usb", "uefi_usb"), "mark of the MBR"),
}  # fmt: skip


def catalog(data: bytes) -> int:
    lba = look(data).descriptors.boot_catalog_lba
    assert lba
    return lba * 2048


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_named_and_repaired_byte_for_byte(isos: Isos, name: str) -> None:
    kind, breaking, routes, sentence = DEFECTS[name]
    original = isos(kind).read_bytes()
    damaged = breaking(original)
    before, after = look(original).facts(), look(damaged).facts()
    lost = {n for n, r in before.boot.items() if r.ok and not dict(after.boot.items())[n].ok}
    assert lost - {"secure_boot"} == set(routes)
    known = {f.what for f in before.findings}
    new = [f for f in after.findings if f.what not in known and f.severity != "note"]
    assert new and all(f.offset_bytes is not None and f.hint for f in new)
    repaired, plan = fixed(damaged)
    assert [f for f in plan.fixes if sentence in f] and len(plan.fixes) == 1, plan.fixes
    assert repaired == original


def test_a_backup_header_is_restored_inside_the_filesystem_where_its_entries_are_left(isos: Isos) -> None:
    """xorriso's volumes reach over the backup GPT: its place is known by the entries before it."""
    raw = isos("grub_bootable_flag").read_bytes()
    blocks = len(raw) // 2048
    original = edit(raw, 16 * 2048 + 80, struct.pack("<I", blocks) + struct.pack(">I", blocks))
    assert fixed(edit(original, last(original), bytes(512)))[0] == original
    without = edit(original, last(original) - 79 * SECTOR, bytes(80 * SECTOR))
    assert not [what for what in fixed(without)[1].fixes if "GPT" in what]


@pytest.mark.parametrize("name", DEFECTS)
def test_after_any_cut_nothing_is_worse_and_a_second_run_completes(isos: Isos, name: str) -> None:
    kind, breaking, _, _ = DEFECTS[name]
    original = isos(kind).read_bytes()
    damaged = breaking(original)
    plan = fix.make_plan(look(damaged))
    start = look(damaged).facts()
    for count in range(len(plan.regions) + 1):
        memory = Memory(damaged, after=count)
        try:
            fix.apply(plan, memory)
        except DeviceError:
            assert count < len(plan.regions)
        now = look(memory.data).facts()
        assert all(dict(now.boot.items())[n].ok for n, route in start.boot.items() if route.ok)
        assert now.structures.gpt.primary or not start.structures.gpt.primary
        assert fixed(memory.data)[0] == original


@pytest.mark.parametrize(
    "kind", ["isohybrid_gpt", "isohybrid_apm", "grub_gpt", "grub_bootable_flag", "grub_rescue"]
)
def test_on_a_larger_stick_the_backup_goes_to_the_true_end(isos: Isos, tmp_path: Path, kind: str) -> None:
    stick = tmp_path / "stick"
    shutil.copy(isos(kind), stick)
    complaints = run.run(["sgdisk", "-v", stick], timeout=20, check=False).text
    with stick.open("r+b") as file:
        file.truncate(32 << 20)
    before = stick.read_bytes()
    state = look(before).facts().structures.gpt
    if not state.is_present:
        return
    assert not state.backup_at_end
    data, plan = fixed(before)
    facts = look(data).facts()
    assert any("backup GPT" in f for f in plan.fixes)
    assert facts.structures.gpt.backup_at_end and facts.structures.gpt.primary
    assert facts.structures.gpt.primary.has_same_content(facts.structures.gpt.backup)  # type: ignore[arg-type]
    assert facts.structures.gpt.primary.partitions == state.primary.partitions  # type: ignore[union-attr]
    assert {n for n, r in facts.boot.items() if r.ok} >= {
        n for n, r in look(before).facts().boot.items() if r.ok
    }
    stick.write_bytes(data)
    judged = run.run(["sgdisk", "-v", stick], timeout=20, check=False).text
    assert judged.count("Problem") <= complaints.count("Problem"), judged
    used = len(isos(kind).read_bytes())
    changed = [at for at in range(0, len(data), SECTOR) if data[at : at + SECTOR] != before[at : at + SECTOR]]
    array = facts.structures.gpt.backup.entries_lba * SECTOR  # type: ignore[union-attr]
    assert all(at < 1024 or at >= array for at in changed) and used
    starts = [offset for offset, _ in ((r.offset_bytes, r) for r in plan.regions if "backup" in r.fix)]
    assert starts[:3] == [array, (32 << 20) - SECTOR, SECTOR]


def test_the_flag_beside_a_protective_entry_is_what_xorriso_writes(isos: Isos, tmp_path: Path) -> None:
    data, plan = fixed(isos("grub_gpt").read_bytes())
    assert plan.fixes == ("Restore the active flag in the MBR.",)
    path = tmp_path / "x.iso"
    path.write_bytes(data)
    words = ["xorriso", "-no_rc", "-indev", path, "-report_system_area", "plain"]
    report = run.run(words, timeout=60).text
    assert "protective-msdos-label grub2-mbr" in report
    assert "MBR partition      :   2   0x80  0x00            0            1" in report
    flagged = edit(isos("grub_gpt").read_bytes(), 446, b"\x80")
    assert any("protective entry has the active flag" in f.what for f in look(flagged).facts().findings)
    assert fixed(flagged)[0] == data


def test_an_mbr_without_any_entry_gets_one_that_only_carries_the_flag(isos: Isos) -> None:
    original = isos("hfsplus").read_bytes()
    assert any("active flag" in f.what for f in look(original).facts().findings)
    data, plan = fixed(original)
    assert plan.fixes == ("Restore the active flag in the MBR.",) and data[:446] == original[:446]
    assert data[446:462] == b"\x80\0\1\0\0\0\1\0" + bytes(4) + b"\1\0\0\0" and data[462:] == original[462:]
    assert not any("active flag" in f.what for f in look(data).facts().findings)


def test_damaged_contents_never_get_a_new_checksum(isos: Isos) -> None:
    original = isos("isohybrid_gpt").read_bytes()
    damaged = edit(original, lba_of(original, "/isolinux/isolinux.bin") + 3000, b"\1\2\3")
    assert not fix.make_plan(look(damaged))
    both = edit(damaged, lba_of(original, "/isolinux/isolinux.bin") + 12, b"\1")
    assert not fix.make_plan(look(both))


@pytest.mark.parametrize("filler", [bytes(56), b"\xef\xbe\xad\xde" * 14])
def test_a_table_that_no_tool_ever_filled_in_is_filled_in(isos: Isos, filler: bytes) -> None:
    original = isos("isohybrid_gpt").read_bytes()
    at = lba_of(original, "/isolinux/isolinux.bin") + 8
    data, _ = fixed(edit(original, at, filler))
    assert data[at : at + 16] == original[at : at + 16]


def test_a_whole_image_has_nothing_to_repair_and_a_truncated_one_is_left_alone(isos: Isos) -> None:
    for kind in ("grub_bootable_flag", "isohybrid_gpt", "isohybrid_mbr", "data_only", "floppy", "el_torito"):
        data = isos(kind).read_bytes()
        assert not fix.make_plan(look(data)), kind
    cut = isos("grub_gpt").read_bytes()[: -(600 << 10)]
    assert not fix.make_plan(look(cut))


def test_a_table_without_room_behind_its_partitions_is_left_alone(isos: Isos) -> None:
    """ENGINE-DATA up to the very end: the backup would lie in it."""
    data = bytearray(isos("grub_gpt").read_bytes().ljust(8 << 20, b"\0"))
    table = look(data).facts().structures.gpt.primary
    assert table
    end = len(data) // SECTOR - 1
    guid = table.partitions[0].guid
    more = gpt.GptPartition(9, "DATA", gpt.BASIC_DATA, guid, 4000, end)
    built = replace(table, partitions=(*table.partitions, more), last_usable_lba=end).build(SECTOR)
    data[built.header_offset :][:0] = b""
    data[built.header_offset : built.header_offset + SECTOR] = built.header
    data[built.array_offset : built.array_offset + len(built.array)] = built.array
    assert not [f for f in fix.make_plan(look(data)).fixes if "backup" in f]


def test_what_was_appended_to_a_file_is_not_overwritten(isos: Isos) -> None:
    data = bytearray(isos("grub_gpt").read_bytes().ljust(8 << 20, b"\0"))
    assert any("backup" in f for f in fix.make_plan(look(data)).fixes)
    data[-3000:-2900] = b"x" * 100
    assert not any("backup" in f for f in fix.make_plan(look(data)).fixes)


@pytest.mark.parametrize("kind", ["isohybrid_mbr", "el_torito", "grub_appended"])
def test_a_gpt_that_an_earlier_use_left_at_the_end_is_never_brought_back(isos: Isos, kind: str) -> None:
    """The stick was partitioned once; the image written over its start has no GPT."""
    stick = bytearray(isos(kind).read_bytes().ljust(32 << 20, b"\0"))
    before = look(stick).facts()
    part = gpt.GptPartition(1, "OLD", gpt.BASIC_DATA, uuid.UUID(int=7), 2048, 40000)
    _, backup = gpt.lay_out([part], uuid.UUID(int=5), len(stick), SECTOR)
    built = backup.build(SECTOR)
    stick[built.array_offset : built.array_offset + len(built.array)] = built.array
    stick[built.header_offset :] = built.header
    facts = look(stick).facts()
    new = [f for f in facts.findings if f not in before.findings]
    assert [f.severity for f in new] == ["note"] and "earlier use" in new[0].what
    assert facts.boot == before.boot and facts.to_json()["gpt"] is None
    assert not any("GPT" in f for f in fix.make_plan(look(stick)).fixes)


def test_a_protective_mbr_is_written_where_the_first_sector_was_wiped(isos: Isos, tmp_path: Path) -> None:
    data, plan = fixed(edit(isos("grub_gpt").read_bytes(), 0, bytes(512)))
    assert len(plan.fixes) == 2 and look(data).facts().boot.uefi_usb.ok
    (tmp_path / "x").write_bytes(data)
    assert "No problems" in run.run(["sgdisk", "-v", tmp_path / "x"], timeout=20).text


def test_a_file_that_changed_meanwhile_is_not_written(isos: Isos) -> None:
    damaged = edit(isos("isohybrid_gpt").read_bytes(), 0x1B0, bytes(8))
    plan = fix.make_plan(look(damaged))
    memory = Memory(edit(damaged, 0x1B0, b"\x05"))
    with pytest.raises(RefusedError):
        fix.apply(plan, memory)
    assert not memory.writes


def test_a_write_that_does_not_stick_is_told(isos: Isos) -> None:
    damaged = edit(isos("isohybrid_gpt").read_bytes(), 0x1B0, bytes(8))

    class Forgets(Memory):
        def write(self, offset: int, data: bytes) -> None:
            pass

    with pytest.raises(DeviceError):
        fix.apply(fix.make_plan(look(damaged)), Forgets(damaged))


def test_the_plan_says_where_and_why(isos: Isos) -> None:
    damaged = edit(isos("isohybrid_gpt").read_bytes(), 0x1B0, bytes(8))
    (region,) = fix.make_plan(look(damaged)).to_json()
    assert region["offset_bytes"] == 0x1B0 and region["size_bytes"] == 8 and "MBR" in region["why"]
    pointer = struct.unpack("<Q", isos("isohybrid_gpt").read_bytes()[0x1B0:0x1B8])[0]
    assert pointer and iso
