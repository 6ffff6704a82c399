"""FAT12, FAT16 and FAT32 in user space: the front door of ``fat_build``, ``fat_read`` and ``fat_edit``.

No mount, no root and no mtools: a volume is built as classified regions, read through a Reader, and edited by
a plan of ordered sector writes, because a boot partition must survive a cut at any of them.
"""

from mediakit.formats.fat_build import FatFile, FatImage, Region, build
from mediakit.formats.fat_names import FAT_EPOCH
from mediakit.formats.fat_read import Fat, FatEntry
from mediakit.formats.fat_volume import Volume

__all__ = ["FAT_EPOCH", "Fat", "FatEntry", "FatFile", "FatImage", "Region", "Volume", "build"]
