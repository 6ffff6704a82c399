"""``mediakit inspect``: what an image is, how it boots, what is odd about it, for people or as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediakit.cli.bootview import Line
    from mediakit.formats.findings import Finding
    from mediakit.iso import FileRecord, Image, ImageFacts

_MBR_KINDS = {
    "none": "MBR without code",
    "isohybrid": "isohybrid MBR",
    "grub2": "GRUB hybrid MBR",
    "grub2-disk": "GRUB MBR for disks",
    "memtest": "Memtest86+ MBR",
    "syslinux": "SYSLINUX MBR",
    "windows": "Windows MBR",
}
_SIGNATURES = {
    "good": "signed",
    "unknown_key": "signed with an unknown key",
    "bad": "its signature does not match",
    "missing": "not signed",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", metavar="IMAGE", type=Path, help="an ISO file, or the device of a stick or disc"
    )
    parser.add_argument("--files", action="store_true", help="list the files too")
    parser.add_argument("--hash", action="store_true", help="with --files: the SHA-256 of each file too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit import iso
    from mediakit.errors import SourceError, UsageError

    if arguments.hash and not arguments.files:
        raise UsageError("--hash says what --files lists.", "Add --files.")
    with iso.open_image(arguments.image) as image:
        facts = image.facts()
        files = list(image.files()) if arguments.files else None
        wanted = [file.path for file in files or () if file.kind == "file" and arguments.hash]
        hashes = {path: _hash(image, path) for path in wanted}
        engine, finding = _engine(image)
    found = [*facts.findings, *([finding] if finding else [])]
    if arguments.json:
        _print_json(facts, engine, found, files, hashes)
    else:
        _show(facts, engine, found)
        if files is not None:
            _show_files(files, hashes)
    if facts.is_truncated:
        raise SourceError(
            f"{arguments.image} is truncated: what is missing is listed above.",
            "Copy or download it again.",
        )
    return 0


def _print_json(
    facts: ImageFacts,
    engine: dict[str, Any] | None,
    found: list[Finding],
    files: list[FileRecord] | None,
    hashes: dict[str, str],
) -> None:
    import json

    document = facts.to_json(engine=engine, files=files)
    document["findings"] = [finding.to_json() for finding in found]
    for entry in document.get("files", ()):
        if entry["path"] in hashes:
            entry["sha256"] = hashes[entry["path"]]
    print(json.dumps(document, indent=2))


def _engine(image: Image) -> tuple[dict[str, Any] | None, Finding | None]:
    """The ``engine`` key, and a finding where the image wants to be an Engine and is none."""
    from mediakit.errors import MediakitError
    from mediakit.formats.findings import Finding

    if not image.exists("/engine/manifest.json"):
        return None, None
    try:
        from mediakit.engine import custom, keys
        from mediakit.engine.image import open_engine

        trusted = tuple({key.key_id: key for key in (*keys.built_in(), *keys.trusted_keys())}.values())
        with open_engine(image.path) as engine:
            found = engine.manifest
            checked = engine.check_signature(trusted)
            customised = custom.load(engine, trusted)
            unlisted = custom.unlisted(engine, customised)
    except MediakitError as error:
        return None, Finding("error", error.message, error.hint)
    return {
        "product": found.product,
        "version": found.version,
        "build": found.build,
        "arch": found.arch,
        "upgrade_from": list(found.upgrade_from),
        "signature": checked.state,
        "key": checked.key_name or checked.key_id,
        "customised": [entry.path for entry in customised.files],
        "customised_by": customised.by,
        "customised_signature": customised.signature,
    }, _finding(unlisted)


def _finding(unlisted: list[str]) -> Finding | None:
    """What lies under /custom and nobody stands for."""
    if not unlisted:
        return None
    what = f"Files under /custom are not in the list of what was customised: {', '.join(unlisted)}."
    return Finding("warning", what, "Nobody stands for them; mediakit rewrite lists them.")


def _show(facts: ImageFacts, engine: dict[str, Any] | None, found: list[Finding]) -> None:
    """The view for people: what it is, how it boots, from what, what is odd."""
    from mediakit.cli import bootview

    lines = [*_head(facts, engine), *bootview.routes(facts), *bootview.sources(facts)]
    bootview.show([*lines, *bootview.findings(found)])


def _show_files(files: list[FileRecord], hashes: dict[str, str]) -> None:
    from mediakit.cli import bootview

    lines: list[Line] = [(f"\n{len(files)} files and folders", "bold")]
    for file in files:
        mark = {"directory": "/", "symlink": " (link)", "other": " (special)"}.get(file.kind, "")
        size = f"{file.size_bytes:>14,}" if file.kind == "file" else " " * 14
        digest = f"  {hashes.get(file.path, ''):<64}" if hashes else ""
        lines.append((f"{size}{digest}  {bootview.printable(file.path)}{mark}", ""))
    bootview.show(lines)


def _head(facts: ImageFacts, engine: dict[str, Any] | None) -> Iterator[Line]:
    from mediakit.cli.bootview import printable, wrapped
    from mediakit.units import format_size

    yield printable(facts.path), "bold"
    if engine:
        name = f"{engine['product']} {engine['version']} (build {engine['build']}, {engine['arch']})"
        good = engine["signature"] == "good"
        key = f" ({engine['key']})" if engine["key"] else ""
        yield from wrapped(
            "  ", f"{name}, {_SIGNATURES[engine['signature']]}{key}", "good" if good else "bad"
        )
        layouts = ", ".join(str(layout) for layout in engine["upgrade_from"])
        if layouts:
            yield f"  upgrades Engines of disk layout {layouts}", ""
        if engine["customised"]:
            who = f" by {engine['customised_by']}" if engine["customised_by"] else ""
            how = _SIGNATURES[engine["customised_signature"]]
            yield from wrapped(f"  customised{who} ({how}): ", ", ".join(engine["customised"]), "warn")
    elif not facts.claims:
        yield "  a disc image with data only: nothing in it boots", ""
    else:
        yield "  a disc image, no Engine", ""
    kinds = ", ".join(facts.structures.filesystems)
    yield from wrapped("  ", f"{format_size(facts.size_bytes)}, label “{facts.volume_id}”, {kinds}")
    yield from wrapped("  ", _tables(facts))


def _tables(facts: ImageFacts) -> str:
    """Partition tables in one line."""
    raw = facts.structures
    words = []
    if raw.mbr is not None:
        kind = _MBR_KINDS.get(raw.mbr_kind, "MBR with unknown code")
        words.append(f"{kind} ({_count(len(raw.mbr.partitions), 'entry', 'entries')})")
    if raw.gpt.is_present:
        table = raw.gpt.gpt
        count = _count(len(table.partitions) if table else 0, "partition", "partitions")
        whole = raw.gpt.primary is not None and raw.gpt.backup is not None
        words.append(f"GPT ({count}{'' if whole else ', damaged'})")
    if raw.apple_map is not None:
        words.append(f"Apple map ({_count(len(raw.apple_map.partitions), 'entry', 'entries')})")
    return ", ".join(words) or "no partition table"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _hash(image: Image, path: str) -> str:
    """The SHA-256 of a file of the image, read in pieces."""
    import hashlib

    total = hashlib.sha256()
    for piece in image.stream(path):
        total.update(piece)
    return total.hexdigest()
