"""/etc from the slot's ``state.json``: pure texts first, then one function that writes them.

The root is an overlay in memory, so what is written here lasts until the next boot and never masks the
next version's files.
"""

from __future__ import annotations

import re
from pathlib import Path

from mediakit.errors import FormatError
from mediakit.install.state import Network, State

_HASH = re.compile(r"[!*]|\$[A-Za-z0-9./$=,+-]*[A-Za-z0-9./]")
_WORD = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
ADMIN = "admin"


def host_name(state: State) -> str:
    """The host name, as far as it is one (RFC 1123, 2.1)."""
    name = re.sub(r"[^A-Za-z0-9-]", "", state.host_name).strip("-")[:63]
    return name or "engine"


def hosts(name: str) -> str:
    """``/etc/hosts``."""
    return f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n"


def network(settings: Network) -> str:
    """The one file of systemd-networkd: every wired interface that is no guest's."""
    lines = ["[Match]", "Type=ether", "Name=!vif* tap*", "", "[Network]"]
    if settings.mode == "dhcp":
        lines += ["DHCP=yes"]
    elif settings.mode == "static":
        lines += ["DHCP=no", f"Address={_one_line(settings.address)}"]
        if settings.gateway:
            lines.append(f"Gateway={_one_line(settings.gateway)}")
    else:
        lines += ["DHCP=no", "LinkLocalAddressing=no"]
    lines += [f"DNS={_one_line(server)}" for server in settings.dns]
    return "\n".join(lines) + "\n"


def shadow(text: str, password_hash: str) -> str:
    """``/etc/shadow`` with the administrator's password; FormatError if it is no crypt(3) hash."""
    if not _HASH.fullmatch(password_hash):
        raise FormatError("The administrator's password hash in the state is not one of crypt(3).")
    lines = []
    for line in text.splitlines():
        fields = line.split(":")
        if fields[0] == ADMIN:
            fields[1] = password_hash
        lines.append(":".join(fields))
    return "\n".join(lines) + "\n"


def keyboard(layout: str) -> tuple[str, str]:
    """``/etc/vconsole.conf`` and ``/etc/default/keyboard``."""
    layout = _word(layout, "us")
    return f"KEYMAP={layout}\n", f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\n'


def time_zone(name: str, zones: Path) -> str:
    """The zone, or UTC where the system does not know it."""
    name = _word(name, "UTC")
    return name if (zones / name).is_file() else "UTC"


def write(state: State, root: Path = Path("/")) -> list[str]:
    """Write all of it below ``root``; what could not be done, as sentences."""
    problems: list[str] = []
    etc, name = root / "etc", host_name(state)
    zone = time_zone(state.time_zone, root / "usr/share/zoneinfo")
    vconsole, xkb = keyboard(state.keyboard)
    texts = {
        "hostname": f"{name}\n", "hosts": hosts(name), "timezone": f"{zone}\n", "vconsole.conf": vconsole,
        "default/keyboard": xkb, "systemd/network/10-engine.network": network(state.network),
        "default/locale": f"LANG=C.UTF-8\nENGINE_LANGUAGE={_word(state.language, 'en')}\n",
    }  # fmt: skip
    for path, text in texts.items():
        (etc / path).parent.mkdir(parents=True, exist_ok=True)
        (etc / path).write_text(text)
    _link(etc / "localtime", f"/usr/share/zoneinfo/{zone}")
    _link(etc / "resolv.conf", "/run/systemd/resolve/stub-resolv.conf")
    try:
        (etc / "shadow").write_text(shadow((etc / "shadow").read_text(), state.admin_password_hash))
    except FormatError as error:
        problems.append(error.message)
    return problems


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _word(text: str, default: str) -> str:
    return text if _WORD.fullmatch(text) else default


def _one_line(text: str) -> str:
    return text.split("\n", 1)[0].strip()
