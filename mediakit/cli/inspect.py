"""``mediakit inspect``: what an image is, how it boots, what is odd about it, for people or as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mediakit.iso import FileRecord, Image

_ROUTES = {
    "bios_cd": "BIOS from disc",
    "bios_usb": "BIOS from a stick",
    "uefi_cd": "UEFI from disc",
    "uefi_usb": "UEFI from a stick",
    "secure_boot": "Secure Boot",
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
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from mediakit import iso
    from mediakit.errors import SourceError

    with iso.open_image(arguments.image) as image:
        facts = image.facts()
        files = list(image.files()) if arguments.files else None
        document = facts.to_json(engine=None, files=files)
        document["engine"], finding = _engine(image)
        if finding:
            document["findings"].append(finding)
    if arguments.json:
        import json

        print(json.dumps(document, indent=2))
    else:
        _show(document, files)
    if facts.is_truncated:
        raise SourceError(
            f"{arguments.image} is truncated: what is missing is listed above.",
            "Copy or download it again.",
        )
    return 0


def _engine(image: Image) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """The ``engine`` key, and a finding where the image wants to be an Engine and is none."""
    from mediakit.errors import MediakitError

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
        return None, {"severity": "error", "what": error.message, "hint": error.hint}
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


def _finding(unlisted: list[str]) -> dict[str, str] | None:
    """What lies under /custom and nobody stands for."""
    if not unlisted:
        return None
    what = f"Files under /custom are not in the list of what was customised: {', '.join(unlisted)}."
    return {
        "severity": "warning",
        "what": what,
        "hint": "Nobody stands for them; mediakit rewrite lists them.",
    }


def _show(document: dict[str, Any], files: list[FileRecord] | None) -> None:
    """The view for people: what it is, how it boots, what is odd."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for line, style in (*_head(document), *_boot(document), *_findings(document)):
        console.print(line, style=style, markup=False)
    if files is None:
        return
    console.print(f"\n{len(files)} files and folders", style="bold", markup=False)
    for file in files:
        mark = {"directory": "/", "symlink": " (link)", "other": " (special)"}.get(file.kind, "")
        size = f"{file.size_bytes:>14,}" if file.kind == "file" else " " * 14
        console.print(f"{size}  {_printable(file.path)}{mark}", markup=False)


def _head(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from mediakit.units import format_size

    yield _printable(document["path"]), "bold"
    engine = document["engine"]
    if engine:
        name = f"{engine['product']} {engine['version']} (build {engine['build']}, {engine['arch']})"
        good = engine["signature"] == "good"
        key = f" ({engine['key']})" if engine["key"] else ""
        yield f"  {name}, {_SIGNATURES[engine['signature']]}{key}", "green" if good else "red"
        layouts = ", ".join(str(layout) for layout in engine["upgrade_from"])
        if layouts:
            yield f"  upgrades Engines of disk layout {layouts}", ""
        if engine["customised"]:
            who = f" by {engine['customised_by']}" if engine["customised_by"] else ""
            how = _SIGNATURES[engine["customised_signature"]]
            yield _printable(f"  customised{who} ({how}): {', '.join(engine['customised'])}"), "yellow"
    elif not document["el_torito"] and not document["mbr"]:
        yield "  a disc image with data only: nothing in it boots", ""
    else:
        yield "  a disc image, no Engine", ""
    label = _printable(document["volume_id"])
    kinds = ", ".join(document["filesystems"])
    yield f"  {format_size(document['size_bytes'])}, label “{label}”, {kinds}", ""
    yield f"  {_tables(document)}", ""


def _tables(document: dict[str, Any]) -> str:
    """Partition tables in one line."""
    words = []
    if document["mbr"]:
        kinds = {"none": "MBR without code", "isohybrid": "isohybrid MBR", "grub2": "GRUB MBR"}
        kind = kinds.get(document["mbr"]["kind"], "MBR with unknown code")
        words.append(f"{kind} ({len(document['mbr']['partitions'])} partitions)")
    if document["gpt"]:
        table = document["gpt"]
        whole = table["primary_ok"] and table["backup_ok"]
        state = "" if whole else ", damaged"
        words.append(f"GPT ({len(table['partitions'])} partitions{state})")
    return ", ".join(words) or "no partition table"


def _boot(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "\nBoots", "bold"
    for name, title in _ROUTES.items():
        route = document["boot"][name]
        mark, style = ("yes", "green") if route["ok"] else ("no ", "red")
        yield f"  {mark}  {title:<18} {_printable(route['why'])}", style


def _findings(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    styles = {"error": "red", "warning": "yellow", "note": ""}
    if document["findings"]:
        yield "\nWhat is odd", "bold"
    for finding in document["findings"]:
        text = f"  {finding['severity']}: {finding['what']} {finding['hint']}".rstrip()
        yield _printable(text), styles[finding["severity"]]


def _printable(text: str) -> str:
    """Control characters and undecodable bytes of names replaced: they must not reach a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
