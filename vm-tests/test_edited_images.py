"""Other people's images boot by every route after they were edited, twenty times, cut off, or on a stick."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
from support import mediakit, written_sha256

from mediakit import iso
from mediakit.engine import rewriting
from mediakit.iso import edit
from mediakit.run import run
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec
from tests.iso.edit import crash

KINDS = [(kind, *route) for kind in tiny.KINDS for route in tiny.routes(kind)]
ARGUMENT = "tiny.mark=1"
EDITS = 20
NOW = 1_700_000_000


class Shelf:
    """Images, made and edited once a session; machines take them as they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tree: Path | None = None
        self.initrd = folder / "initrd.new"
        self.memtest = folder / "memtest.new"
        self.note = folder / "note.new"

    def image(self, kind: str) -> Path:
        """As its maker left it."""
        if self._tree is None:
            self._tree = tiny.tree(self._folder)
            self.initrd.write_bytes(tiny.initrd_of(2))
            self.memtest.write_bytes(tiny.memory_test("TINY-MEMTEST edited"))
        return self._once(kind, lambda out: tiny.KINDS[kind](self._tree, out))

    def edited(self, kind: str) -> Path:
        """With a larger initrd, another note and memory test, one more kernel argument; made for USB too."""
        return self._once(f"{kind}-edited", lambda out: self._edit(self._copy(self.image(kind), out), kind))

    def many(self, kind: str) -> Path:
        """The edited image after twenty more edits."""

        def make(out: Path) -> None:
            self._copy(self.edited(kind), out)
            for number in range(1, EDITS + 1):
                self.note.write_text(f"edit {number}")
                words = ["--add", f"{self.note}=/note.txt", "--add", f"{self.note}=/many/{number}.txt"]
                if number == EDITS // 2:
                    words += ["--kernel-arg", "tiny.half=1"]
                mediakit("rewrite", out, "--in-place", "--progress", "none", *words)

        return self._once(f"{kind}-many", make)

    def _edit(self, image: Path, kind: str) -> None:
        if kind.startswith("disc_"):
            mediakit("rewrite", image, "--in-place", "--usb-bootable")
        mediakit("rewrite", image, "--in-place", *self.wish("edited"))

    def wish(self, note: str) -> list[str]:
        """The words of the one large edit."""
        self.note.write_text(note)
        puts = {self.note: "/note.txt", self.initrd: "/boot/initrd.img", self.memtest: "/boot/memtest"}
        added = [word for source, path in puts.items() for word in ("--add", f"{source}={path}")]
        return [*added, "--kernel-arg", ARGUMENT]

    def _copy(self, image: Path, out: Path) -> Path:
        out.write_bytes(image.read_bytes())
        return out

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self._folder / f"{name}.iso"
        if not path.exists():
            scratch = path.with_suffix(".new")
            make(scratch)
            scratch.rename(path)
        return path


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("tiny"))


def boots(start, file: Path, firmware: Firmware, bus: Bus, generation: str, note: str) -> list[str]:
    """Boot, hold the initrd and the medium's note to what is wanted while the machine (and so the evidence)
    is there; the kernel's arguments."""
    with start(tiny.machine(file, firmware, bus)) as machine:
        said = tiny.booted(machine)
        assert (said.generation, said.note) == (generation, note)
        words = said.command_line.split()
        assert words.count(ARGUMENT) == (generation == "2")
        return words


@pytest.mark.core
@pytest.mark.parametrize(("firmware", "bus"), tiny.ROUTES, ids=str)
def test_an_edited_image_boots_every_way(shelf, start, firmware: Firmware, bus: Bus) -> None:
    boots(start, shelf.edited("isohybrid_gpt"), firmware, bus, "2", "edited")


@pytest.mark.parametrize(("kind", "firmware", "bus"), KINDS, ids=str)
def test_it_boots_after_twenty_edits_in_a_row(shelf, start, kind: str, firmware: Firmware, bus: Bus) -> None:
    assert "tiny.half=1" in boots(start, shelf.many(kind), firmware, bus, "2", f"edit {EDITS}")


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_all_edits_taken_back_boot_the_original(shelf, start, copy, kind: str) -> None:
    image = copy(shelf.many(kind))
    for _ in range(EDITS + 1):
        mediakit("rewrite", image, "--in-place", "--undo", "--progress", "none")
    assert _digest(image.read_bytes()) == _digest(shelf.image(kind).read_bytes())
    assert "tiny.half=1" not in boots(start, image, Firmware.BIOS, Bus.USB, "1", tiny.ORIGINAL)


@pytest.mark.parametrize(("firmware", "bus"), tiny.BIOS_ROUTES, ids=str)
@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_a_replaced_memory_test_starts_unasked(
    shelf, start, copy, kind: str, firmware: Firmware, bus: Bus
) -> None:
    image = copy(shelf.edited(kind))
    mediakit("rewrite", image, "--in-place", "--menu-default", "memtest")
    with start(tiny.machine(image, firmware, bus)) as machine:
        machine.serial.expect("TINY-MEMTEST edited", machine.deadline(30))


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt", "disc_isolinux"])
def test_a_stick_is_edited_in_place_beside_its_data(shelf, start, tmp_path: Path, kind: str) -> None:
    stick = tmp_path / "stick.img"
    words = ["--usb-bootable"] if kind.startswith("disc_") else []
    mediakit("write", shelf.image(kind), stick, "--size", "4G", "--yes", *words)
    before = data_partition(stick)
    mediakit("rewrite", stick, "--in-place", "--yes", *shelf.wish("on the stick"))
    assert data_partition(stick) == before
    for firmware in (Firmware.BIOS, Firmware.UEFI):
        boots(start, stick, firmware, Bus.USB, "2", "on the stick")


def data_partition(stick: Path) -> tuple[int, int, str]:
    """Offset and size in bytes of the partition behind the image, and the hash of what is in it."""
    table = json.loads(run(["sfdisk", "--json", stick], timeout=30).text)["partitiontable"]
    last = max(table["partitions"], key=lambda part: part["start"])
    offset, size = last["start"] * 512, last["size"] * 512
    return offset, size, written_sha256(stick, offset, size)


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_a_cut_off_edit_boots_the_old_or_the_new(shelf, start, tmp_path: Path, kind: str) -> None:
    """Menu, initrd and files are all of one state, the one that the tree on the medium is in."""
    old = shelf.image(kind)
    shelf.wish("cut")
    medium = recorded(shelf, old)
    image = tmp_path / "cut.iso"
    wanted = {tiny.ORIGINAL: "1", "cut": "2"}
    seen = set()
    for number, state in enumerate(cut_states(old.read_bytes(), medium)):
        image.write_bytes(state)
        with iso.open_image(image) as opened:
            note = opened.read("/note.txt").decode()
        seen.add(note)
        firmware = (Firmware.BIOS, Firmware.UEFI)[number % 2]
        boots(start, image, firmware, Bus.USB, wanted[note], note)
    assert seen == set(wanted)


def recorded(shelf: Shelf, old: Path) -> crash.Recorder:
    """The writes of the large edit, between its flushes."""
    puts = {"/note.txt": shelf.note, "/boot/initrd.img": shelf.initrd}
    files = tuple(edit.Put(path, source) for path, source in puts.items())
    with iso.open_image(old) as image:
        wish = rewriting.Request(files=files, kernel_arguments=(ARGUMENT,))
        plan = edit.make_plan(image, rewriting.gather(image, wish, now=NOW).changes, now=NOW)
    medium = crash.Recorder(old.read_bytes())
    edit.apply_in_place(medium, plan)
    return medium


def cut_states(old: bytes, medium: crash.Recorder) -> Iterator[bytes]:
    """What a cut leaves after the append and then after each single write in front of it: tables, descriptors."""
    durable = bytearray(old)
    for writes in medium.barriers:
        is_append = len(writes) > 2
        for offset, data in writes:
            crash.put(durable, offset, data) if data else crash.set_size(durable, offset)
            if offset < len(old) and not is_append:
                yield bytes(durable)
        if is_append:
            yield bytes(durable)


def test_an_edited_engine_medium_shows_screen_two(product, start, tmp_path: Path) -> None:
    """The kernel itself prints its command line, because the last loglevel= wins over “quiet”."""
    image = tmp_path / "edited.iso"
    words = ["--kernel-arg", "x=y", "--kernel-arg", "loglevel=6", "--menu-timeout", "1"]
    mediakit("rewrite", product.iso("5.0"), "-o", image, *words, "--menu-default", "serial")
    stick = Disk(image, Bus.USB, serial="MEDIUM", boot=0, snapshot=True)
    with start(VmSpec(Firmware.UEFI, (stick,), ram_mib=1024, cpus=2)) as machine:
        machine.serial.expect(r"ommand line: [^\n]*engine\.mode=serial[^\n]* x=y\b", machine.deadline(60))
        machine.serial.wait_screen(r"Screen 2[\s\S]*Welcome[\s\S]*Enter:", machine.deadline(90))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
