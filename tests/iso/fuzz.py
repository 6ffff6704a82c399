"""Fuzzing of everything that reads an image: seeded, structure-aware mutations of the generated images.

``python -m tests.iso.fuzz [--seed N] [--count N] [--only NUMBER] [--jobs N] [--keep FILE] [--images FOLDER]``

Each input is a sound image with a few things changed (``fuzz_mutant``), by the map of what lies where
(``fuzz_map``); what is done with it is ``fuzz_exam``'s. Only MediakitError may come out, within 2 s of CPU time
and 300 MB. The same seed gives the same inputs on every machine, for the images are the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.iso.fuzz_exam import examine
from tests.iso.fuzz_kinds import KINDS, make_kind
from tests.iso.fuzz_map import chart
from tests.iso.fuzz_mutant import mutate
from tests.iso.limits import TooSlow, cpu_seconds

LIMIT_SECONDS = 2.0
"""Of CPU time, user and system: a machine with other work to do makes no input slower."""
LIMIT_BYTES = 300 << 20
"""Of address space, beyond what Python and the sound images take: nothing else on the machine counts."""


@dataclass(frozen=True)
class Failure:
    """An input that broke a rule."""

    number: int
    kind: str
    what: str


@dataclass(frozen=True)
class Outcome:
    """What became of some inputs; ``slowest`` is CPU seconds and the number of the input that took them."""

    failures: tuple[Failure, ...]
    slowest: tuple[float, int]


def run(seed: int, numbers: range, folder: Path, kinds: list[str], stop_after: int = 5) -> Outcome:
    """Try the inputs ``numbers`` of ``seed``, until ``stop_after`` have failed."""
    bases = {kind: chart(make_kind(kind, folder).read_bytes()) for kind in kinds}
    _limit_memory()
    failures: list[Failure] = []
    slowest = (0.0, 0)
    for number in numbers:
        rng = random.Random(f"{seed}:{number}")
        kind = rng.choice(kinds)
        mutant = mutate(kind, bases[kind], rng)
        what = ""
        started = time.process_time()
        try:
            with cpu_seconds(LIMIT_SECONDS):
                examine(mutant)
        except TooSlow:
            what = f"more than {LIMIT_SECONDS} s of CPU time\n{traceback.format_exc(limit=-6)}"
        except Exception:  # the very thing that is looked for
            what = traceback.format_exc(limit=-8)
        slowest = max(slowest, (time.process_time() - started, number))
        if what:
            failures.append(Failure(number, kind, what))
            if len(failures) >= stop_after:
                break
    return Outcome(tuple(failures), slowest)


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
            make_kind(kind, folder)
        if options.only is not None:
            return _only(options, folder)
        started = time.monotonic()
        end = options.first + options.count
        parts = [range(options.first + n, end, options.jobs) for n in range(options.jobs)]
        if options.jobs == 1:
            outcomes = [run(options.seed, parts[0], folder, options.kinds)]
        else:
            with multiprocessing.get_context("fork").Pool(options.jobs) as pool:
                work = [(options.seed, part, folder, options.kinds) for part in parts]
                outcomes = pool.starmap(run, work)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    for failure in failures:
        print(f"input {failure.number} ({failure.kind}) of seed {options.seed}:\n{failure.what}")
        print(f"try it again: python -m tests.iso.fuzz --seed {options.seed} --only {failure.number}\n")
    seconds, slowest = max(outcome.slowest for outcome in outcomes)
    print(
        f"{options.count} inputs, seed {options.seed}: {len(failures)} failures, {time.monotonic() - started:.0f} s; "
        f"the slowest, {slowest}, took {seconds:.2f} s of CPU time"
    )
    return 1 if failures else 0


def _only(options: argparse.Namespace, folder: Path) -> int:
    rng = random.Random(f"{options.seed}:{options.only}")
    kind = rng.choice(options.kinds)
    mutant = mutate(kind, chart(make_kind(kind, folder).read_bytes()), rng)
    print(kind, mutant.size_bytes, [(hex(offset), raw.hex()[:64]) for offset, raw in mutant.patches])
    if options.keep:
        options.keep.write_bytes(mutant.get(0, min(mutant.size_bytes, len(mutant.data) + (1 << 20))))
    started = time.process_time()
    examine(mutant)
    print(f"no failure, {time.process_time() - started:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
