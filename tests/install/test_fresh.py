"""A fresh install on a file, judged by sgdisk, fsck.fat, e2fsck, blkid and mtools."""

from __future__ import annotations

import json
from pathlib import Path

from mediakit import run
from mediakit.block.target import open_target
from mediakit.engine.manifest import SYSTEM_PATH
from mediakit.formats import gpt
from mediakit.install import bootenv, windows


def places(disk: Path) -> dict[str, tuple[int, int]]:
    with open_target(disk, writable=False) as target:
        return {name: (w.start, w.size_bytes) for name, (_, w) in windows.partitions(target).items()}


def cut_out(disk: Path, name: str, out: Path) -> Path:
    start, size = places(disk)[name]
    run.run(["dd", f"if={disk}", f"of={out}", "bs=1M", f"skip={start >> 20}", f"count={size >> 20}", "conv=sparse"], timeout=60)  # fmt: skip
    return out


def test_the_table_is_what_sgdisk_calls_right(installed: Path) -> None:
    assert "No problems found" in run.run(["sgdisk", "-v", str(installed)], timeout=30).text
    listed = run.run(["sgdisk", "-p", str(installed)], timeout=30).text
    for name in windows.LAYOUT_2:
        assert name in listed
    with open_target(installed, writable=False) as target:
        state = gpt.read(target.reader, target.size_bytes, 512)
    assert state.primary is not None and state.backup_at_end and not state.findings


def test_the_boot_partition_is_a_clean_fat_with_all_files(installed: Path, tmp_path: Path) -> None:
    esp = cut_out(installed, "engine-esp", tmp_path / "esp.img")
    run.run(["fsck.fat", "-n", str(esp)], timeout=30)
    listed = run.run(["mdir", "-i", str(esp), "-/", "-b", "::/"], timeout=30).text.lower()
    for path in ("efi/boot/bootx64.efi", "efi/boot/grubx64.efi", "efi/boot/mmx64.efi", "efi/debian/grub.cfg",
                 "engine/grubenv", "engine/journal", "engine/receipt.json", "engine.cer"):  # fmt: skip
        assert path in listed
    shim = run.run(["mtype", "-i", str(esp), "::/EFI/BOOT/BOOTX64.EFI"], timeout=30).stdout
    assert shim == b"shimx64.efi of 5.0\n" * 3000


def test_state_and_vm_store_are_clean_ext4(installed: Path, tmp_path: Path) -> None:
    for name in ("engine-state", "engine-vms"):
        image = cut_out(installed, name, tmp_path / f"{name}.img")
        run.run(["e2fsck", "-f", "-n", str(image)], timeout=60)
        assert f'LABEL="{name}"' in run.run(["blkid", "-p", str(image)], timeout=30).text
    state = run.run(
        ["debugfs", "-R", "cat /slots/a/state.json", str(tmp_path / "engine-state.img")], timeout=30
    )
    assert json.loads(state.stdout)["host_name"] == "lab-7"


def test_slot_a_is_the_image_byte_for_byte_and_grub_may_start_it(installed: Path, medium_50: Path) -> None:
    system = medium_50 / SYSTEM_PATH.lstrip("/")
    start, _ = places(installed)["engine-a"]
    with installed.open("rb") as file:
        file.seek(start)
        assert file.read(system.stat().st_size) == system.read_bytes()
    esp, size = places(installed)["engine-esp"]
    with open_target(installed, writable=False) as target:
        found = bootenv.read(target.reader, esp, size)
    assert found == {"good": "a", "try": "", "tries": "0", "engine_a": "gpt3", "engine_b": "gpt4",
                     "whole_a": "1", "whole_b": "0", "booting": "", "mode": "normal"}  # fmt: skip


def test_the_mbr_leads_to_the_core_and_the_core_to_its_rest(installed: Path, medium_50: Path) -> None:
    bios, _ = places(installed)["engine-bios"]
    with installed.open("rb") as file:
        sector = file.read(512)
        file.seek(bios)
        core = file.read(512)
    assert int.from_bytes(sector[0x5C:0x64], "little") * 512 == bios
    assert sector[450] == 0xEE and sector[510:] == b"\x55\xaa"
    assert int.from_bytes(core[0x1F4:0x1FC], "little") == bios // 512 + 1
    length = (medium_50 / "engine/boot/core.img").stat().st_size
    assert int.from_bytes(core[0x1FC:0x1FE], "little") == -(-length // 512) - 1
