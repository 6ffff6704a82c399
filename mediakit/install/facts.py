"""The machine we run on: DMI, firmware, Secure Boot, memory, processor. Reads /sys and /proc only."""

from __future__ import annotations

from pathlib import Path

from mediakit.install.machine import Machine

_SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Where certificates are (UEFI 2.10 §32.4.1), and what shim mirrors of its own lists for the system.
_DB, _DBX = "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f", "dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f"
_SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
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


def machine(
    sys: Path = Path("/sys"), proc: Path = Path("/proc"), *, certificate: bytes | None = None
) -> Machine:
    """This machine; what cannot be read is empty or 0.

    ``certificate`` is the Engine's (DER), looked for where Secure Boot is on; empty when the medium has none.
    """
    dmi = sys / "class/dmi/id"
    efi = sys / "firmware/efi"
    secure_boot = _secure_boot(efi)
    return Machine(
        vendor=_text(dmi / "sys_vendor"),
        model=_text(dmi / "product_name"),
        serial=_serial(dmi),
        uuid=_text(dmi / "product_uuid").lower(),
        firmware=_firmware(efi),
        secure_boot=secure_boot,
        ram_bytes=_ram(proc / "meminfo"),
        cpu_ok=_cpu_ok(proc / "cpuinfo"),
        engine_key=_engine_key(efi / "efivars", certificate if secure_boot else None),
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


def _engine_key(variables: Path, certificate: bytes | None) -> str:
    """How Secure Boot stands to ``certificate``: a list of X.509 certificates holds them byte for byte."""

    if certificate is None:
        return ""
    if _variable(variables / f"MokSBStateRT-{_SHIM}") == b"\1":
        return "unchecked"
    if not certificate:
        return "missing"
    lists = {"denied": (_DBX, f"MokListXRT*-{_SHIM}"), "db": (_DB,), "mok": (f"MokListRT*-{_SHIM}",)}
    for word, names in lists.items():
        if any(certificate in _variable(path) for name in names for path in variables.glob(name)):
            return word
    return "missing"


def _variable(path: Path) -> bytes:
    """An EFI variable without its four bytes of attributes; empty when it is not there."""
    try:
        return path.read_bytes()[4:]
    except OSError:
        return b""


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
