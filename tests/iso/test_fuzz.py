"""The fuzzer, run in a process of its own (it limits that one's memory), and the fuzzer judged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.iso.fuzz_map import chart
from tests.iso.fuzz_mutant import mutate
from tests.isos import make

ROOT = Path(__file__).parent.parent.parent
JOBS = str(len(os.sched_getaffinity(0)))


def run(folder: Path, *words: str, planted: str = "pass") -> tuple[int, str]:
    """Exit status and output of the fuzzer, with a line of Python executed before it."""
    code = f"import sys\nfrom tests.iso import fuzz\n{planted}\nsys.exit(fuzz.main(sys.argv[1:]))"
    argv = [sys.executable, "-c", code, "--images", str(folder), *words]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * 3600,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_ten_thousand_hostile_images_raise_nothing_undeclared(iso_folder: Path) -> None:
    status, output = run(iso_folder, "--seed", "1", "--count", "10000", "--jobs", JOBS)
    assert status == 0, output


@pytest.mark.long
def test_two_hundred_thousand_do_not_either(iso_folder: Path) -> None:
    status, output = run(iso_folder, "--seed", "2", "--count", "200000", "--jobs", JOBS)
    assert status == 0, output


@pytest.mark.parametrize(
    ("planted", "sign"),
    [
        ("from mediakit.formats import iso9660; iso9660.parse_record.__code__ = (lambda data, at, base=0:"
         " DirectoryRecord(bytes(data[at + 33 : at + 33 + data[at + 32]]), data[at + 2], data[at + 10],"
         " data[at + 25], b'', base + at)).__code__", "IndexError"),
        ("def endless(mutant):\n    while True: pass\nfuzz.examine = endless; fuzz.LIMIT_SECONDS = 0.1", "CPU time"),
        ("fuzz.examine = lambda mutant: bytes(1 << 29)", "MemoryError"),
        ("from mediakit.iso import edit; edit.undo = lambda medium: None", "AssertionError"),
    ],
    ids=["unchecked", "endless", "greedy", "not undone"],
)  # fmt: skip
def test_planted_bugs_are_found_and_can_be_tried_again(iso_folder: Path, planted: str, sign: str) -> None:
    words = ("--kinds", "plain", "floppy", "--count", "60", "--seed", "3")
    status, output = run(iso_folder, *words, planted=planted)
    assert status == 1 and sign in output, output
    assert "python -m tests.iso.fuzz --seed 3 --only " in output


def test_an_input_is_the_same_again(iso_folder: Path) -> None:
    base = chart(make.make("grub_gpt", iso_folder).read_bytes())
    one, two = (mutate("grub_gpt", base, random.Random("1:5")) for _ in range(2))
    other = mutate("grub_gpt", base, random.Random("1:6"))
    assert one == two and one.patches and one != other
    offset, raw = one.patches[-1]
    assert one.reader()(offset, len(raw)) == raw and one.data == base.data
