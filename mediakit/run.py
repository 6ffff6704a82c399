"""The one gate for subprocesses; nothing else imports ``subprocess``.

Every call has a deadline, no inherited standard input, the C locale, and an error that is a sentence.
A tool that is not there raises MissingToolError naming its Debian package (``packages.txt``).
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from mediakit.errors import DeviceError, MissingToolError
from mediakit.plain import dataclass

log = logging.getLogger(__name__)

Argument = str | os.PathLike[str]
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_INTERRUPT_SECONDS = 5.0
_PACKAGES = Path(__file__).with_name("packages.txt")


@dataclass(frozen=True)
class Completed:
    """How a command ended; output is bytes, ``text`` decodes it for people."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode(errors="replace").strip()


class ToolError(DeviceError):
    """A tool ran and failed, or outlived its deadline."""

    def __init__(self, message: str, hint: str = "", completed: Completed | None = None) -> None:
        super().__init__(message, hint)
        self.completed = completed


@cache
def packages() -> dict[str, str]:
    """Tool name → Debian package, from ``packages.txt``."""
    known: dict[str, str] = {}
    for line in _PACKAGES.read_text().splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            known |= {tool: words[0] for tool in words[2:] if tool != "-"}
    return known


def find_tool(name: str) -> str:
    """The absolute path of tool ``name`` (sbin included); MissingToolError names its package."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
    if found is None:
        package = packages().get(name, name)
        raise MissingToolError(
            f"The tool “{name}” is not installed.",
            f"Install Debian's package {package}: apt install {package}",
        )
    return found


def has_tool(name: str) -> bool:
    """Whether ``find_tool`` would find ``name``."""
    try:
        find_tool(name)
    except MissingToolError:
        return False
    return True


def safe_path(path: Argument) -> str:
    """``path`` made absolute, so that no tool takes a leading ``-`` for an option."""
    return os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links)


def run(
    argv: Sequence[Argument],
    *,
    timeout: float,
    stdin: bytes | IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> Completed:
    """Run ``argv`` to its end, at most ``timeout`` seconds; ToolError on failure when ``check``.

    ``stdin`` is bytes or an open file, ``stdout`` an open file to write to instead of memory.
    """
    words = _resolve(argv)
    log.debug("run: %s", " ".join(words))
    feed = stdin if isinstance(stdin, bytes) else None
    source = subprocess.PIPE if feed is not None else (stdin or subprocess.DEVNULL)
    with subprocess.Popen(
        words,
        stdin=source,  # type: ignore[arg-type]
        stdout=stdout or subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(env),
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(feed, timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            _kill_group(process)
            raise ToolError(
                f"“{_name(words)}” did not finish within {timeout:g} s.",
                "It was stopped; see the log for its output.",
            ) from expired
        except BaseException:
            _interrupt_group(process)
            raise
    completed = Completed(tuple(words), process.returncode, out or b"", err or b"")
    if check and completed.status != 0:
        detail = completed.error_text or completed.text.strip()
        last = " / ".join(detail.splitlines()[-3:])
        raise ToolError(f"“{_name(words)}” failed (status {completed.status}): {last}", completed=completed)
    return completed


def start(
    argv: Sequence[Argument],
    *,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    dies_with_us: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a long-running tool (QEMU) in its own session; the caller owns and ends it with ``stop``.

    ``dies_with_us``: the kernel ends it when the calling thread ends, even by SIGKILL (prctl(2),
    PR_SET_PDEATHSIG); where util-linux has no setpriv, it outlives that.
    """
    words = _resolve(argv)
    if dies_with_us and has_tool("setpriv"):
        words = [find_tool("setpriv"), "--pdeathsig", "KILL", "--", *words]
    log.debug("start: %s", " ".join(words))
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=stdout or subprocess.DEVNULL,
        stderr=stderr or subprocess.DEVNULL,
        env=_environment(env),
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], *, timeout: float = 5.0) -> int:
    """End a started process and its children: SIGTERM, then SIGKILL; returns its status."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
    return process.wait()


def _resolve(argv: Sequence[Argument]) -> list[str]:
    words = [os.fspath(word) for word in argv]
    if os.sep not in words[0]:
        words[0] = find_tool(words[0])
    return words


def _name(words: Sequence[str]) -> str:
    return Path(words[0]).name


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return dict(os.environ) | {"LC_ALL": "C.UTF-8", "LANGUAGE": "C"} | dict(extra or {})


def _interrupt_group(process: subprocess.Popen[bytes]) -> None:
    """Ask as Ctrl-C does, so that a command of ours ends its own children too; then SIGKILL."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(_INTERRUPT_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    finally:
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
