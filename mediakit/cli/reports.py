"""``mediakit reports``: which machines a stick has done, for people, as JSON or as CSV."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DEVICE|DIR", help="sticks, images or folders"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print a table for spreadsheets")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.stick import reports

    found = reports.collect(arguments.places)
    if arguments.json:
        print(json.dumps(found.to_json()))
    elif arguments.csv:
        print(found.to_csv(), end="")
    else:
        for report in found.reports:
            cells = {column: reports.value(report, column) for column in reports.COLUMNS}
            machine = " ".join(filter(None, (cells["vendor"], cells["model"], cells["serial"])))
            reason = f": {cells['reason']}" if cells["reason"] else ""
            print(f"{cells['started']}  {machine}  {cells['action']} {cells['result']}{reason}")
        if not found.reports:
            print("There are no reports.")
        for name in found.damaged:
            print(f"cannot be read: {name}")
    return 0
