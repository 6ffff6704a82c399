"""The folder that an extraction writes into: everything goes through descriptors of real folders.

No path is ever resolved by the kernel across more than one name, and no name is opened through a link
(O_NOFOLLOW at every step), so neither a hostile image nor a link that lies there already leads a write
outside. Existing files are never opened for writing: a replacement is written beside and renamed over.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from mediakit.errors import DeviceError, RefusedError
from mediakit.units import KIB

MAX_OPEN_FOLDERS = 96
HOLE_BYTES = 4 * KIB
_ZEROS = bytes(HOLE_BYTES)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHTS = (errno.EACCES, errno.EROFS)
_REFUSED_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EPERM, errno.EFBIG)
_Identity = tuple[int, int]


class NameRefusedError(Exception):
    """The host takes this one name or file not, the others it may. ``why`` stands behind the name."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class OutputFolder:
    """A folder on this host, made if need be; paths are absolute as in the image: ``/boot/vmlinuz``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: OrderedDict[str, int] = OrderedDict()
        self._replaceable: Counter[_Identity] = Counter()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._root = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
        except ValueError as error:
            raise RefusedError(f"“{path}” is no path.", "Name another folder with -o.") from error
        except OSError as error:
            raise RefusedError(
                f"{path} cannot be written to: {error.strerror}.", "Name another folder with -o."
            ) from error

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give all descriptors back; twice is no error."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def is_empty(self) -> bool:
        """Whether nothing lies in it yet."""
        with os.scandir(self._root) as names:
            return next(names, None) is None

    def is_in_the_way(self, path: str, *, is_folder: bool) -> bool:
        """Whether something lies at ``path`` already; for a folder only what is none itself."""
        try:
            found = self._look(path)
        except NotADirectoryError:
            return False  # the file or link higher up is what is in the way
        return found is not None and not (is_folder and stat.S_ISDIR(found.st_mode))

    def allow_replacing(self, path: str) -> None:
        """Let what lies at ``path`` now be replaced; RefusedError where that is a folder."""
        found = self._look(path)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            raise RefusedError(
                f"{self._shown(path)} is a folder and would be replaced by a file.",
                "Move it away, or extract into another folder.",
            )
        self._replaceable[found.st_dev, found.st_ino] += 1

    def make_folder(self, path: str, mode: int) -> bool:
        """Make the folder ``path`` (mode less the umask) in its existing parent; False if it was there."""
        with self._named(path):
            parent, name = self._parent(path)
            try:
                os.mkdir(name, mode, dir_fd=parent)
            except FileExistsError:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    return False
                self._may_replace(found)
                os.unlink(name, dir_fd=parent)
                os.mkdir(name, mode, dir_fd=parent)
        return True

    def write_file(self, path: str, mode: int, blocks: Iterable[bytes], seconds: int | None) -> int:
        """Make the file ``path`` (mode less the umask) of ``blocks`` and date it; returns its size in bytes.

        Whole blocks of zeros become holes. Whatever goes wrong, also in ``blocks``, leaves no part of it.
        """
        try:
            parent, name = self._parent(path)
            final = name
            try:
                descriptor = os.open(name, _NEW_FILE, mode, dir_fd=parent)
            except FileExistsError:
                self._may_replace(os.stat(name, dir_fd=parent, follow_symlinks=False))
                name = f".mediakit-{os.urandom(8).hex()}"
                descriptor = os.open(name, _NEW_FILE, mode, dir_fd=parent)
            try:
                try:
                    size = _fill(descriptor, blocks)
                    if seconds is not None:
                        os.utime(descriptor, (seconds, seconds))
                finally:
                    os.close(descriptor)
                if name != final:
                    os.rename(name, final, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name, dir_fd=parent)
                raise
        except (OSError, ValueError) as error:
            raise self._as_ours(error, path) from error
        return size

    def make_link(self, path: str, target: str) -> None:
        """Make the symbolic link ``path``; whether it may lead there is the caller's to know."""
        with self._named(path):
            parent, name = self._parent(path)
            try:
                os.symlink(target, name, dir_fd=parent)
            except FileExistsError:
                self._may_replace(os.stat(name, dir_fd=parent, follow_symlinks=False))
                os.unlink(name, dir_fd=parent)
                os.symlink(target, name, dir_fd=parent)

    def set_time(self, path: str, seconds: int) -> None:
        """The modification time of a folder or of a link itself, where the filesystem has one."""
        with suppress(OSError):
            parent, name = self._parent(path)
            os.utime(name, (seconds, seconds), dir_fd=parent, follow_symlinks=False)

    def _look(self, path: str) -> os.stat_result | None:
        try:
            parent, name = self._parent(path)
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise NotADirectoryError(error.errno, error.strerror) from error
            if error.errno in _REFUSED_NAMES:
                return None
            raise
        except ValueError:
            return None

    def _may_replace(self, found: os.stat_result) -> None:
        """Once for what ``allow_replacing`` saw: a second name that falls on it is another file."""
        identity = (found.st_dev, found.st_ino)
        if not self._replaceable[identity]:
            raise NameRefusedError("to this filesystem its name equals another one's, which is there already")
        self._replaceable[identity] -= 1

    def _parent(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name

    def _folder(self, path: str) -> int:
        """The descriptor of a folder, opened name by name without following links."""
        if path in ("", "/"):
            return self._root
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        parent, name = self._parent(path)
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
        self._open[path] = descriptor
        while len(self._open) > MAX_OPEN_FOLDERS:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        return descriptor

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """The host's errors about ``path`` as ours."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise self._as_ours(error, path) from error

    def _as_ours(self, error: OSError | ValueError, path: str) -> Exception:
        """An error of the host as a sentence: about one name, or about the whole of it."""
        if isinstance(error, ValueError):
            return NameRefusedError("this system cannot write such a name")
        if error.errno in _FULL:
            return DeviceError(
                f"{self.path} is full: {self._shown(path)} could not be written and was removed again.",
                "Make room, or extract into a folder on another disk.",
            )
        if error.errno in _REFUSED_NAMES:
            return NameRefusedError(f"this filesystem refuses it: {error.strerror}")
        if error.errno in _NO_RIGHTS:
            return RefusedError(
                f"{self._shown(path)} may not be written: {error.strerror}.",
                "Extract into a folder of your own.",
            )
        return DeviceError(f"Writing {self._shown(path)} failed: {error.strerror}.", "The disk may be dying.")

    def _shown(self, path: str) -> str:
        return f"{self.path}{path}" if str(self.path) != "/" else path


def _fill(descriptor: int, blocks: Iterable[bytes]) -> int:
    """Write ``blocks`` one after the other; returns how many bytes that were."""
    size, ends_in_hole = 0, False
    for block in blocks:
        ends_in_hole = _put(descriptor, size, block)
        size += len(block)
    if ends_in_hole:
        os.ftruncate(descriptor, size)
    return size


def _put(descriptor: int, position: int, block: bytes) -> bool:
    """Write ``block``, leaving holes where whole 4 KiB of it are zeros; whether it ends in one."""
    view, start = memoryview(block), 0
    for at in range(0, len(block) - HOLE_BYTES + 1, HOLE_BYTES):
        if block[at] or block[at + HOLE_BYTES - 1] or block[at : at + HOLE_BYTES] != _ZEROS:
            continue
        if at > start:
            _write(descriptor, view[start:at], position + start)
        start = at + HOLE_BYTES
    if start == len(block):
        return bool(block)
    _write(descriptor, view[start:], position + start)
    return False


def _write(descriptor: int, data: memoryview, position: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, position)
        data, position = data[done:], position + done
