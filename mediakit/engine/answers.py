"""``answers.toml``: what an installation is to do without asking. Parsed strictly, all problems at once.

Pure but for ``load``; problems carry line numbers. Secrets stay out of every message and representation.
``engine.answers_schema`` knows the keys; this module knows what they mean together.
"""

from __future__ import annotations

import stat
import tomllib
from dataclasses import field
from pathlib import Path
from typing import Any

from mediakit.engine import fields
from mediakit.engine.answers_example import TEXT
from mediakit.engine.answers_schema import KEYS, TABLES, Problem, check_keys, line_numbers
from mediakit.engine.versions import compare
from mediakit.errors import MediakitError, SourceError, UsageError
from mediakit.plain import dataclass

MAX_BYTES = 16 << 10
"""The room that a medium has for answers."""
ACTIONS = ("upgrade", "repair", "reinstall", "fresh", "rollback")


class AnswersError(UsageError):
    """Answers that cannot be used; ``problems`` are all of them."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        lines = "\n".join(f"  {problem.text(name)}" for problem in problems)
        super().__init__(f"The answers cannot be used:\n{lines}", "See: mediakit answers example")
        self.problems = problems


@dataclass(frozen=True)
class Match:
    """Which Engine is meant; all that is given must hold."""

    machine_serials: tuple[str, ...] = ()
    disk_serial: str = ""
    disk_model: str = ""
    min_size: int | None = None
    max_size: int | None = None
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True)
class Wipe:
    """The identity of what may be destroyed."""

    disk_serial: str = ""
    install_id: str = ""
    keep_vms: bool = False

    @property
    def identity(self) -> str:
        return self.disk_serial or self.install_id


@dataclass(frozen=True)
class System:
    """The settings of a fresh Engine."""

    host_name: str = "engine"
    admin_password_hash: str = field(default="", repr=False)
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Network:
    """How the Engine gets its address: ``mode`` dhcp, static or none."""

    mode: str = "dhcp"
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answers:
    """A valid answer file."""

    action: str
    when_none: str = "stop"
    when_many: str = "stop"
    language: str = "en"
    keyboard: str = "us"
    licence_accepted: bool = False
    match: Match = Match()
    wipe: Wipe | None = None
    system: System | None = None
    network: Network = Network()
    end: str = "poweroff"


def parse(text: str, name: str = "answers.toml", *, action: str = "", identity: str = "") -> Answers:
    """The answers in ``text``; AnswersError lists every problem, with line numbers.

    ``action`` and ``identity`` are those of the command line (``--action``, ``--wipe``) and win.
    """
    body = text.rstrip("\0 \t\r\n") + "\n"
    if len(body.encode("utf-8", "replace")) > MAX_BYTES:
        raise AnswersError(name, (Problem(0, f"There is room for {MAX_BYTES} bytes; this is more."),))
    try:
        document = tomllib.loads(body)
    except (ValueError, RecursionError) as error:
        raise AnswersError(name, (Problem.of_toml(error),)) from None
    reader = _Reader(document, line_numbers(body))
    answers = reader.answers(action, identity)
    if reader.problems:
        raise AnswersError(name, tuple(sorted(reader.problems, key=lambda p: p.line)))
    return answers


def load(path: Path, *, action: str = "", identity: str = "") -> Answers:
    """The answers in the file ``path``; SourceError if it cannot be read."""
    return parse(read_text(path), path.name, action=action, identity=identity)


def read_text(path: Path) -> str:
    """The file's text; SourceError if it cannot be read or is no text."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnswersError(
            path.name, (Problem(data.count(b"\n", 0, error.start) + 1, "This is not UTF-8."),)
        ) from None


def is_exposed(path: Path) -> bool:
    """Whether others than its owner may read the file; filesystems without permissions look exposed too."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def example() -> str:
    """A commented answer file that is valid as it stands."""
    return TEXT


class _Reader:
    """Reads one document and collects problems instead of stopping at the first."""

    def __init__(self, document: dict[str, Any], lines: dict[tuple[str, str], int]) -> None:
        self._document, self._lines = document, lines
        self.problems: list[Problem] = list(check_keys(document, lines))

    def answers(self, action: str, identity: str) -> Answers:
        chosen = action or str(self._get("", "action") or "")
        if not chosen and not self._has("", "action"):
            self._say("", "action", f"“action” is missing: {', '.join(ACTIONS)}.")
        if self._document.get("schema") is None:
            self._say("", "schema", "“schema = 1” is missing.")
        makes_new = chosen in ("fresh", "reinstall") or self._get("", "when_none") == "fresh"
        accepted = self._get("", "licence") == "accepted"
        if not accepted and chosen != "rollback" and not self._has("", "licence"):
            self._say("", "licence", 'The licence must be accepted: licence = "accepted".')
        return Answers(
            action=chosen,
            when_none=self._get("", "when_none") or "stop",
            when_many=self._get("", "when_many") or "stop",
            language=self._field("", "language", fields.language) or "en",
            keyboard=self._field("", "keyboard", fields.keyboard) or "us",
            licence_accepted=accepted,
            match=self._match(),
            wipe=self._wipe(chosen, identity),
            system=self._system(makes_new),
            network=self._network(),
            end=self._get("end", "action") or "poweroff",
        )

    def _match(self) -> Match:
        found = Match(
            machine_serials=tuple(self._get("match", "machine_serials") or ()),
            disk_serial=self._get("match", "disk_serial") or "",
            disk_model=self._get("match", "disk_model") or "",
            min_size=self._field("match", "min_size", _size),
            max_size=self._field("match", "max_size", _size),
            min_version=self._field("match", "min_version", _version) or "",
            max_version=self._field("match", "max_version", _version) or "",
        )
        if found.min_size is not None and found.max_size is not None and found.min_size > found.max_size:
            self._say("match", "max_size", "“max_size” is less than “min_size”: no disk matches.")
        if found.min_version and found.max_version and compare(found.min_version, found.max_version) > 0:
            self._say("match", "max_version", "“max_version” is older than “min_version”: no Engine matches.")
        return found

    def _wipe(self, action: str, identity: str) -> Wipe | None:
        if "wipe" not in self._document:
            if action == "reinstall" and not identity:
                self._say(
                    "wipe",
                    "",
                    "“reinstall” destroys an Engine: [wipe] must name it by disk_serial or install_id.",
                )
            return None
        serial, install_id = self._get("wipe", "disk_serial") or "", self._get("wipe", "install_id") or ""
        if serial and install_id:
            self._say("wipe", "install_id", "[wipe] takes one identity: disk_serial or install_id.")
        if not serial and not install_id and not identity:
            self._say("wipe", "", "[wipe] must name what may be destroyed, by disk_serial or install_id.")
        if self._get("wipe", "keep_vms") and action != "reinstall":
            self._say(
                "wipe", "keep_vms", "“keep_vms” is for “reinstall”; nothing else could keep or lose them."
            )
        return Wipe(serial, install_id, bool(self._get("wipe", "keep_vms")))

    def _system(self, is_needed: bool) -> System | None:
        if "system" not in self._document:
            if is_needed:
                self._say("system", "", "A new Engine needs [system] with admin_password_hash.")
            return None
        if is_needed and not self._has("system", "admin_password_hash"):
            self._say("system", "", "A new Engine needs “admin_password_hash” in [system].")
        return System(
            host_name=self._field("system", "host_name", fields.host_name) or "engine",
            admin_password_hash=self._field("system", "admin_password_hash", fields.password_hash) or "",
            time_zone=self._field("system", "time_zone", fields.time_zone) or "UTC",
        )

    def _network(self) -> Network:
        mode = self._get("network", "mode") or ("static" if self._has("network", "address") else "dhcp")
        address = self._field("network", "address", fields.address) or ""
        if mode == "static" and not self._has("network", "address"):
            self._say("network", "", "A static network needs “address”, such as 192.0.2.7/24.")
        for key in ("address", "gateway", "dns"):
            if self._has("network", key) and (mode == "none" or (mode == "dhcp" and key != "dns")):
                self._say("network", key, f'“{key}” is not used with mode = "{mode}".')
        gateway = ""
        if address:
            gateway = self._field("network", "gateway", lambda text: fields.gateway(text, address)) or ""
        servers = self._get("network", "dns") or ()
        dns = self._attempt("network", "dns", lambda: fields.dns_servers(" ".join(servers))) or ()
        return Network(mode, address, gateway, dns)

    def _has(self, table: str, key: str) -> bool:
        section = self._document if not table else self._document.get(table)
        return isinstance(section, dict) and key in section

    def _get(self, table: str, key: str) -> Any:
        """The value if it is there and of the right kind; a wrong one has been complained about."""
        if not self._has(table, key):
            return None
        value = (self._document[table] if table else self._document)[key]
        kind = (TABLES[table] if table else KEYS)[key]
        return value if kind.fits(value) else None

    def _field(self, table: str, key: str, check: Any) -> Any:
        value = self._get(table, key)
        return None if value is None else self._attempt(table, key, lambda: check(value))

    def _attempt(self, table: str, key: str, check: Any) -> Any:
        try:
            return check()
        except MediakitError as error:
            self._say(table, key, str(error))
            return None

    def _say(self, table: str, key: str, message: str) -> None:
        self.problems.append(Problem(self._lines.get((table, key), self._lines.get((table, ""), 0)), message))


def _size(text: str) -> int:
    from mediakit.units import parse_size

    return parse_size(text)


def _version(text: str) -> str:
    from mediakit.engine.versions import parse_version

    parse_version(text)
    return text
