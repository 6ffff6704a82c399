"""Disc images: read any boot ISO, judge how it boots, build one. ``open_image`` is the front door."""

from mediakit.iso.facts import BootRoutes, ImageFacts
from mediakit.iso.image import FileRecord, Image, open_image
from mediakit.iso.nodes import Extent

__all__ = ["BootRoutes", "Extent", "FileRecord", "Image", "ImageFacts", "open_image"]
