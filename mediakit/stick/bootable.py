"""An image that boots from disc only, on its way to a stick: patched while it is read, itself untouched."""

from __future__ import annotations

from mediakit import iso
from mediakit.errors import MediakitError
from mediakit.iso.edit import usb
from mediakit.stick import implants
from mediakit.stick.source import Source


def make_bootable(source: Source) -> tuple[str, ...]:
    """Lay what USB needs over ``source``, before anything of it is read; the remarks are for people.

    RefusedError with the reason where it cannot be made to boot, SourceError where it is no disc image.
    """
    with iso.open_image(source.path) as image:
        plan = usb.plan(image)
        patches = [(patch.offset_bytes, patch.data) for patch in plan.patches]
        implant = implants.after_writes(image.reader, image.size_bytes, patches)
    source.lay_over(patches if implant is None else [*patches, implant])
    return plan.notes


def offer(source: Source) -> tuple[str, ...]:
    """A remark on an image that would not boot from a stick as it is, and could; none for all others."""
    try:
        with iso.open_image(source.path) as image:
            routes = image.facts().boot
            if (routes.bios_cd.ok and not routes.bios_usb.ok) or (
                routes.uefi_cd.ok and not routes.uefi_usb.ok
            ):
                usb.plan(image)
                return (
                    f"{source.name} boots from disc, but not in every way from a stick: add --usb-bootable.",
                )
    except MediakitError:
        return ()
    return ()
