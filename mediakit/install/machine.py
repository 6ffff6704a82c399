"""What a machine is and what is on its disks, as data: the document of ``detect --json``.

A recorded machine is this document in a file, so that every screen, plan and refusal can be looked at without
a disk. Nothing here reads a machine; ``detect`` does.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import field
from typing import Any

from mediakit.block.devices import Device
from mediakit.errors import FormatError
from mediakit.plain import dataclass

ACTIONS = ("upgrade", "repair", "reinstall", "rollback", "fresh", "continue")
STATES = ("ok", "damaged", "interrupted", "trial", "never_booted")


@dataclass(frozen=True)
class Offer:
    """One action, and "yes" or "no, because ``reason``, and what then: ``way_forward``"."""

    action: str
    allowed: bool
    reason: str = ""
    way_forward: str = ""


@dataclass(frozen=True)
class Finding:
    """Something odd, in a sentence; ``severity`` is note, warning or error."""

    severity: str
    what: str
    hint: str = ""


@dataclass(frozen=True)
class Content:
    """What lies at one place of a disk; ``kind`` in libblkid's words, ``partition`` 0 for the whole disk."""

    kind: str
    partition: int
    offset_bytes: int
    size_bytes: int
    label: str
    uuid: str
    what: str


@dataclass(frozen=True)
class VmDefinition:
    """A local VM as its definition describes it; ``size_bytes`` is what its disks take up."""

    name: str
    uuid: str
    origin: str
    published_by: str
    pv_driver: str
    min_engine: str
    memory_bytes: int
    disks: tuple[str, ...]
    size_bytes: int = 0


@dataclass(frozen=True)
class Slot:
    """One system slot; ``state`` is empty, good, trial, other or damaged."""

    name: str
    version: str
    build: int
    state: str
    whole: bool


@dataclass(frozen=True)
class Registration:
    """The Synchronizer that this Engine belongs to."""

    server: str
    machine_id: str
    registered: str


@dataclass(frozen=True)
class Interrupted:
    """What was begun and not ended, as its journal says; ``install_id`` is the Engine's before it."""

    action: str
    keep_vms: bool = False
    version: str = ""
    build: int = 0
    install_id: str = ""


@dataclass(frozen=True)
class Room:
    """The sizes of an Engine's partitions, 0 for one that is missing; and of its state what is free, and what
    the settings in use take up there, which an upgrade copies (-1 where that could not be read)."""

    esp_bytes: int = 0
    bios_bytes: int = 0
    slot_a_bytes: int = 0
    slot_b_bytes: int = 0
    state_bytes: int = 0
    vms_bytes: int = 0
    state_free_bytes: int = -1
    settings_bytes: int = -1


@dataclass(frozen=True)
class DetectedEngine:
    """An Engine found on a disk, with the evidence for it and what may be done with it.

    ``interrupted`` and ``room`` are None where nothing was interrupted, and in older recordings.
    """

    install_id: str
    version: str
    build: int
    layout: int
    state: str
    slots: tuple[Slot, ...]
    vms: tuple[VmDefinition, ...]
    registration: Registration | None
    evidence: tuple[str, ...]
    offers: tuple[Offer, ...]
    interrupted: Interrupted | None = None
    room: Room | None = None

    def offer(self, action: str) -> Offer:
        """What stands for ``action``; an unknown one is not possible."""
        return _offer(self.offers, action)


@dataclass(frozen=True)
class Disk:
    """A disk, or a disk image in a file; ``table`` is none, mbr, gpt, hybrid or apple."""

    path: str
    size_bytes: int
    sector_bytes: int
    serial: str
    model: str
    bus: str
    table: str
    findings: tuple[Finding, ...]
    contents: tuple[Content, ...]
    offers: tuple[Offer, ...]
    engines: tuple[DetectedEngine, ...]
    device: Device | None = field(default=None, compare=False, repr=False, metadata={"recorded": False})
    """The very device that was looked at, which a plan is held to; a recorded machine has none."""

    def offer(self, action: str) -> Offer:
        """What stands for ``action`` on the disk as a whole (``fresh``)."""
        return _offer(self.offers, action)


@dataclass(frozen=True)
class Machine:
    """The machine itself; ``firmware`` is bios or uefi, ``engine_key`` one of ``secureboot``'s words."""

    vendor: str
    model: str
    serial: str
    uuid: str
    firmware: str
    secure_boot: bool
    ram_bytes: int
    cpu_ok: bool
    engine_key: str = ""


@dataclass(frozen=True)
class Detection:
    """Everything found: the machine and its disks."""

    machine: Machine
    disks: tuple[Disk, ...]
    schema: int = 1

    def to_json(self) -> dict[str, Any]:
        """The document of ``detect --json``."""
        disks = [dataclasses.asdict(dataclasses.replace(disk, device=None)) for disk in self.disks]
        for disk in disks:
            del disk["device"]
        return {"schema": self.schema, "machine": dataclasses.asdict(self.machine), "disks": disks}

    @staticmethod
    def from_json(document: object) -> Detection:
        """The reverse of ``to_json``; FormatError when it is not such a document."""
        if not isinstance(document, dict) or document.get("schema") != 1:
            raise FormatError(
                "This is not a recorded machine of schema 1.", "Record it again: detect --save."
            )
        loaded = _load(Detection, document, "")
        assert isinstance(loaded, Detection)
        return loaded

    def dumps(self) -> str:
        """``to_json`` as text, for a file."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"

    @staticmethod
    def loads(text: str) -> Detection:
        """A recorded machine's text; FormatError when it is none."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(
                f"This recorded machine is not JSON: {error}.", "Record it again: detect --save."
            ) from error
        return Detection.from_json(document)

    def disk(self, path: str) -> Disk | None:
        """The disk at ``path``, if it was looked at."""
        return next((disk for disk in self.disks if disk.path == path), None)


def _offer(offers: tuple[Offer, ...], action: str) -> Offer:
    for offer in offers:
        if offer.action == action:
            return offer
    return Offer(action, False, f"There is nothing here that “{action}” could be done to.")


def _load(kind: Any, value: object, where: str) -> Any:
    """``value`` of a JSON document as the dataclass, tuple, union or scalar ``kind``."""
    if dataclasses.is_dataclass(kind):
        return _load_record(kind, value, where)
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(where, "a list")
        item = typing.get_args(kind)[0]
        return tuple(_load(item, one, f"{where}[{index}]") for index, one in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        inner = next(one for one in typing.get_args(kind) if one is not type(None))
        return None if value is None else _load(inner, value, where)
    if kind is int and isinstance(value, bool):
        raise _wrong(where, "a number")
    if not isinstance(value, kind):
        raise _wrong(where, kind.__name__)
    return value


def _load_record(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object")
    hints = typing.get_type_hints(kind)
    given: dict[str, Any] = {}
    for one in dataclasses.fields(kind):
        if not one.metadata.get("recorded", True):
            continue
        if one.name in value:
            given[one.name] = _load(hints[one.name], value[one.name], f"{where}.{one.name}".lstrip("."))
        elif one.default is dataclasses.MISSING:
            raise _wrong(f"{where}.{one.name}".lstrip("."), "there")
    return kind(**given)


def _wrong(where: str, what: str) -> FormatError:
    return FormatError(f"The recorded machine's “{where}” is not {what}.", "Record it again: detect --save.")
