"""Loaders that have the image's label built into them: an edit cannot change it there. Reads only."""

from __future__ import annotations

from mediakit.formats import grub_core
from mediakit.iso.biosboot import MAX_BOOT_IMAGE_BYTES
from mediakit.iso.bootmenus import grub_builtin
from mediakit.iso.image import Image


def loaders_with_label(image: Image, label: str) -> tuple[str, ...]:
    """The GRUBs, as people see them, that look for the medium by ``label`` before they read any menu."""
    facts = image.facts()
    found = [
        f"{file.dos_path} in {volume.origin}"
        for volume in facts.efi_volumes
        for file in volume.chain
        if file.core is not None and grub_builtin.searches_label(file.core, label)
    ]
    for boot in facts.boot_images:
        if boot.loader == "grub2" and boot.is_inside:
            size = min(boot.size_bytes, MAX_BOOT_IMAGE_BYTES)
            core = grub_core.read_bios(image.read_at(boot.offset_bytes, size))
            if core is not None and grub_builtin.searches_label(core, label):
                found.append(boot.name)
    return tuple(found)
