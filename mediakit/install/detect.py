"""Everything on this machine's disks, or on disk images, as a ``Detection``. Looking changes nothing.

Every disk is reported, also those that may not be written; each "no" is an offer with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mediakit.block import contents, devices
from mediakit.block.target import Target, open_target
from mediakit.engine.manifest import Manifest
from mediakit.errors import MediakitError, SourceError
from mediakit.formats import gpt, mbr
from mediakit.install import evidence, facts, offers, windows
from mediakit.install.bootloader import FOLDER
from mediakit.install.machine import Content, DetectedEngine, Detection, Disk, Finding, Machine, Offer
from mediakit.install.payload import Image
from mediakit.progress import Event, Observer, ignore

_APPLE = b"PM"
_CERTIFICATE = f"{FOLDER}ENGINE.CER"


def detect(
    disks: Iterable[str | os.PathLike[str]] | None = None,
    image: Image | None = None,
    observer: Observer = ignore,
) -> Detection:
    """Look at ``disks``, by default all of this machine's. SourceError for a path that is no disk."""
    machine = facts.machine(certificate=certificate(image))
    found = (
        devices.list_devices(with_contents=False) if disks is None else [_described(path) for path in disks]
    )
    manifest = image.manifest if image is not None else None
    looked = []
    for device in found:
        observer(Event("phase", device.path, "detect", message=f"Looking at {device.path}"))
        looked.append(look_at(device, machine, manifest))
    return Detection(machine, tuple(looked))


def certificate(image: Image | None) -> bytes | None:
    """The certificate that the image's Engine is signed with; empty if it has none, None without an image."""
    if image is None:
        return None
    try:
        return image.read(_CERTIFICATE) if image.exists(_CERTIFICATE) else b""
    except MediakitError:
        return None


def look_at(
    device: devices.Device, machine: Machine, manifest: Manifest | None, state_mount: Path | None = None
) -> Disk:
    """One disk; what cannot be read becomes a finding. ``state_mount``: see ``evidence.look``."""
    blocked, hint = ("", "") if device.allowed else (device.reason, device.hint)
    fresh = offers.fresh(machine, device.size_bytes, device.sector_bytes, blocked, hint, manifest)
    findings: list[Finding] = []
    parts: tuple[Content, ...] = ()
    engines: tuple[DetectedEngine, ...] = ()
    table = "none"
    try:
        with open_target(device.path, expected=device, writable=False) as target:
            table, findings = _table(target)
            parts = _contents(target)
            known = evidence.look(target, state_mount)
            if known is not None:
                findings += known.findings
                can_write = Offer("", device.allowed, device.reason, device.hint)
                engines = (_engine(known, can_write, fresh, manifest),)
    except MediakitError as error:
        findings.append(Finding("error", f"This disk cannot be read: {error.message}", error.hint))
    return Disk(
        path=device.path,
        size_bytes=device.size_bytes,
        sector_bytes=device.sector_bytes,
        serial=device.serial,
        model=device.title if device.model or not device.is_file else "",
        bus="file" if device.is_file else device.bus,
        table=table,
        findings=tuple(findings),
        contents=parts,
        offers=(fresh,),
        engines=engines,
        device=device,
    )


def _described(path: str | os.PathLike[str]) -> devices.Device:
    try:
        return devices.describe(path, with_contents=False)
    except SourceError:
        raise
    except MediakitError as error:
        raise SourceError(error.message, error.hint) from error


def _engine(
    known: evidence.EngineEvidence, can_write: Offer, fresh: Offer, manifest: Manifest | None
) -> DetectedEngine:
    good = known.good
    version = good.version if good and good.version else str(known.receipt.get("version", ""))
    build = good.build if good and good.version else known.receipt.get("build", 0)
    rules = offers.Known(
        version=version,
        build=build if isinstance(build, int) else 0,
        layout=2,
        state=known.state,
        slots=known.slots,
        vms=known.vms,
        pending=known.pending_action,
        slot_room=known.inactive_bytes,
        can_write=can_write,
        room=known.room,
        unreadable=known.unreadable,
        unsound=known.unsound,
    )
    return DetectedEngine(
        install_id=str(known.receipt.get("install_id", "")),
        version=rules.version,
        build=rules.build,
        layout=2,
        state=rules.state,
        slots=tuple(known.slots),
        vms=tuple(known.vms),
        registration=known.registration,
        evidence=tuple(known.evidence),
        offers=offers.engine_offers(rules, fresh, manifest),
        interrupted=known.interrupted,
        room=known.room,
    )


def _table(target: Target) -> tuple[str, list[Finding]]:
    state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
    found = [Finding(f.severity, f.what, f.hint) for f in state.findings]
    first = target.read(0, 512)
    sector = mbr.parse(first) if mbr.has_signature(first) else None
    if state.is_present:
        return (
            "hybrid" if sector is not None and not sector.is_protective and sector.partitions else "gpt"
        ), found
    if target.read(512, 2) == _APPLE:
        return "apple", found
    return ("mbr" if sector is not None and sector.partitions else "none"), found


def _contents(target: Target) -> tuple[Content, ...]:
    found = [
        Content(c.kind, c.partition, c.offset_bytes, c.size_bytes, c.label, c.uuid, c.what)
        for c in contents.identify(target.reader, target.size_bytes, sector_bytes=target.sector_bytes)
    ]
    try:
        ours = {
            number: (name, evidence.is_blank(window))
            for name, (number, window) in windows.partitions(target).items()
            if name in windows.LAYOUT_2
        }
    except MediakitError:
        ours = {}
    return tuple(
        Content(
            c.kind,
            c.partition,
            c.offset_bytes,
            c.size_bytes,
            c.label,
            c.uuid,
            _what(c, *ours.get(c.partition, ("", False))),
        )
        for c in found
    )


def _what(content: Content, name: str, is_blank: bool) -> str:
    """What libblkid calls it; a partition of ours that was never written is no unknown data."""
    return name if is_blank and not content.kind else content.what or name
