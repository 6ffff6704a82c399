"""Disc images: read any boot ISO, judge how it boots, take files out of it, build one.

``open_image`` is the front door; ``docs/library.md`` shows the rest. What is heavier than opening an image is
imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mediakit.iso.image import FileRecord, Image, open_image
from mediakit.iso.nodes import Extent

if TYPE_CHECKING:
    from mediakit.iso.extraction import Extraction, extract
    from mediakit.iso.facts import BootRoutes, ImageFacts

_LATER = {
    "BootRoutes": "mediakit.iso.facts",
    "ImageFacts": "mediakit.iso.facts",
    "Extraction": "mediakit.iso.extraction",
    "extract": "mediakit.iso.extraction",
}

__all__ = ["BootRoutes", "Extent", "Extraction", "FileRecord", "Image", "ImageFacts", "extract", "open_image"]


def __getattr__(name: str) -> object:
    """The names of ``_LATER``, from their modules (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
