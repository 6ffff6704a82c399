"""``make bench``: mediakit and its peers in the same run, as ratios. Needs no root, leaves nothing behind.

Each figure is the best of several runs, ours and the peer's in turn, with a warm page cache for both (a first
run of each does not count) and dirty pages written back before each run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from measure import Bench, Result, UnavailableError
from rows import ROWS, Row

WIDTHS = (15, 30, 30, 12, 16, 8, 22)
HEADS = ("row", "work", "peer", "ours", "peer's", "ratio", "target")


def main() -> int:
    """Measure what was asked for; 1 if a row could not be run, or with --strict if a target was missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--only", metavar="ROW", nargs="*", default=[], help=f"of {', '.join(names)}")
    parser.add_argument("--repeats", metavar="N", type=int, default=3, help="timed runs of each (3)")
    parser.add_argument("--folder", metavar="DIR", help="work in a folder below this one (/var/tmp; 8 GiB)")
    parser.add_argument(
        "--tiny", action="store_true", help="tiny images: shows that it works, measures nothing"
    )
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(names):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if arguments.repeats < 1:
        parser.error("--repeats is a number from 1 on")
    chosen = [row for row in ROWS if not arguments.only or row.name in arguments.only]
    print("Warm caches, dirty pages written back before each run, best of several, whole processes.\n")
    print(_line(HEADS), flush=True)
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="mediakit-bench-", dir=arguments.folder or "/var/tmp") as folder:
        bench = Bench(Path(folder), arguments.tiny, arguments.repeats)
        for row in chosen:
            verdicts.append(_measured(row, bench))
    return 1 if "error" in verdicts or (arguments.strict and "missed" in verdicts) else 0


def _measured(row: Row, bench: Bench) -> str:
    """Print one row; how it went: reached, missed, not there or error."""
    try:
        result = row.measure(bench)
    except UnavailableError as why:
        is_absent = str(why).endswith(("is not there yet", "is not installed"))
        empty = Result("-", "-", "-", False, str(why))
        return _print(row, empty, "not there" if is_absent else "error")
    return _print(row, result, "tiny" if bench.is_tiny else "reached" if result.reached else "missed")


def _print(row: Row, result: Result, verdict: str) -> str:
    cells = (row.name, row.work, row.peer, result.ours, result.peer, result.ratio, row.target)
    note = f" ({result.note})" if result.note else ""
    print(f"{_line(cells)}{verdict}{note}", flush=True)
    return verdict


def _line(cells: tuple[str, ...]) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))


if __name__ == "__main__":
    sys.exit(main())
