"""``state.json`` of a slot: its schema, its checks and its migrations. Pure.

A migration goes from one schema to the next, never skips, and never invents: what the old state did not say
gets the documented default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, field
from typing import Any

from mediakit.errors import FormatError
from mediakit.plain import dataclass

SCHEMA = 1
NAME = "state.json"
Document = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """How dom0 gets its address; ``mode`` is dhcp, static or none, ``address`` has a prefix length."""

    mode: str = "dhcp"
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """What an Engine knows about itself and hands on to its next version."""

    host_name: str = "engine"
    language: str = "en"
    keyboard: str = "us"
    time_zone: str = "UTC"
    admin_password_hash: str = "!"
    network: Network = field(default_factory=Network)
    registration: Document | None = None
    licence_accepted: str | None = None

    def to_json(self) -> Document:
        """The document of schema 1."""
        return {"schema": SCHEMA} | asdict(self)


def parse(text: str | bytes) -> State:
    """A state of any schema up to ours; FormatError when it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{NAME} is not JSON: {error}.", "Repair this Engine.") from error
    return from_document(document)


def from_document(document: object) -> State:
    """The state in a parsed document, migrated to our schema."""
    if not isinstance(document, dict):
        raise FormatError(f"{NAME} is no object.", "Repair this Engine.")
    whole = migrate(document)
    network = whole.get("network") or {}
    if not isinstance(network, dict):
        raise FormatError(f"{NAME}: “network” is no object.", "Repair this Engine.")
    return State(
        host_name=str(whole.get("host_name") or "engine"),
        language=str(whole.get("language") or "en"),
        keyboard=str(whole.get("keyboard") or "us"),
        time_zone=str(whole.get("time_zone") or "UTC"),
        admin_password_hash=str(whole.get("admin_password_hash") or "!"),
        network=Network(
            mode=str(network.get("mode") or "dhcp"),
            address=str(network.get("address") or ""),
            gateway=str(network.get("gateway") or ""),
            dns=tuple(str(server) for server in network.get("dns") or ()),
        ),
        registration=whole.get("registration"),
        licence_accepted=whole.get("licence_accepted"),
    )


def dumps(document: Document) -> str:
    """The text that is stored."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def migrate(document: Document) -> Document:
    """``document`` brought to our schema step by step; keys that we do not know are kept."""
    schema = document.get("schema", 0)
    if not isinstance(schema, int) or schema < 0:
        raise FormatError(f"{NAME} has no usable schema number.", "Repair this Engine.")
    if schema > SCHEMA:
        raise FormatError(
            f"{NAME} has schema {schema}; this version knows up to {SCHEMA}.", "Use a newer Engine medium."
        )
    for number in range(schema, SCHEMA):
        document = MIGRATIONS[number](document)
    return document


def _from_0(old: Document) -> Document:
    """4.5's: ``hostname``, and the network as ``dhcp`` or ``address/prefix gateway dns…``."""
    new = {key: value for key, value in old.items() if key != "hostname"} | {"schema": 1}
    new["host_name"] = old.get("hostname") or old.get("host_name") or "engine"
    words = str(old.get("network") or "dhcp").split()
    if words and words[0] in ("dhcp", "none"):
        new["network"] = {"mode": words[0], "address": "", "gateway": "", "dns": []}
    else:
        new["network"] = {
            "mode": "static",
            "address": words[0],
            "gateway": words[1] if len(words) > 1 else "",
            "dns": words[2:],
        }
    return new


MIGRATIONS: tuple[Callable[[Document], Document], ...] = (_from_0,)
