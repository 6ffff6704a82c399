"""Fuzzing of everything that reads an image: seeded, structure-aware mutations of the generated images.

``python -m tests.iso.fuzz [--seed N] [--count N] [--only NUMBER] [--jobs N] [--keep FILE] [--images FOLDER]``

Each input is a few fields of a sound image set to what hurts (checksums made right again, most of the time),
pieces of it copied elsewhere, cut or lengthened. Only MediakitError may come out, within 2 s of CPU time and
300 MB. Nothing is written: a mutant is a list of patches over the image in memory.
"""

from __future__ import annotations

import argparse
import binascii
import importlib.util
import itertools
import json
import multiprocessing
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from mediakit.errors import FormatError, MediakitError
from mediakit.formats.reader import Reader
from mediakit.iso.image import Image
from mediakit.iso.nodes import FileTree
from mediakit.iso.udf_tree import UdfTree
from tests.iso.fuzz_map import BLOCK, Field, Map, chart
from tests.isos import make

LIMIT_SECONDS = 2.0
LIMIT_BYTES = 300 << 20
KINDS = sorted({*make.KINDS, *make.CRAFTED_KINDS} - {"grub_rescue", "isohybrid_tool"})
LIMIT_NAMES = 3000


class TooSlow(BaseException):
    """CPU time is up; no Exception, so that nothing swallows it."""


@dataclass
class Mutant:
    """A sound image with patches; bytes behind its end are zeros."""

    kind: str
    data: bytes
    size_bytes: int
    patches: list[tuple[int, bytes]] = field(default_factory=list)

    def put(self, offset: int, raw: bytes) -> None:
        if offset >= 0 and raw:
            self.patches.append((offset, raw))

    def get(self, offset: int, size: int) -> bytes:
        part = bytearray(self.data[offset : offset + size].ljust(size, b"\0"))
        for start, raw in self.patches:
            low, high = max(start, offset), min(start + len(raw), offset + size)
            if low < high:
                part[low - offset : high - offset] = raw[low - start : high - start]
        return bytes(part)

    def reader(self) -> Reader:
        def read(offset: int, size: int) -> bytes:
            if offset < 0 or size < 0 or offset + size > self.size_bytes:
                raise FormatError(f"Bytes {offset} to {offset + size} are not there.")
            return self.get(offset, size)

        return read


def mutate(kind: str, base: Map, rng: random.Random) -> Mutant:
    """One input."""
    mutant = Mutant(kind, base.data, len(base.data))
    touched: list[int] = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        roll = rng.random()
        if roll < 0.72:
            touched.append(_set_field(mutant, base, rng))
        elif roll < 0.84:
            start, size = rng.choice(base.areas)
            at = start + rng.randrange(max(1, size))
            mutant.put(at, rng.randbytes(rng.choice((1, 1, 2, 4, 16))))
            touched.append(at)
        elif roll < 0.92:
            source, target = rng.choice(base.areas), rng.choice(base.areas)
            mutant.put(target[0], mutant.get(source[0], min(source[1], target[1], 4096)))
            touched.append(target[0])
        elif roll < 0.96:
            blocks = len(base.data) // BLOCK
            near = rng.choice(base.places or [16])
            one, two = rng.randrange(min(blocks, 600)), near
            mutant.put(two * BLOCK, mutant.get(one * BLOCK, BLOCK))
        else:
            start, size = rng.choice(base.areas)
            mutant.put(start, rng.choice((b"\0", b"\xff", b"\x01")) * min(size, 4096))
            touched.append(start)
    roll = rng.random()
    if roll < 0.05:
        mutant.size_bytes = rng.choice(
            (rng.randrange(len(base.data)), rng.choice(base.areas)[0] + 1, 17 * BLOCK + 1)
        )
    elif roll < 0.08:
        mutant.size_bytes += rng.choice((1, 511, BLOCK, 1 << 20, 5 << 30, 3 << 40))
    if rng.random() < 0.8:
        _make_right(mutant, base, touched)
    return mutant


def _set_field(mutant: Mutant, base: Map, rng: random.Random) -> int:
    chosen: Field = rng.choice(base.fields[rng.choice(sorted(base.fields))])
    width = chosen.width
    order = "big" if chosen.order == "big" else "little"
    now = int.from_bytes(mutant.get(chosen.offset, width), order)
    top = (1 << width * 8) - 1
    blocks = mutant.size_bytes // BLOCK
    value = rng.choice((
        0, 1, 2, 3, 16, 17, 255, 2048, top, top - 1, top >> 1, (top >> 1) + 1, now + 1, now - 1, now * 2, now // 2,
        now ^ (1 << rng.randrange(width * 8)), blocks, blocks - 1, blocks + 1, blocks * 4, mutant.size_bytes,
        rng.choice(base.places or [19]), rng.choice(base.places or [19]), rng.randrange(top + 1), chosen.offset // BLOCK,
    )) & top  # fmt: skip
    raw = value.to_bytes(width, order)
    mutant.put(chosen.offset, raw + raw[::-1] if chosen.order == "both" else raw)
    return chosen.offset


def _make_right(mutant: Mutant, base: Map, touched: list[int]) -> None:
    """Checksums over what was changed, so that what lies behind them is reached."""
    for at in base.udf_tags:
        if any(at <= t < at + 512 for t in touched):
            (covered,) = struct.unpack("<H", mutant.get(at + 10, 2))
            body = mutant.get(at + 16, min(covered, BLOCK - 16))
            mutant.put(at + 8, struct.pack("<H", binascii.crc_hqx(body, 0)))
            tag = mutant.get(at, 16)
            mutant.put(at + 4, bytes([(sum(tag[:4]) + sum(tag[5:])) & 0xFF]))
    for at in base.gpt_headers:
        head = bytearray(mutant.get(at, 92))
        entries, count, size = struct.unpack_from("<QII", head, 72)
        if any(at <= t < at + 92 or entries * 512 <= t < entries * 512 + 4096 for t in touched):
            if count * size <= 1 << 20 and entries < 1 << 40:
                struct.pack_into("<I", head, 88, zlib.crc32(mutant.get(entries * 512, count * size)))
            struct.pack_into("<I", head, 16, 0)
            (length,) = struct.unpack_from("<I", head, 12)
            struct.pack_into("<I", head, 16, zlib.crc32(bytes(head[: min(length, 92)])))
            mutant.put(at, bytes(head))
    if base.catalog is not None and any(base.catalog <= t < base.catalog + 32 for t in touched):
        entry = mutant.get(base.catalog, 32)
        total = sum(struct.unpack("<16H", entry[:28] + b"\0\0" + entry[30:])) & 0xFFFF
        mutant.put(base.catalog + 28, struct.pack("<H", -total & 0xFFFF))


def examine(mutant: Mutant) -> None:
    """Everything that reads: each part on its own, so that an error in one does not spare the others."""
    reader = mutant.reader()
    try:
        image = Image(Path("/fuzz.iso"), reader, mutant.size_bytes)
    except MediakitError:
        return
    _try(lambda: json.dumps(image.facts().to_json(files=itertools.islice(image.files(), LIMIT_NAMES))))
    _try(lambda: image.sessions)
    _try(lambda: list(itertools.islice(image.files(), LIMIT_NAMES)))
    trees: list[FileTree] = list(image.trees)
    _try(lambda: trees.append(UdfTree(reader, mutant.size_bytes)))
    for tree in trees:
        _try(lambda tree=tree: _walk(image, tree))  # type: ignore[misc]
    if zlib.crc32(repr(mutant.patches).encode()) % 8 == 0:  # they look at everything again, before and after
        for more in _others():
            _try(lambda more=more: more(Image(Path("/fuzz.iso"), reader, mutant.size_bytes)))  # type: ignore[misc]


def _walk(image: Image, tree: FileTree) -> None:
    image.tree = tree
    files = [
        (path, node) for path, node in itertools.islice(tree.walk(), LIMIT_NAMES) if node.kind != "directory"
    ]
    for path, node in files[::7]:
        _try(lambda path=path: image.read(path, 70_000))  # type: ignore[misc]
        _try(lambda path=path, node=node: next(image.stream(path, node.size_bytes // 2, 5000), b""))  # type: ignore[misc]
        _try(lambda path=path: image.extents(path.upper()))  # type: ignore[misc]


def _others() -> list[Callable[[Image], object]]:
    """What else takes an image apart, where it is there: plans of edits and of repairs."""
    found: list[Callable[[Image], object]] = []
    if importlib.util.find_spec("mediakit.iso.edit"):
        edit: Any = importlib.import_module("mediakit.iso.edit")
        changes = [edit.Put("/new/folder/file.txt", b"x" * 5000), edit.Put("/boot/vmlinuz", b"new")]
        changes += [edit.SetVolumeId("OTHER")]
        found.append(lambda image: edit.make_plan(image, changes, now=1_700_000_000))
        found.append(
            lambda image: edit.make_plan(image, [edit.Remove("/boot")], now=1_700_000_000, force=True)
        )
    if importlib.util.find_spec("mediakit.iso.fix"):
        fix: Any = importlib.import_module("mediakit.iso.fix")
        found.append(fix.make_plan)
    return found


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except MediakitError as error:
        str(error)


@dataclass(frozen=True)
class Failure:
    """An input that broke a rule."""

    number: int
    kind: str
    what: str


def run(seed: int, numbers: range, folder: Path, kinds: list[str], stop_after: int = 5) -> list[Failure]:
    """Try the inputs ``numbers`` of ``seed``; at most ``stop_after`` failures."""
    bases = {kind: chart(make.make(kind, folder).read_bytes()) for kind in kinds}
    signal.signal(signal.SIGPROF, _time_is_up)
    _limit_memory()
    failures: list[Failure] = []
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")
        kind = rng.choice(kinds)
        mutant = mutate(kind, bases[kind], rng)
        signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
        what = ""
        try:
            examine(mutant)
        except TooSlow:
            what = f"more than {LIMIT_SECONDS} s of CPU time\n{traceback.format_exc(limit=-6)}"
        except Exception:  # the very thing that is looked for
            what = traceback.format_exc(limit=-8)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if what:
            failures.append(Failure(number, kind, what))
            if len(failures) >= stop_after:
                break
    return failures


def _time_is_up(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def _limit_memory() -> None:
    """300 MB more than what Python and the sound images take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + LIMIT_BYTES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fuzz everything that reads an image.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, help="try this one input, without limits, and show its patches")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--keep", type=Path, help="with --only: write the input to a file")
    parser.add_argument("--images", type=Path, help="where the sound images are, or are made")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.images or Path(scratch)
        for kind in options.kinds:
            make.make(kind, folder)
        if options.only is not None:
            return _only(options, folder)
        started = time.monotonic()
        end = options.first + options.count
        parts = [range(options.first + n, end, options.jobs) for n in range(options.jobs)]
        if options.jobs == 1:
            failures = run(options.seed, parts[0], folder, options.kinds)
        else:
            with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
                work = [(options.seed, part, folder, options.kinds) for part in parts]
                failures = [failure for found in pool.starmap(run, work) for failure in found]
    for failure in failures:
        print(f"input {failure.number} ({failure.kind}) of seed {options.seed}:\n{failure.what}")
        print(f"try it again: python -m tests.iso.fuzz --seed {options.seed} --only {failure.number}\n")
    print(
        f"{options.count} inputs, seed {options.seed}: {len(failures)} failures, {time.monotonic() - started:.0f} s"
    )
    return 1 if failures else 0


def _only(options: argparse.Namespace, folder: Path) -> int:
    rng = random.Random(f"{options.seed}:{options.only}")
    kind = rng.choice(options.kinds)
    mutant = mutate(kind, chart(make.make(kind, folder).read_bytes()), rng)
    print(kind, mutant.size_bytes, [(hex(offset), raw.hex()[:64]) for offset, raw in mutant.patches])
    if options.keep:
        options.keep.write_bytes(mutant.get(0, min(mutant.size_bytes, len(mutant.data) + (1 << 20))))
    started = time.process_time()
    examine(mutant)
    print(f"no failure, {time.process_time() - started:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
