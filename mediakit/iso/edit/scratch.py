"""Where a new image is made before it gets its name: a file beside it that nobody else has.

What stood under the name stays whole until then, and so does any file of somebody else's, whatever its name.
Knows nothing of images.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mediakit.errors import DeviceError, MediakitError, RefusedError

FULL = (errno.ENOSPC, errno.EDQUOT)
_SHOWN_BYTES = 60
"""Of a name that is as long as the filesystem allows, a longer one cannot be made."""


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """An empty scratch file in the folder of ``out`` (of what it leads to, for a link), gone at the end
    unless it was put in its place. RefusedError where none can be made."""
    import tempfile  # takes a moment, and an edit in place needs no scratch file

    place = out.resolve()
    shown = os.fsdecode(os.fsencode(place.name)[:_SHOWN_BYTES])
    try:
        descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{shown}.", suffix=".part")
    except OSError as error:
        raise RefusedError(
            f"{out.parent} cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
    os.close(descriptor)
    scratch = Path(name)
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def put(scratch: Path, out: Path) -> None:
    """Give a scratch file its name, in the place of a file that has it, with that one's permissions.

    A link goes on to lead there. DeviceError if it cannot be done.
    """
    place = out.resolve()
    try:
        if place.exists():
            scratch.chmod(stat.S_IMODE(place.stat().st_mode))
        scratch.replace(place)
    except OSError as error:
        raise no_room(error, out) from error


def no_room(error: OSError, out: Path) -> MediakitError:
    """The sentence for a new image that could not be written."""
    if error.errno in FULL:
        return RefusedError(f"{out.parent} is full.", "Make room, or write to another filesystem.")
    return DeviceError(f"{out} cannot be written: {error.strerror}.", "Check the folder and its permissions.")
