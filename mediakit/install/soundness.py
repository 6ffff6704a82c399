"""Whether an Engine's disk is what it seems: no write by name may land where another name, or GRUB, points.

The same judgement makes the offers and refuses at execution. Nothing is written or repaired here.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from mediakit.block.target import Target
from mediakit.errors import MediakitError, RefusedError
from mediakit.formats import gpt
from mediakit.install import bootenv, windows
from mediakit.install.machine import Finding

_SAVE = "Save the VMs elsewhere, then install without keeping them."


def look(target: Target) -> Finding | None:
    """Why no slot and no boot choice of this disk may be written; None for a sound one."""
    found = table(target)
    if found is not None:
        return found
    try:
        places = windows.partitions(target)
        numbers = {s: places[name][0] for s, name in windows.SLOT_NAMES.items() if name in places}
        esp = places[windows.ESP][1]
        environment = bootenv.read(esp.reader, 0, esp.size_bytes)
    except (MediakitError, KeyError):
        return None  # what is missing or cannot be read is a finding of its own
    return boot_choice(environment, numbers)


def refuse(target: Target) -> None:
    """RefusedError with ``look``'s words."""
    _raise(look(target))


def refuse_table(target: Target) -> None:
    """RefusedError with ``table``'s words: for who makes the boot partition anew."""
    _raise(table(target))


def table(target: Target) -> Finding | None:
    """What is wrong with the partition table: names that mean two places, partitions that share sectors.

    A table of which only the backup is whole counts too: it may be stale, and Linux uses the primary alone.
    """
    state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
    if state.gpt is None:
        return None
    if state.primary is None:
        what = "Only the backup of this disk's partition table is whole, and that may be out of date."
        return Finding("error", what, "Restore the table first (gdisk), or install without keeping the VMs.")
    names = [entry.name for entry in state.gpt.partitions]
    for name in windows.LAYOUT_2:
        if names.count(name) > 1:
            what = f"Several partitions of this disk are called {name}: it cannot be told which is the one."
            return Finding("error", what, "Rename the one that is not the Engine's, or remove it.")
    entries = sorted(state.gpt.partitions, key=lambda entry: entry.start_lba)
    for before, after in pairwise(entries):
        if after.start_lba <= before.end_lba:
            pair = f"{before.index} and {after.index}"
            what = f"The partitions {pair} overlap: writing one would destroy the other."
            return Finding("error", what, _SAVE)
    return None


def boot_choice(environment: Mapping[str, str], numbers: Mapping[str, int]) -> Finding | None:
    """What is wrong with grubenv: it starts another partition than the one with the slot's name.

    ``numbers``: slot → number of its partition. With ``good=old`` slot b may not be known yet (FORMATS).
    """
    for slot, number in sorted(numbers.items()):
        stated = environment.get(f"engine_{slot}", "")
        if stated == f"gpt{number}" or (not stated and slot == "b" and environment.get("good") == "old"):
            continue
        name = windows.SLOT_NAMES[slot]
        what = f"The boot choice says that slot {slot} is “{stated}”, but {name} is partition {number}."
        return Finding("error", what, "Reinstall it; the VMs can be kept.")
    return None


def behind_the_store(target: Target) -> Finding | None:
    """Something lies behind the VM store, where an Engine's own table ends: odd, but in nobody's way."""
    state = gpt.read(target.reader, target.size_bytes, target.sector_bytes)
    store = state.gpt.partition(windows.VMS) if state.gpt else None
    last = max(state.gpt.partitions, key=lambda entry: entry.start_lba) if state.gpt and store else None
    if store is None or last is None or last.start_lba <= store.end_lba:
        return None
    what = f"Partition {last.index} lies behind the VM store, which an Engine's installer puts last."
    return Finding("warning", what, "Somebody changed this disk's partitions.")


def _raise(found: Finding | None) -> None:
    if found is not None:
        raise RefusedError(found.what, found.hint)
