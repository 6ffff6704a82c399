"""Owns the command lines of Xen and of an installed Engine's dom0, per mode. Pure.

UEFI reads them from the signed configuration inside xen.efi, BIOS from ``grub/disk.cfg``; a test holds
the two together. The last ``console=`` is /dev/console; both are written to, and both have a login.
"""

from __future__ import annotations

SLOTS = ("a", "b")
MODES = ("normal", "safe", "serial")

_XEN = "console=com1,vga com1=115200,8n1 dom0_mem=512M,max:512M"
_DOM0 = "gpt panic=20"  # gpt: Linux tries the backup table; panic: a trial that panics uses one try


def xen_options(mode: str) -> str:
    """Xen's own options; without ``max:`` dom0 would size its tables for the whole machine."""
    return f"{_XEN} vga=text-80x25" if mode == "safe" else _XEN


def dom0_options(slot: str, mode: str) -> str:
    """The kernel's words for a slot boot; BIOS adds ``engine.why=`` and ``engine.esp=``."""
    consoles = "console=tty0 console=hvc0" if mode == "serial" else "console=hvc0 console=tty0"
    words = f"{consoles} {_DOM0} engine.slot={slot} engine.mode={mode}"
    return f"{words} nomodeset" if mode == "safe" else words


def xen_config() -> str:
    """The configuration inside xen.efi: one section for each slot and mode (``xen.efi b-safe``)."""
    lines = ["[global]", "default=a-normal"]
    for slot in SLOTS:
        for mode in MODES:
            lines += [
                f"[{slot}-{mode}]",
                f"options={xen_options(mode)}",
                f"kernel=vmlinuz {dom0_options(slot, mode)}",
                "ramdisk=initrd",
            ]
    return "\n".join(lines) + "\n"
