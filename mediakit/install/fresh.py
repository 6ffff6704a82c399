"""The steps of a fresh install and of a reinstall: layout 2 on a whole disk, bootable only at the very end.

Order (law 4): old boot code and tables go first; then a table, an ESP without its loader's directory sector,
core, slot, filesystems; the slot is read back and marked whole; last the loader's directory sector, and last
of all the MBR's boot code. Every step can be done again: an interrupted install starts over.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
import uuid
from dataclasses import field, replace
from pathlib import Path

from mediakit.block.target import Target
from mediakit.engine import layout
from mediakit.engine.manifest import PATH, SIGNATURE_PATH
from mediakit.errors import DeviceError, FormatError, RefusedError
from mediakit.formats import gpt, mbr
from mediakit.install import (
    bootenv,
    bootloader,
    filesystems,
    journal,
    payload,
    room,
    soundness,
    state,
    windows,
)
from mediakit.install.choice import Settings
from mediakit.install.plan import InstallPlan
from mediakit.install.windows import Window
from mediakit.plain import dataclass
from mediakit.progress import Cancel, Observer
from mediakit.units import MIB, SECTOR

RECEIPT_PATH = "/engine/receipt.json"


@dataclass
class Fresh:
    """One fresh install under way; the methods are the steps, named by their keys."""

    target: Target
    plan: InstallPlan
    image: payload.Image
    observer: Observer
    cancel: Cancel
    install_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    boot_files: dict[str, bytes] = field(default_factory=dict)
    esp: bootloader.EspImage | None = None
    journal: journal.Journal | None = None

    def prepare(self) -> None:
        """Read and check what a later step needs, before the first byte is written."""
        names = [*bootloader.ESP_FILES, "boot.img", "core.img"]
        for name in names:
            path = bootloader.FOLDER + name
            if name in bootloader.OPTIONAL and not self.image.exists(path):
                continue
            self.boot_files[name] = payload.read_checked(self.image, path)
        filesystems.require_tools(self.target.is_file)
        if self.plan.keep_vms:
            self._check_kept()
            return
        for part in self._new_partitions():
            if part.name == windows.ESP:
                self._esp_image(part.sectors * self.target.sector_bytes, part.start_lba, {})
            if part.name == windows.BIOS:
                size = part.sectors * self.target.sector_bytes
                bootloader.check_room(len(self.boot_files["core.img"]), size)

    def check(self) -> None:
        """The whole system image read from the medium, while what is on the disk still starts."""
        payload.check_image(self.image, self.plan.disk, self.observer, self.cancel)

    def clear(self) -> None:
        """Nothing on the disk boots from here on."""
        if self.plan.keep_vms:
            self.target.zero(0, mbr.BOOT_CODE_BYTES)
            window = self._window(windows.ESP)
            window.zero(0, MIB)
        else:
            edge = min(MIB, self.target.size_bytes // 2)
            self.target.zero(0, edge)
            self.target.zero(self.target.size_bytes - edge, edge)
            # What begins where a new partition will begin must not come back to life with the new table.
            for part in self._new_partitions():
                self.target.zero(part.start_lba * self.target.sector_bytes, MIB)
        self.target.flush()

    def table(self) -> None:
        """A protective MBR without boot code and a GPT: backup, array, last the one header that counts."""
        if self.plan.keep_vms:
            return
        sector = self.target.sector_bytes
        partitions = self._new_partitions()
        primary, backup = gpt.lay_out(partitions, uuid.uuid4(), self.target.size_bytes, sector)
        total = self.target.size_bytes // sector
        protective = replace(mbr.protective(total), disk_id=secrets.randbits(32) | 1)
        self.target.write(0, protective.build().ljust(sector, b"\0"))
        for side in (backup.build(sector), primary.build(sector)):
            self.target.write(side.array_offset, side.array)
            self.target.flush()
            self.target.write(side.header_offset, side.header)
            self.target.flush()
        self.target.reread_partitions()

    def make_esp(self) -> None:
        """The ESP without the directory sector that leads to the loader; the core beside it."""
        found = windows.partitions(self.target)
        number = {name: index for name, (index, _) in found.items()}
        environment = bootenv.initial(
            number["engine-a"], number["engine-b"], mode=self.plan.choice.settings.mode
        )
        window = self._window(windows.ESP)
        self.esp = self._esp_image(window.size_bytes, window.start // self.target.sector_bytes, environment)
        bootloader.write_esp(window, self.esp)
        bios = self._window(windows.BIOS)
        bootloader.check_room(len(self.boot_files["core.img"]), bios.size_bytes)
        bios.write(0, bootloader.patched_core(self.boot_files["core.img"], bios.start // SECTOR))
        bios.flush()
        self.journal = journal.Journal.locate(self.target, window.start, window.size_bytes)
        self.journal.resume(self.plan.to_journal(), 0)

    def slot(self) -> None:
        """The system image into slot a."""
        payload.write_slot(self._window("engine-a"), self.image, self.plan.disk, self.observer, self.cancel)
        self._window("engine-b").zero(0, 64 * 1024)

    def verify(self) -> None:
        """Slot a read back."""
        entry = self.image.manifest.system
        payload.verify_slot(self._window("engine-a"), entry, self.plan.disk, self.observer, self.cancel)

    def state(self) -> None:
        """The state partition with the first slot's settings, manifest and signature."""
        with tempfile.TemporaryDirectory(prefix="engine-new-state-") as folder:
            root = Path(folder)
            root.chmod(0o755)
            slot = root / "slots" / "a"
            (slot / "ssh").mkdir(parents=True)
            (root / "logs").mkdir()
            document = state.dumps(settings_document(self.plan.choice.settings))
            (slot / state.NAME).write_text(document)
            (slot / state.NAME).chmod(0o600)
            (slot / Path(PATH).name).write_bytes(self.image.manifest_bytes)
            if self.image.signature_text is not None:
                (slot / Path(SIGNATURE_PATH).name).write_text(self.image.signature_text)
            filesystems.make_ext4(self._window(windows.STATE), "engine-state", root, reserved_percent=1)

    def vms(self) -> None:
        """The VM store, empty."""
        filesystems.make_ext4(self._window(windows.VMS), "engine-vms")

    def whole(self) -> None:
        """Slot a may be started."""
        window = self._window(windows.ESP)
        bootenv.update(self.target, window.start, esp_size=window.size_bytes, whole_a="1")

    def boot(self) -> None:
        """The loader's directory sector, then the MBR's boot code, each flushed and read back."""
        assert self.esp is not None
        window = self._window(windows.ESP)
        self._put(window.start + self.esp.held_offset, self.esp.held)
        if self.target.sector_bytes == SECTOR:
            old = self.target.read(0, SECTOR)
            core_lba = self._window(windows.BIOS).start // SECTOR
            self._put(0, bootloader.mbr_sector(self.boot_files["boot.img"], old, core_lba))

    def _new_partitions(self) -> list[gpt.GptPartition]:
        system = self.image.manifest.system.size_bytes
        return partitions_of(self.target.size_bytes, self.target.sector_bytes, system)

    def _esp_image(self, size: int, start_lba: int, environment: dict[str, str]) -> bootloader.EspImage:
        region = journal.plan_bytes(self.plan.to_journal())
        files = bootloader.esp_files(self.boot_files, environment, region)
        files[RECEIPT_PATH] = self._receipt()
        serial = secrets.randbits(32)
        return bootloader.esp_image(size, self.target.sector_bytes, start_lba, files, serial)

    def _put(self, offset: int, data: bytes) -> None:
        self.target.write(offset, data)
        self.target.flush()
        if self.target.read(offset, len(data)) != data:
            raise DeviceError("A boot sector was written, and reads back different.", "Replace the disk.")

    def _window(self, name: str) -> Window:
        found = windows.partitions(self.target).get(name)
        if found is None:
            raise FormatError(f"The disk has no partition {name}.", "Install without keeping the VMs.")
        return found[1]

    def _check_kept(self) -> None:
        soundness.refuse_table(self.target)
        sizes = room.sizes(windows.partitions(self.target))
        fits = room.for_kept_vms(sizes, self.image.manifest, self.target.sector_bytes)
        if not fits.allowed:
            raise RefusedError(fits.reason, fits.way_forward)
        self._esp_image(sizes.esp_bytes, self._window(windows.ESP).start // self.target.sector_bytes, {})

    def _receipt(self) -> bytes:
        manifest = self.image.manifest
        document = {
            "schema": 1,
            "install_id": self.install_id,
            "layout": 2,
            "version": manifest.version,
            "build": manifest.build,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return (json.dumps(document, sort_keys=True) + "\n").encode()


def partitions_of(size_bytes: int, sector_bytes: int, system_bytes: int) -> list[gpt.GptPartition]:
    """Layout 2 as GPT entries with new unique ids."""
    return [
        gpt.GptPartition(
            part.index,
            part.name,
            part.type_guid,
            uuid.uuid4(),
            part.start_lba(sector_bytes),
            part.end_lba(sector_bytes),
        )
        for part in layout.layout_2(size_bytes, system_bytes, sector_bytes)
    ]


def settings_document(settings: Settings) -> state.Document:
    """``state.json`` of a new Engine."""
    return state.State(
        host_name=settings.host_name,
        language=settings.language,
        keyboard=settings.keyboard,
        time_zone=settings.time_zone,
        admin_password_hash=settings.admin_password_hash,
        network=settings.network,
        licence_accepted=settings.licence_accepted,
    ).to_json()
