"""isomd5sum's checksum, put into a new image as ``implantisomd5`` does: sums of the image and of its parts.

It covers the image up to 15 blocks before the volume's end, with its own field as spaces. The field is the
application use of the primary volume descriptor (ECMA-119 §8.4.32). Source: rhinstaller/isomd5sum,
``libimplantisomd5.c``; ``engine.implanted`` reads what is written here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mediakit.formats.iso9660 import BLOCK, FIRST_DESCRIPTOR
from mediakit.formats.reader import Reader
from mediakit.iso.edit.medium import FileMedium
from mediakit.progress import Cancel, Event, Observer

_FIELD = FIRST_DESCRIPTOR * BLOCK + 883
_FIELD_BYTES = 512
MARK = b"ISO MD5SUM"
_SKIP_BLOCKS = 15
_FRAGMENTS = 20
_SIGNS = 60 // _FRAGMENTS
_BUFFER_BYTES = 32768


def implanted_field(reader: Reader) -> bytes:
    """The field of an image that carries such a sum, right or wrong; empty for others."""
    field = reader(_FIELD, _FIELD_BYTES)
    return field if MARK in field else b""


def implant(path: Path, observer: Observer, cancel: Cancel, status: bytes = b"") -> None:
    """Compute the sum of the image file ``path`` and write it there; reads all of it.

    ``status``: a field whose RHLISOSTATUS (whether its maker supports the image) is kept.
    """
    is_supported = int(b"RHLISOSTATUS=1;" in status)
    with FileMedium(path) as medium:
        blocks = int.from_bytes(medium.read(FIRST_DESCRIPTOR * BLOCK + 80, 4), "little")
        end = (blocks - _SKIP_BLOCKS) * BLOCK
        if end <= _FIELD + _FIELD_BYTES or blocks * BLOCK > medium.size_bytes:
            return
        medium.write(_FIELD, b" " * _FIELD_BYTES)
        whole, parts = hashlib.md5(usedforsecurity=False), ""
        fragment_bytes = end // (_FRAGMENTS + 1)
        done = fragment = 0
        while done < end:
            cancel.check()
            data = medium.read(done, min(_BUFFER_BYTES, end - done))
            whole.update(data)
            if done // fragment_bytes != fragment:  # of where the piece began, as isomd5sum does
                fragment = done // fragment_bytes
                parts += "".join(f"{byte:x}"[0] for byte in whole.digest()[:_SIGNS])  # so it is there
            done += len(data)
            if not done % (1 << 20):
                observer(Event("progress", str(path), "verify", done, end))
        text = (
            f"ISO MD5SUM = {whole.hexdigest()};SKIPSECTORS = {_SKIP_BLOCKS};RHLISOSTATUS={is_supported};"
            f"FRAGMENT SUMS = {parts};FRAGMENT COUNT = {_FRAGMENTS};"
            "THIS IS NOT THE SAME AS RUNNING MD5SUM ON THIS ISO!!"
        )
        medium.write(_FIELD, text.encode().ljust(_FIELD_BYTES))
        medium.flush()
