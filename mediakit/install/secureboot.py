"""How Secure Boot stands on this machine for the Engine that is to be installed: sentences. Pure.

The installed xen.efi is signed with the Engine's own certificate, which has to be in the firmware's db or
enrolled as a MOK (BOOT: Secure Boot). ``facts`` reads the variables; this says what they mean.
"""

from __future__ import annotations

from mediakit.install.machine import Machine

DB, MOK, UNCHECKED, MISSING, DENIED = "db", "mok", "unchecked", "missing", "denied"
"""``Machine.engine_key``: in db; enrolled; shim checks nothing; not there; forbidden. Empty: not asked."""


def standing(machine: Machine) -> tuple[str, str]:
    """How it stands, and how to go on; both empty where there is nothing to say."""
    if not machine.secure_boot:
        return "", ""
    known = {
        DB: "Secure Boot is on, and the firmware knows the Engine's certificate.",
        MOK: "Secure Boot is on, and the Engine's certificate is enrolled.",
        UNCHECKED: "Secure Boot is on, but shim was told not to check what it starts.",
    }
    if machine.engine_key in known:
        return known[machine.engine_key], ""
    return obstacle(machine) or ("", "")


def obstacle(machine: Machine) -> tuple[str, str] | None:
    """Why an installed Engine would not start, and how to go on; None where it would, or nobody asked."""
    if not machine.secure_boot:
        return None
    if machine.engine_key == MISSING:
        return (
            "Secure Boot is on and does not know the Engine's certificate: the new Engine would not start.",
            "Choose “Enrol the Engine key” in the boot menu (ENGINE.CER), or switch Secure Boot off.",
        )
    if machine.engine_key == DENIED:
        return (
            "Secure Boot is on and forbids the Engine's certificate: the new Engine would not start.",
            "Take it out of the forbidden ones in the firmware's setup, or switch Secure Boot off.",
        )
    return None
