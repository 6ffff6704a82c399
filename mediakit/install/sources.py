"""Where answers come from on a booted medium: kernel command line, ENGINE-DATA of the stick, ``/custom``.

Read-only, nothing is mounted. The first source that has any wins; answers that cannot be used are an error,
never passed over.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from mediakit.block import devices
from mediakit.block.target import open_target
from mediakit.engine import answers, answers_example
from mediakit.engine.answers import Answers
from mediakit.engine.image import EngineImage
from mediakit.errors import FormatError, SourceError
from mediakit.formats.fat import Fat
from mediakit.formats.reader import sub_reader

CUSTOM = "/custom/answers.toml"
ON_STICK = "/answers.toml"
LABEL = "ENGINE-DATA"
COMMAND_LINE = Path("/proc/cmdline")


def named_on(command_line: str) -> str:
    """The value of ``engine.answers=`` on a kernel command line, or nothing."""
    for word in shlex.split(command_line):
        if word.startswith("engine.answers="):
            return word.partition("=")[2]
    return ""


def find(image: EngineImage, medium: Path, disk: str, command_line: str) -> Answers | None:
    """The answers that hold, or None. ``medium`` is where it is mounted, ``disk`` what it was started from.

    ``engine.answers=none`` asks for the screens although there are answers.
    """
    named = named_on(command_line)
    if named == "none":
        return None
    if named:
        return answers.load(_named(medium, named))
    text = on_stick(disk)
    if text:
        return answers.parse(text, "answers.toml (ENGINE-DATA)")
    text = _custom(image)
    return answers.parse(text, "answers.toml (/custom)") if text else None


def on_stick(disk: str) -> str:
    """The text of ``answers.toml`` on ENGINE-DATA of the stick ``disk``; nothing without any."""
    if not disk:
        return ""
    for content in devices.describe(disk).contents:
        if content.kind != "vfat" or content.label.strip() != LABEL:
            continue
        with open_target(disk, writable=False) as target:
            data = _file(Fat(sub_reader(target.reader, content.offset_bytes, content.size_bytes)))
        text = data.decode("utf-8-sig", "replace")
        return "" if answers_example.is_empty(text) else text
    return ""


def _file(filesystem: Fat) -> bytes:
    try:
        return filesystem.read(ON_STICK) if filesystem.exists(ON_STICK) else b""
    except FormatError as error:
        raise SourceError(
            "The answers on the stick cannot be read.", "Check the stick's file system, or write it again."
        ) from error


def _named(medium: Path, named: str) -> Path:
    """The file that the command line names: on the medium, or in the running system."""
    for path in (medium / named.lstrip("/"), Path(named)):
        if path.is_file():
            return path
    raise SourceError(f"The answers {named} are not there.", "Correct engine.answers= in the boot menu.")


def _custom(image: EngineImage) -> str:
    if not image.exists(CUSTOM):
        return ""
    text = image.read(CUSTOM).decode("utf-8", "replace")
    return "" if answers_example.is_empty(text) else text
