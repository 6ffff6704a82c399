"""``mediakit detect``: what is on the disks, as sentences or as the document of a recorded machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediakit.install.machine import DetectedEngine, Detection, Disk, Offer


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("disks", nargs="*", metavar="DISK", help="disks or disk images; default: all disks")
    parser.add_argument("--image", type=Path, metavar="IMAGE", help="make offers for this Engine image")
    parser.add_argument("--verify", action="store_true", help="read every slot and hold it to its manifest")
    parser.add_argument("--save", type=Path, metavar="F", help="record this machine in a file")
    parser.add_argument("--json", action="store_true", help="print the document of FORMATS")


def execute(arguments: argparse.Namespace) -> int:
    import json
    from contextlib import ExitStack

    from mediakit.engine.image import open_engine
    from mediakit.errors import MediakitError, SourceError
    from mediakit.install.detect import detect
    from mediakit.install.machine import Detection
    from mediakit.install.session import booted_medium

    status = 0
    with ExitStack() as stack:
        where = arguments.image or booted_medium()
        image = stack.enter_context(open_engine(where)) if where is not None else None
        if arguments.disks:
            found = detect([], image)
            for path in arguments.disks:
                try:
                    found = Detection(found.machine, (*found.disks, *detect([path], image).disks))
                except MediakitError as error:
                    print(f"mediakit: {error.message}\n  {error.hint}", file=sys.stderr)
                    status = SourceError.exit_status
        else:
            found = detect(None, image)
    if arguments.verify:
        from mediakit.install.check import verified

        found = verified(found)
    if arguments.save is not None:
        arguments.save.write_text(found.dumps())
    print(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if arguments.json else describe(found))
    return status


def describe(found: Detection) -> str:
    """The detection for people."""
    from mediakit.install.secureboot import standing
    from mediakit.units import format_size

    machine = found.machine
    boot = "UEFI" if machine.firmware == "uefi" else "BIOS"
    name = (
        " ".join(word for word in (machine.vendor, machine.model, machine.serial) if word) or "This machine"
    )
    secure = ", Secure Boot on" if machine.secure_boot else ""
    lines = [f"{name}: {boot}{secure}, {format_size(machine.ram_bytes)} of memory"]
    lines += [words for words in standing(machine) if words]
    for disk in found.disks:
        lines += ["", *_disk(disk)]
    if not found.disks:
        lines.append("No disk was found.")
    return "\n".join(lines)


def _disk(disk: Disk) -> list[str]:
    from mediakit.units import format_size

    words = [word for word in (disk.model, disk.serial, disk.bus) if word]
    lines = [f"{disk.path}: {format_size(disk.size_bytes)}, {', '.join(words)}"]
    for engine in disk.engines:
        lines += _engine(engine)
    if not disk.engines:
        lines += [
            f"  {c.what or c.kind}: {c.label or 'no label'}, {format_size(c.size_bytes)}"
            for c in disk.contents
        ]
    lines += [f"  {finding.severity}: {finding.what}" for finding in disk.findings]
    return lines + [_offer(offer) for offer in disk.offers]


def _engine(engine: DetectedEngine) -> list[str]:
    version = engine.version or "of unknown version"
    lines = [f"  Engine {version} (build {engine.build}), {engine.state.replace('_', ' ')}"]
    lines += [
        f"    slot {s.name}: {s.version or 'nothing'} {s.state}{'' if s.whole else ', not whole'}"
        for s in engine.slots
    ]
    lines += [f"    VM {vm.name} ({vm.origin})" for vm in engine.vms]
    return lines + ["  " + _offer(offer) for offer in engine.offers]


def _offer(offer: Offer) -> str:
    if offer.allowed:
        return f"  {offer.action}: yes. {offer.reason}".rstrip()
    return f"  {offer.action}: no. {offer.reason} {offer.way_forward}".rstrip()
