"""Other people's images boot by every route after they were edited, in one way or another, twenty times."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import tiny
from shelf import EDITS, EDITS_OF_ONE_SORT, Edited
from support import mediakit

from mediakit import iso
from mediakit.vm.spec import Bus, Disk, Firmware, VmSpec

EVERY_ROUTE = [(kind, *route) for kind in tiny.KINDS for route in tiny.routes(kind)]
SORTS = [name for name in EDITS_OF_ONE_SORT if name != "compact"]
A_SAMPLE = [
    # of every kind three sorts, by other routes each
    (kind, name, *tiny.routes(kind)[(row + column) % len(tiny.routes(kind))])
    for row, kind in enumerate(tiny.KINDS)
    for column, name in enumerate(("compact", SORTS[2 * row % 7], SORTS[(2 * row + 1) % 7]))
]
TESTERS = [
    # loaders and routes that can start what: Multiboot and boot sectors want a BIOS
    *((kind, "memtest", *route) for kind in ("isohybrid_gpt", "grub_gpt") for route in tiny.ROUTES),
    *((kind, name, *tiny.BIOS_ROUTES[number])
      for number, name in enumerate(("multiboot", "sector")) for kind in ("isohybrid_gpt", "grub_gpt")),
]  # fmt: skip


@pytest.mark.core
@pytest.mark.parametrize(("firmware", "bus"), tiny.ROUTES, ids=str)
def test_an_edited_image_boots_every_way(shelf, boots, firmware: Firmware, bus: Bus) -> None:
    boots(shelf.many("isohybrid_gpt", 10), firmware, bus)


@pytest.mark.parametrize(("kind", "firmware", "bus"), EVERY_ROUTE, ids=str)
def test_it_boots_after_twenty_edits_in_a_row(shelf, boots, kind: str, firmware: Firmware, bus: Bus) -> None:
    edited = shelf.many(kind)
    claimed = _claimed(edited.file)
    assert claimed == {f"{firmware}_{bus}" for firmware, bus in tiny.routes(kind)}
    boots(edited, firmware, bus)


@pytest.mark.parametrize(("kind", "name", "firmware", "bus"), A_SAMPLE, ids=str)
def test_it_boots_after_every_sort_of_edit(
    shelf, boots, kind: str, name: str, firmware: Firmware, bus: Bus
) -> None:
    boots(shelf.edited(kind, name), firmware, bus)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_edits_taken_back_boot_what_was_before_them(shelf, boots, copy, kind: str) -> None:
    image = copy(shelf.many(kind).file)
    number = list(tiny.KINDS).index(kind)
    for _ in range(EDITS // 2):
        mediakit("rewrite", image, "--in-place", "--undo", "--progress", "none")
    before = shelf.many(kind, EDITS // 2)
    boots(
        Edited(image, before.state, before.there, before.gone),
        *tiny.routes(kind)[number % len(tiny.routes(kind))],
    )
    for _ in range(EDITS // 2):
        mediakit("rewrite", image, "--in-place", "--undo", "--progress", "none")
    assert _digest(image) == _digest(shelf.base(kind))


@pytest.mark.parametrize(("kind", "name", "firmware", "bus"), TESTERS, ids=str)
def test_a_replaced_tester_starts_unasked(
    shelf, start, copy, kind: str, name: str, firmware: Firmware, bus: Bus
) -> None:
    image = copy(shelf.edited(kind, "argument").file)
    words = shelf.puts(tiny.tester_files("edited"))
    mediakit("rewrite", image, "--in-place", *words, "--menu-default", name)
    with start(tiny.machine(image, firmware, bus)) as machine:
        machine.serial.expect(f"TINY-TESTER {name} edited[.]", machine.deadline(30))


@pytest.mark.parametrize("kind", ["floppy", "hard-disk"])
def test_a_disk_that_el_torito_emulates_is_replaced(shelf, start, tmp_path: Path, kind: str) -> None:
    image = tiny.emulating(kind, tmp_path, tmp_path / "emulating.iso")
    words = shelf.puts({"/disk.img": tiny.emulated(kind, "edited"), "/note.txt": b"edited"})
    for edit, said in ((words, "edited"), (["--undo"], tiny.ORIGINAL)):
        mediakit("rewrite", image, "--in-place", *edit)
        with start(tiny.machine(image, Firmware.BIOS, Bus.CD)) as machine:
            machine.serial.expect(f"TINY-TESTER {kind} {said}[.]", machine.deadline(30))


@pytest.mark.parametrize("kind", ["isohybrid_gpt", "grub_gpt"])
def test_a_menu_that_shall_wait_waits(shelf, start, copy, kind: str) -> None:
    """Both would start at once: ISOLINUX asks for nothing, GRUB's timeout is 0."""
    image = copy(shelf.image(kind))
    mediakit("rewrite", image, "--in-place", "--menu-timeout", "-1")
    with start(tiny.machine(image, Firmware.BIOS, Bus.USB)) as machine:
        machine.wait_screen("boot:" if kind.startswith("iso") else "Tiny Linux", machine.deadline(30))
        machine.press("enter")
        assert tiny.booted(machine).state == tiny.State()


def test_an_edited_engine_medium_shows_screen_two(product, start, tmp_path: Path) -> None:
    """The kernel itself prints its command line, because the last loglevel= wins over “quiet”."""
    image = tmp_path / "edited.iso"
    words = ["--kernel-arg", "x=y", "--kernel-arg", "loglevel=6", "--menu-timeout", "1"]
    mediakit("rewrite", product.iso("5.0"), "-o", image, *words, "--menu-default", "serial")
    stick = Disk(image, Bus.USB, serial="MEDIUM", boot=0, snapshot=True)
    with start(VmSpec(Firmware.UEFI, (stick,), ram_mib=1024, cpus=2)) as machine:
        machine.serial.expect(r"ommand line: [^\n]*engine\.mode=serial[^\n]* x=y\b", machine.deadline(60))
        machine.serial.wait_screen(r"Screen 2[\s\S]*Welcome[\s\S]*Enter:", machine.deadline(90))


def _claimed(image: Path) -> set[str]:
    """The routes by which our own audit says that the image boots."""
    with iso.open_image(image) as opened:
        return {n for n, route in opened.facts().boot.items() if route.ok and n != "secure_boot"}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
