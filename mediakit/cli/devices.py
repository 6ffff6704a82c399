"""``mediakit devices``: the disks of this machine, what is on them, which may be written and why not."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediakit.block.devices import Device


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print JSON (with --watch, one document a change)"
    )
    parser.add_argument("--watch", action="store_true", help="stay, and say when disks come and go")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit.block import devices

    _show(devices.list_devices(), as_json=arguments.json)
    if arguments.watch:
        for change in devices.watch():
            if not arguments.json:
                print(change, flush=True)
            _show(devices.list_devices(), as_json=arguments.json)
    return 0


def _show(found: list[Device], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"schema": 1, "devices": [device.to_json() for device in found]}), flush=True)
        return
    if not found:
        print("No disk was found.")
    for device in found:
        print("\n".join(_lines(device)), flush=True)


def _lines(device: Device) -> list[str]:
    from mediakit.units import format_size

    where = " ".join(filter(None, (device.bus, "removable" if device.removable else "")))
    serial = f", serial {device.serial}" if device.serial else ""
    lines = [f"{device.path}  {format_size(device.size_bytes)}  {device.title}{serial}  {where}".rstrip()]
    lines += [
        f"    {content.what or content.kind}{f' “{content.label}”' if content.label else ''}"
        for content in device.contents
    ]
    if not device.allowed:
        lines.append(f"    not to be written: {device.reason} {device.hint}")
    return lines
