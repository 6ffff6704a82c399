"""Owns the firmware files of virtual machines: finds OVMF, copies its variables, enrols certificates.

Debian's ``ovmf``: ``OVMF_CODE_4M.fd`` with empty variables, ``OVMF_CODE_4M.ms.fd`` with Microsoft's keys
enrolled and Secure Boot on. Certificates go in through ``virt-fw-vars`` (virt-firmware), which
Debian 12 lacks.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from mediakit.errors import MissingToolError
from mediakit.run import find_tool, has_tool, run
from mediakit.vm.spec import Firmware, FirmwareFiles, VmSpec

_FOLDERS = (Path("/usr/share/OVMF"), Path("/usr/share/edk2/x64"), Path("/usr/share/edk2/ovmf"))
_NAMES = {
    Firmware.UEFI: (("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"), ("OVMF_CODE.4m.fd", "OVMF_VARS.4m.fd")),
    Firmware.SECURE_BOOT: (("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"),),
}
OWNER_GUID = "6b2f0d52-6a0a-4d6c-9d2b-3d4c9f6a1e00"  # who enrolled it: any GUID does (UEFI 2.10 §32.4.1)


def find(firmware: Firmware) -> FirmwareFiles:
    """The firmware's code and its pristine variables; MissingToolError when they are not installed."""
    for folder in _FOLDERS:
        for code, variables in _NAMES[firmware]:
            if (folder / code).is_file() and (folder / variables).is_file():
                return FirmwareFiles(folder / code, folder / variables)
    raise MissingToolError(
        f"No UEFI firmware for virtual machines ({_NAMES[firmware][0][0]}) was found.",
        "Install Debian's package ovmf: apt install ovmf",
    )


def prepare(spec: VmSpec, folder: Path) -> FirmwareFiles | None:
    """Firmware files that this run may write: variables copied into ``folder``; None for BIOS."""
    if not spec.firmware.is_uefi:
        return None
    found = find(spec.firmware)
    if spec.vars is not None and spec.keep_vars and spec.vars.exists():
        return FirmwareFiles(found.code, spec.vars, _format(spec.vars))
    pristine = spec.vars if spec.vars is not None and spec.vars.exists() else found.vars
    copy = spec.vars if spec.vars is not None and spec.keep_vars else folder / "run-vars.fd"
    shutil.copyfile(pristine, copy)
    if not spec.has_snapshots:
        return FirmwareFiles(found.code, copy, _format(copy))
    qcow2 = copy.with_suffix(".qcow2")
    run(["qemu-img", "convert", "-f", _format(copy), "-O", "qcow2", copy, qcow2], timeout=60)
    return FirmwareFiles(found.code, qcow2, "qcow2")


def enrol(
    certificate: Path, output: Path, *, firmware: Firmware = Firmware.SECURE_BOOT, as_mok: bool = False
) -> Path:
    """Write pristine variables plus ``certificate`` (PEM), in db or as a MOK, to ``output``."""
    option = "--add-mok" if as_mok else "--add-db"
    words: list[str | Path] = [_virt_fw_vars(), "--input", find(firmware).vars, "--output", output]
    run([*words, option, OWNER_GUID, certificate], timeout=60)
    return output


def _virt_fw_vars() -> str:
    beside = Path(sys.executable).with_name("virt-fw-vars")
    if beside.exists():
        return str(beside)
    if has_tool("virt-fw-vars"):
        return find_tool("virt-fw-vars")
    raise MissingToolError(
        "The tool “virt-fw-vars” is not installed; it puts keys into a virtual machine's firmware.",
        "Install virt-firmware into the virtual environment: pip install virt-firmware",
    )


def _format(path: Path) -> str:
    with path.open("rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"
