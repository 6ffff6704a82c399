"""A stick is what was asked for, judged by independent tools; half-written it never boots."""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mediakit import run
from mediakit.block.devices import Device, describe
from mediakit.block.target import Target, open_target
from mediakit.errors import (
    CancelledError,
    DeviceError,
    RefusedError,
    SourceError,
    TrustError,
    UsageError,
)
from mediakit.progress import Cancel, Event, ignore
from mediakit.stick.fleet import Fleet, Options, Outcome, prepare, write_all
from mediakit.stick.source import open_source
from mediakit.units import GIB, MIB

Write = Callable[..., Outcome]
Stick = Callable[..., Path]
KINDS = ("grub", "mbr", "isolinux", "plain")


def tool(*words: object, check: bool = True) -> str:
    done = run.run([str(word) for word in words], timeout=60, check=check)
    return done.text + done.error_text


def partitions(path: Path) -> list[tuple[int, int]]:
    rows = [row for row in tool("sfdisk", "-d", path).splitlines() if "start=" in row]
    fields = [dict(f.strip().split("=") for f in row.split(" : ")[1].split(",") if "=" in f) for row in rows]
    return [(int(f["start"]), int(f["size"])) for f in fields]


def first_mib(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MIB)


def sgdisk_problems(path: Path) -> int:
    return tool("sgdisk", "-v", path, check=False).count("Problem:")


def same_but_tables(image: Path, stick: Path) -> None:
    """Every byte of the image is on the stick, but for MBR and GPT (the first 34 sectors and a far array)."""
    want, got = image.read_bytes(), stick.open("rb").read(image.stat().st_size)
    assert got[:440] == want[:440], "the boot code is the image's"
    assert got[64 * 512 :] == want[64 * 512 :]


@pytest.mark.parametrize("size", [96 * MIB, 8 * GIB])
@pytest.mark.parametrize("kind", KINDS)
def test_the_stick_holds_the_image_and_tools_agree(
    isos: dict[str, Path], stick: Stick, write: Write, kind: str, size: int
) -> None:
    path = stick(size)
    outcome = write(isos[kind], path)
    assert (outcome.result, outcome.error) == ("done", None)
    same_but_tables(isos[kind], path)
    assert "Volume id    : 'TEST'" in tool("xorriso", "-indev", f"stdio:{path}", "-toc")
    if kind == "plain":
        assert outcome.data_partition is None
        return
    data = outcome.data_partition
    assert data is not None
    assert (data["offset_bytes"] // 512, data["size_bytes"] // 512) in partitions(path)
    assert data["offset_bytes"] == (512 * MIB if size == 8 * GIB else data["offset_bytes"])
    fat = f"{path}@@{data['offset_bytes']}"
    assert "answers" in tool("mtype", "-i", fat, "::/README.txt")
    tool("mdir", "-i", fat, "::/reports")
    receipt = json.loads(tool("mtype", "-i", fat, "::/.mediakit/receipt.json"))
    assert receipt["sha256"] == tool("sha256sum", isos[kind]).split()[0]
    assert receipt["size_bytes"] == isos[kind].stat().st_size
    if kind == "grub":
        assert "No problems found" in tool("sgdisk", "-v", path)
    else:
        assert sgdisk_problems(path) <= max(sgdisk_problems(isos[kind]), 0)


def test_engine_data_is_a_clean_fat32_that_windows_opens(
    isos: dict[str, Path], stick: Stick, write: Write, tmp_path: Path
) -> None:
    path = stick(96 * MIB)
    data = write(isos["grub"], path, answers=b"schema = 1\n").data_partition
    assert data is not None
    part = tmp_path / "part.img"
    with path.open("rb") as source, part.open("wb") as copy:
        source.seek(data["offset_bytes"])
        copy.write(source.read(data["size_bytes"]))
    assert "FAT32" in tool("fsck.fat", "-vn", part) or "32 bit" in tool("fsck.fat", "-vn", part)
    assert "ENGINE-DATA" in tool("blkid", "-p", part)
    assert tool("mtype", "-i", part, "::/answers.toml") == "schema = 1\n"
    assert "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" in tool("sgdisk", "-i", "4", path)
    assert "ENGINE-DATA" in tool("sgdisk", "-i", "4", path)


def test_an_unchanged_stick_is_not_written_at_all(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    path = stick(96 * MIB)
    write(isos["grub"], path)
    before = path.stat().st_mtime_ns, tool("sha256sum", path)
    again = write(isos["grub"], path)
    assert (again.result, again.bytes_written) == ("already", 0)
    assert (path.stat().st_mtime_ns, tool("sha256sum", path)) == before


def test_flashing_again_writes_what_differs_and_keeps_reports(
    isos: dict[str, Path], stick: Stick, write: Write, tmp_path: Path
) -> None:
    path = stick(4 * GIB)
    first = write(isos["grub"], path)
    assert first.data_partition is not None
    fat = f"{path}@@{first.data_partition['offset_bytes']}"
    (tmp_path / "r.json").write_text('{"schema": 1}')
    tool("mcopy", "-i", fat, tmp_path / "r.json", "::/reports/2026-x.json")
    second = write(isos["grub-next"], path, answers=b"new answers\n")
    assert second.result == "done"
    assert second.data_partition == first.data_partition | {"kept": True}
    same_but_tables(isos["grub-next"], path)
    assert tool("mtype", "-i", fat, "::/reports/2026-x.json") == '{"schema": 1}'
    assert tool("mtype", "-i", fat, "::/answers.toml") == "new answers\n"
    assert json.loads(tool("mtype", "-i", fat, "::/.mediakit/receipt.json"))["image"] == "grub-5.iso"
    old, new = isos["grub"].read_bytes(), isos["grub-next"].read_bytes()
    differing = sum(old[i : i + MIB] != new[i : i + MIB] for i in range(0, len(new), MIB))
    assert second.bytes_written <= (differing + 2) * MIB
    full = write(isos["grub-next"], path, delta=False)
    assert full.bytes_written >= isos["grub-next"].stat().st_size - MIB


def test_engine_data_in_the_way_of_a_larger_image_is_refused_with_numbers(
    isos: dict[str, Path], stick: Stick, write: Write, tmp_path: Path
) -> None:
    path = stick(96 * MIB)
    write(isos["grub"], path)
    larger = tmp_path / "larger.iso"
    tool("cp", isos["grub-next"], larger)
    with larger.open("ab") as file:
        file.truncate(64 * MIB)
    tool("sgdisk", "-e", larger)
    before = tool("sha256sum", path)
    with pytest.raises(RefusedError, match=r"ENGINE-DATA .* leaves \S+ MiB .* needs \S+ MiB more"):
        write(larger, path)
    assert tool("sha256sum", path) == before
    assert write(larger, path, with_data=False).result == "done"
    assert len(partitions(path)) == 3


class Faulty(Target):
    """A stick that dies, lies, or loses writes."""

    fail_at_write = -1
    corrupt: Callable[[int, bytes], bytes] | None = None
    writes = 0
    on_write: Callable[[int], None] | None = None

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        if self.on_write is not None:
            self.on_write(self.writes)
        if self.writes == self.fail_at_write:
            raise DeviceError("Writing failed.", "It died.")
        if self.corrupt is not None:
            data = self.corrupt(offset, bytes(data))
        super().write(offset, data)


def faulty(prepare: Callable[[Faulty], None]) -> Callable[[Device], object]:
    @contextmanager
    def opener(device: Device) -> Iterator[Target]:
        with open_target(device.path, expected=device) as target:
            target.__class__ = Faulty
            assert isinstance(target, Faulty)
            prepare(target)
            yield target

    return opener


@pytest.mark.parametrize("number", [1, 2, 3, 5, 9, 10, 14, 20])
def test_a_write_error_anywhere_leaves_a_stick_that_does_not_boot(
    isos: dict[str, Path], stick: Stick, write: Write, number: int
) -> None:
    path = stick(96 * MIB)
    write(isos["grub-next"], path)
    outcome = write(isos["grub"], path, opener=faulty(lambda t: setattr(t, "fail_at_write", number)))
    if outcome.result == "failed":
        assert outcome.error is not None and outcome.error.exit_status == 5
        assert number == 1 or first_mib(path) == bytes(MIB)
        assert write(isos["grub"], path).result == "done", "the next run completes it"
        same_but_tables(isos["grub"], path)
    else:
        assert outcome.result == "done"


def test_a_mismatch_names_bytes_file_and_cause(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    path = stick(96 * MIB)
    bad = 3 * MIB + 1234

    def corrupt(offset: int, data: bytes) -> bytes:
        if offset <= bad < offset + len(data):
            data = data[: bad - offset] + bytes([data[bad - offset] ^ 4]) + data[bad - offset + 1 :]
        return data

    outcome = write(
        isos["grub"],
        path,
        opener=faulty(lambda t: setattr(t, "corrupt", corrupt)),
        locate=lambda offset: f"/file-at-{offset}",
    )
    assert outcome.result == "failed" and outcome.error is not None
    assert f"bytes {bad} to {bad + 1} (in /file-at-{bad})" in outcome.error.message
    assert "failing" in outcome.error.hint
    assert outcome.error.exit_status == 5
    assert first_mib(path) == bytes(MIB)


def test_a_stick_that_forgets_its_tables_is_found_out(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    path = stick(96 * MIB)

    def forget(offset: int, data: bytes) -> bytes:
        return bytes(len(data)) if offset == 0 else data

    outcome = write(isos["grub"], path, opener=faulty(lambda t: setattr(t, "corrupt", forget)))
    assert outcome.result == "failed"
    assert first_mib(path) == bytes(MIB)


def test_stopping_leaves_a_stick_that_does_not_boot(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    path = stick(96 * MIB)
    write(isos["grub-next"], path)
    cancel = Cancel()

    def stop(number: int) -> None:
        if number == 3:
            cancel.set()

    outcome = write(isos["grub"], path, cancel=cancel, opener=faulty(lambda t: setattr(t, "on_write", stop)))
    assert outcome.result == "cancelled" and isinstance(outcome.error, CancelledError)
    assert first_mib(path) == bytes(MIB)


@pytest.mark.parametrize("number", [2, 3, 5, 9, 12, 14, 16, 18, 20])
@pytest.mark.parametrize("kind", ["grub", "mbr"])
def test_a_cut_at_any_write_loses_no_report(
    isos: dict[str, Path], stick: Stick, write: Write, tmp_path: Path, kind: str, number: int
) -> None:
    """Also of an image whose MBR alone says where ENGINE-DATA is, and in the middle of the backup GPT."""
    path = stick(96 * MIB)
    first = write(isos["grub-next" if kind == "grub" else "mbr"], path)
    assert first.data_partition is not None
    place = f"{path}@@{first.data_partition['offset_bytes']}"
    (tmp_path / "r.json").write_text('{"schema": 1}')
    tool("mcopy", "-i", place, tmp_path / "r.json", "::/reports/x.json")
    with path.open("r+b") as file:  # so that the next run has something to do
        file.seek(3 * MIB)
        file.write(b"other")

    class Cut(Target):
        """Dies in the middle of a write, and the clean-up with it."""

        writes = 0

        def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
            self.writes += 1
            if self.writes == number:
                super().write(offset, bytes(data)[: max(512, len(data) // 1024 * 512)])
            if self.writes >= number:
                raise DeviceError("Writing failed.", "It was pulled out.")
            super().write(offset, data)

    @contextmanager
    def opener(device: Device) -> Iterator[Target]:
        with open_target(device.path, expected=device) as target:
            target.__class__ = Cut
            yield target

    outcome = write(isos[kind], path, opener=opener)
    assert outcome.result in ("failed", "done")
    again = write(isos[kind], path)
    assert (again.error, again.data_partition) == (None, first.data_partition | {"kept": True})
    assert tool("mtype", "-i", place, "::/reports/x.json") == '{"schema": 1}'
    assert write(isos[kind], path).result == "already"
    note = path.read_bytes()[-64 * 512 :][:32]
    assert note == bytes(32), "the note is gone"


def test_a_damaged_engine_data_is_said_to_be_made_anew(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    path = stick(96 * MIB)
    data = write(isos["grub"], path).data_partition
    assert data is not None
    with path.open("r+b") as file:
        file.seek(data["offset_bytes"])
        file.write(bytes(512))
    with open_source(isos["grub"]) as source:
        assert "made anew" in " ".join(prepare(source, describe(path), Options()).plan.notes)


def test_one_disk_by_two_names_is_written_once(isos: dict[str, Path], stick: Stick, tmp_path: Path) -> None:
    path = stick(96 * MIB)
    (tmp_path / "other name").hardlink_to(path)
    with open_source(isos["grub"]) as source:
        both = [prepare(source, describe(name), Options()) for name in (path, tmp_path / "other name")]
        with pytest.raises(UsageError, match="twice"):
            write_all(Fleet(source, Options(), ignore, Cancel()), both)
    assert first_mib(path) == bytes(MIB)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_our_own_is_a_failure_too(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    path = stick(96 * MIB)

    def fault() -> None:
        raise ZeroDivisionError

    outcome = write(isos["grub"], path, approve=fault)
    assert outcome.result == "failed" and outcome.error is not None
    assert outcome.error.exit_status == 5
    assert first_mib(path) == bytes(MIB)


def test_an_image_that_changes_meanwhile_is_not_taken_for_the_one_that_was_checked(
    isos: dict[str, Path], stick: Stick, write: Write, tmp_path: Path
) -> None:
    image = tmp_path / "image.iso"
    image.write_bytes(isos["grub"].read_bytes())
    with open_source(image) as source:
        source.digests()
        source._kept.clear()  # as for a stick that fell behind
        with image.open("r+b") as file:
            file.seek(2 * MIB + 5)
            file.write(b"changed")
        prepared = prepare(source, describe(stick(96 * MIB)), Options())
        (outcome,) = write_all(Fleet(source, Options(), ignore, Cancel()), [prepared])
    assert isinstance(outcome.error, SourceError) and "changed" in outcome.error.message
    assert first_mib(tmp_path / "stick.img") == bytes(MIB)


def test_an_image_that_turns_out_forged_never_boots(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    def approve() -> None:
        raise TrustError("forged")

    path = stick(96 * MIB)
    outcome = write(isos["grub"], path, approve=approve)
    assert outcome.error is not None and outcome.error.exit_status == 6
    assert first_mib(path) == bytes(MIB)


def test_the_first_mib_is_zero_while_anything_else_changes_and_comes_last(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    path = stick(96 * MIB)
    write(isos["grub-next"], path)
    seen: list[tuple[int, bool]] = []

    def watch(offset: int, data: bytes) -> bytes:
        seen.append((offset, first_mib(path) == bytes(MIB)))
        return data

    assert write(isos["grub"], path, opener=faulty(lambda t: setattr(t, "corrupt", watch))).result == "done"
    assert seen[0][0] == 0 and seen[-1][0] == 0
    assert all(zeroed for offset, zeroed in seen if offset >= MIB)
    assert all(offset for offset, _ in seen[1:-1])


def test_progress_counts_up_to_the_whole_and_names_its_phases(
    isos: dict[str, Path], stick: Stick, write: Write, events: list[Event]
) -> None:
    write(isos["grub"], stick(96 * MIB), observer=events.append)
    phases = [event.phase for event in events if event.kind == "phase"]
    assert phases == ["write", "verify", "data", "finish"]
    last = [event for event in events if event.kind == "progress" and event.phase == "write"][-1]
    assert last.done_bytes == last.total_bytes == isos["grub"].stat().st_size - MIB


def test_what_is_too_small_is_refused_with_numbers(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    path = stick(4 * MIB)
    with pytest.raises(RefusedError, match=r"needs 8\.\d+ MiB .* has 4\.00 MiB"):
        write(isos["grub"], path)
    assert path.read_bytes() == bytes(4 * MIB)


def test_the_image_itself_is_never_a_target(isos: dict[str, Path], write: Write, tmp_path: Path) -> None:
    copy = tmp_path / "copy.iso"
    tool("cp", isos["grub"], copy)
    linked = tmp_path / "linked.iso"
    linked.hardlink_to(copy)
    with pytest.raises(RefusedError, match="itself"):
        write(copy, linked)


def test_a_packed_image_is_not_overwritten_by_what_comes_out_of_it(
    isos: dict[str, Path], write: Write, tmp_path: Path
) -> None:
    packed = tmp_path / "x.iso.xz"
    packed.write_bytes(lzma.compress(isos["mbr"].read_bytes(), preset=0))
    (tmp_path / "other.img").hardlink_to(packed)
    before = packed.read_bytes()
    for target in (packed, tmp_path / "other.img"):
        with pytest.raises(RefusedError, match="itself"):
            write(packed, target)
    assert packed.read_bytes() == before


@pytest.mark.root
def test_a_loop_device_made_of_the_image_is_never_a_target(
    isos: dict[str, Path], write: Write, tmp_path: Path
) -> None:
    image = tmp_path / "x.iso"
    image.write_bytes(isos["grub"].read_bytes())
    loop = tool("losetup", "-f", "--show", image).strip()
    try:
        with pytest.raises(RefusedError, match="itself"):
            write(image, describe(loop), wipe=(describe(loop).identity,))
    finally:
        tool("losetup", "-d", loop)


@pytest.mark.root
def test_a_loop_device_is_written_like_a_file(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    path = stick(96 * MIB)
    loop = tool("losetup", "-f", "--show", path).strip()
    try:
        device = describe(loop)
        with pytest.raises(RefusedError, match="not removable"):
            write(isos["grub"], device)
        outcome = write(isos["grub"], device, wipe=(device.identity,))
        assert (outcome.result, outcome.error) == ("done", None)
    finally:
        tool("losetup", "-d", loop)
    same_but_tables(isos["grub"], path)
    assert "No problems found" in tool("sgdisk", "-v", path)


@pytest.mark.root
def test_sectors_of_4096_bytes_are_refused(isos: dict[str, Path], stick: Stick, write: Write) -> None:
    loop = tool("losetup", "-b", "4096", "-f", "--show", stick(96 * MIB)).strip()
    try:
        with pytest.raises(RefusedError, match="4096"):
            write(isos["grub"], describe(loop), wipe=(describe(loop).identity,))
    finally:
        tool("losetup", "-d", loop)


def test_a_stick_full_of_old_data_becomes_the_same_stick(
    isos: dict[str, Path], stick: Stick, write: Write
) -> None:
    path = stick(96 * MIB)
    path.write_bytes(random.Random(3).randbytes(96 * MIB))
    data = write(isos["grub"], path).data_partition
    assert data is not None
    same_but_tables(isos["grub"], path)
    tool("dd", f"if={path}", f"of={path}.part", "bs=1M", f"skip={data['offset_bytes'] // MIB}", "status=none")
    assert tool("fsck.fat", "-n", f"{path}.part")
