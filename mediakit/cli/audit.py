"""``mediakit audit``: how an image or stick boots, or why not; ``--fix`` repairs what is safe to repair.

Status 1 when a route that the image claims is broken (``iso.facts`` says what claims one), 3 for what is no
image or is cut off elsewhere, 0 otherwise; other oddities are findings.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediakit.block.devices import Device
    from mediakit.cli.bootview import Line
    from mediakit.iso import ImageFacts
    from mediakit.iso.fix import FixPlan


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE|DEVICE", type=Path, help="an ISO file, a stick or a disc")
    parser.add_argument("--fix", action="store_true", help="repair boot structures where that is safe")
    parser.add_argument("--yes", action="store_true", help="do not ask for the typed confirmation")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit import iso
    from mediakit.iso import fix

    with iso.open_image(arguments.image) as image:
        facts = image.facts()
        plan = fix.make_plan(image) if arguments.fix or not arguments.json else fix.FixPlan()
    if not arguments.fix:
        return _finish(arguments, facts, None, plan)
    if plan:
        _repair(arguments, plan)
        with iso.open_image(arguments.image) as image:
            facts = image.facts()
    return _finish(arguments, facts, plan, fix.FixPlan())


def _repair(arguments: argparse.Namespace, plan: FixPlan) -> None:
    """Ask, open for writing as law 2 wants it, plan again on what was opened, write."""
    from mediakit.block import devices
    from mediakit.block.target import open_target
    from mediakit.errors import RefusedError
    from mediakit.iso import fix
    from mediakit.iso.image import Image
    from mediakit.stick import implants

    device = devices.describe(arguments.image)
    if not device.allowed:
        raise RefusedError(device.reason, device.hint)
    if device.sector_bytes != 512:
        raise RefusedError(
            f"{device.path} has sectors of {device.sector_bytes} bytes; an image's tables count 512.",
            "Use another stick.",
        )
    _confirm(arguments, device, plan)
    with open_target(arguments.image, expected=device) as target:
        again = fix.make_plan(Image(arguments.image, target.reader, target.size_bytes))
        if again != plan:
            raise RefusedError(
                f"{device.path} changed while the repair was planned.", "Look again, then start again."
            )
        implant = implants.after_writes(
            target.reader, target.size_bytes, [(region.offset_bytes, region.data) for region in plan.regions]
        )
        fix.apply(plan, target)
        if implant is not None:
            target.write(*implant)
            target.flush()
        target.reread_partitions()


def _confirm(arguments: argparse.Namespace, device: Device, plan: FixPlan) -> None:
    """The typed identity of a device, on a terminal; a file that was named is confirmed by ``--fix``."""
    import sys

    from mediakit.cli import asking, bootview

    bootview.show(_describe(plan, "\nTo repair"), sys.stderr)
    if arguments.yes or device.is_file:
        return
    asking.need_terminal("the repair", "Look at it without --fix, then add --yes.")
    asking.show_device(device)
    asking.type_word(device.identity, "to repair it")


def _finish(arguments: argparse.Namespace, facts: ImageFacts, done: FixPlan | None, possible: FixPlan) -> int:
    from mediakit.errors import SourceError

    if arguments.json:
        import json

        document: dict[str, Any] = facts.to_audit_json()
        if done is not None:
            document["fixed"] = done.to_json()
        print(json.dumps(document, indent=2))
    else:
        _show(facts, done, possible)
    if facts.broken_claims:
        return 1
    if facts.is_truncated:
        raise SourceError(
            f"{arguments.image} is truncated, though its boot structures are whole.",
            "Copy or download it again.",
        )
    return 0


def _show(facts: ImageFacts, done: FixPlan | None, possible: FixPlan) -> None:
    from mediakit.cli import bootview

    lines: list[Line] = [(bootview.printable(facts.path), "bold")]
    lines += [*bootview.routes(facts), *bootview.sources(facts)]
    lines += bootview.findings(facts.findings, with_places=True)
    lines += _verdict(facts)
    if possible:
        lines += _describe(possible, "\nCan be repaired (mediakit audit --fix)")
    if done is not None:
        is_odd = any(finding.severity != "note" for finding in facts.findings)
        sentence = "Nothing could be repaired safely." if is_odd else "Nothing needs a repair."
        empty = [(f"\n{sentence}", "")]
        lines += _describe(done, "\nRepaired") if done else empty
    bootview.show(lines)


def _verdict(facts: ImageFacts) -> Iterator[Line]:
    from mediakit.cli import bootview

    broken = [bootview.ROUTES[name] for name in facts.broken_claims]
    if broken:
        yield from bootview.wrapped("\nBroken: ", f"{', '.join(broken)}.", "bad")
    elif not facts.claims:
        yield "\nIt is not made to boot.", ""
    else:
        yield "\nEvery way to boot that it is made for is whole.", "good"


def _describe(plan: FixPlan, title: str) -> Iterator[Line]:
    from mediakit.cli import bootview

    yield title, "bold"
    for fix in plan.fixes:
        yield from bootview.wrapped("  ", fix)
        for region in plan.regions:
            if region.fix == fix:
                end = region.offset_bytes + len(region.data)
                yield from bootview.wrapped(f"    bytes {region.offset_bytes} to {end}: ", region.why)
