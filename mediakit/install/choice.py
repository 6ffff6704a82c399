"""What somebody chose, on the screens, in answers or on the command line: one object from all three. Pure."""

from __future__ import annotations

from dataclasses import field

from mediakit.install.state import Network
from mediakit.plain import dataclass


@dataclass(frozen=True)
class Settings:
    """What a fresh install asks for; ``admin_password_hash`` is crypt(3), never shown or logged."""

    host_name: str = "engine"
    admin_password_hash: str = field(default="!", repr=False)
    time_zone: str = "UTC"
    language: str = "en"
    keyboard: str = "us"
    network: Network = field(default_factory=Network)
    mode: str = "normal"
    licence_accepted: str | None = None


@dataclass(frozen=True)
class Choice:
    """One action on one disk. ``wipe`` is the identity that was confirmed."""

    action: str
    disk: str
    install_id: str = ""
    keep_vms: bool = False
    wipe: str = ""
    settings: Settings = field(default_factory=Settings)
