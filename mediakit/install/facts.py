"""The machine we run on: DMI, firmware, Secure Boot, memory, processor. Reads /sys and /proc only."""

from __future__ import annotations

from pathlib import Path

from mediakit.install.machine import Machine

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
JUNK = frozenset(
    {
        "",
        "none",
        "not specified",
        "default string",
        "to be filled by o.e.m.",
        "system serial number",
        "0",
        "not applicable",
        "unknown",
        "0123456789",
        "123456789",
        "xxxxxxxxxx",
        "oem",
        "n/a",
    }
)


def machine(sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Machine:
    """This machine; what cannot be read is empty or 0."""
    dmi = sys / "class/dmi/id"
    efi = sys / "firmware/efi"
    return Machine(
        vendor=_text(dmi / "sys_vendor"),
        model=_text(dmi / "product_name"),
        serial=_serial(dmi),
        uuid=_text(dmi / "product_uuid").lower(),
        firmware=_firmware(efi),
        secure_boot=_secure_boot(efi),
        ram_bytes=_ram(proc / "meminfo"),
        cpu_ok=_cpu_ok(proc / "cpuinfo"),
    )


def _firmware(efi: Path) -> str:
    return "uefi" if efi.is_dir() else "bios"


def _serial(dmi: Path) -> str:
    for name in ("product_serial", "board_serial", "chassis_serial"):
        text = _text(dmi / name)
        if text.lower() not in JUNK:
            return text
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _secure_boot(efi: Path) -> bool:
    """The last byte of the variable; four bytes of attributes come first (UEFI §3.3)."""
    try:
        data = (efi / "efivars" / _SECURE_BOOT).read_bytes()
    except OSError:
        return False
    return len(data) >= 5 and data[4] == 1


def _ram(path: Path) -> int:
    for line in _text(path).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_ok(path: Path) -> bool:
    """Xen needs a 64-bit processor with PAE, NX-capable paging is its own worry."""
    for line in _text(path).splitlines():
        if line.startswith("flags"):
            return {"lm", "pae"} <= set(line.split())
    return False
