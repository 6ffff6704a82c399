"""What people may type: host name, addresses, time zone, keyboard, language. Pure; one function a field.

Each returns the value in its normal form or raises UsageError whose message is a sentence for the screen.
The installer's screens and the answer file use the same functions.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Collection
from functools import cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)

from mediakit.errors import UsageError

MAX_DNS = 3
"""The resolver reads no more (resolv.conf(5), MAXNS)."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEYBOARD = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,16}){0,2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")
_SALT = r"[./A-Za-z0-9]"
_YESCRYPT = re.compile(rf"\$y\${_SALT}{{1,16}}\${_SALT}{{1,86}}\${_SALT}{{43}}")
_SHA512 = re.compile(rf"\$6\$(rounds=[1-9][0-9]{{3,8}}\$)?{_SALT}{{1,16}}\${_SALT}{{86}}")


def host_name(text: str) -> str:
    """A host name of RFC 1123 §2.1: at most 63 characters here, for Linux takes no more than 64."""
    name = text.strip().lower()
    if not name:
        raise UsageError("The host name is empty.", "Write a name such as engine-1.")
    if len(name) > 63:
        raise UsageError(f"The host name has {len(name)} characters.", "It may have 63 at most.")
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            raise UsageError(
                "The host name may have letters, digits and hyphens, and no hyphen first or last.",
                "Write a name such as engine-1.",
            )
    if all(label.isdigit() for label in name.split(".")):
        raise UsageError("A host name of digits alone is taken for an address.", "Add a letter.")
    return name


def address(text: str) -> str:
    """An address with its prefix length, ``192.0.2.7/24`` or ``2001:db8::7/64``, that a host can have."""
    words = text.strip()
    if "/" not in words:
        raise UsageError(
            "The address has no prefix length.", "Write it behind the address, such as 192.0.2.7/24."
        )
    if "%" in words or not words.split("/", 1)[1].isdecimal():
        raise UsageError("This is not an address with a prefix length.", "Write it as 192.0.2.7/24.")
    try:
        interface = ip_interface(words)
    except ValueError:
        raise UsageError(
            "This is not an address with a prefix length.", "Write it as 192.0.2.7/24."
        ) from None
    _must_be_a_hosts(interface.ip, "address")
    wide = interface.max_prefixlen - interface.network.prefixlen
    if wide > 1 and interface.ip == interface.network.network_address:
        raise UsageError("This is the address of the network itself.", "Use one that a host can have.")
    if interface.version == 4 and wide > 1 and interface.ip == interface.network.broadcast_address:
        raise UsageError("This is the network's broadcast address.", "Use one that a host can have.")
    return str(interface)


def gateway(text: str, of_address: str) -> str:
    """A gateway inside the network of ``of_address`` (or link-local, for IPv6); empty stays empty."""
    words = text.strip()
    if not words:
        return ""
    found = _ip(words, "gateway")
    interface: IPv4Interface | IPv6Interface = ip_interface(address(of_address))
    if found.version != interface.version:
        raise UsageError("The gateway and the address are of different kinds.", "Use IPv4 or IPv6 for both.")
    if found == interface.ip:
        raise UsageError("The gateway is the machine's own address.", "Ask for the router's address.")
    if found not in interface.network and not found.is_link_local:
        raise UsageError(
            f"The gateway is not in the network {interface.network}.", "Correct it or the prefix length."
        )
    return str(found)


def dns_server(text: str) -> str:
    """The address of one DNS server."""
    return str(_ip(text.strip(), "DNS server"))


def dns_servers(text: str) -> tuple[str, ...]:
    """Addresses with spaces or commas between them; at most three, none twice."""
    servers = tuple(dict.fromkeys(dns_server(word) for word in re.split(r"[\s,]+", text.strip()) if word))
    if len(servers) > MAX_DNS:
        raise UsageError(f"There are {len(servers)} DNS servers.", f"The resolver uses {MAX_DNS} at most.")
    return servers


def time_zone(text: str, known: Collection[str] | None = None) -> str:
    """A name of the time zone database; checked against ``known``, or the system's where it has one."""
    name = text.strip()
    names = zone_names() if known is None else known
    if not _ZONE.fullmatch(name) or (names and name not in names):
        raise UsageError("There is no such time zone.", "Write a name such as Europe/Madrid, or UTC.")
    return name


@cache
def zone_names() -> frozenset[str]:
    """The time zones that this system knows; empty where there is no database."""
    return frozenset(zoneinfo.available_timezones())


def keyboard(text: str, known: Collection[str] | None = None) -> str:
    """A keyboard layout's name such as ``us`` or ``de-nodeadkeys``; one of ``known`` if that is given."""
    name = text.strip()
    if not _KEYBOARD.fullmatch(name) or (known is not None and name not in known):
        raise UsageError("There is no such keyboard.", "Write a layout's name such as us, es or de.")
    return name


def language(text: str, known: Collection[str] | None = None) -> str:
    """A language such as ``en`` or ``es``; one of ``known`` if that is given."""
    name = text.strip()
    if not _LANGUAGE.fullmatch(name) or (known is not None and name not in known):
        raise UsageError("There is no such language.", "Write en or es.")
    return name


def password_hash(text: str) -> str:
    """A crypt(3) hash of kind yescrypt or sha512. No message ever repeats it."""
    if not _YESCRYPT.fullmatch(text) and not _SHA512.fullmatch(text):
        raise UsageError(
            "This is not a password hash of crypt(3), kind yescrypt or sha512.",
            "Make one with: mkpasswd -m yescrypt",
        )
    return text


def _ip(text: str, what: str) -> IPv4Address | IPv6Address:
    try:
        found = ip_address(text)
    except ValueError:
        found = None
    if found is None or "%" in text:
        raise UsageError(f"The {what} is not an address.", "Write it as 192.0.2.1 or 2001:db8::1.")
    _must_be_a_hosts(found, what)
    return found


def _must_be_a_hosts(found: IPv4Address | IPv6Address, what: str) -> None:
    if found.is_multicast or found.is_unspecified or found == IPv4Address("255.255.255.255"):
        raise UsageError(f"The {what} is not one that a host can have.", "Use an ordinary address.")
    if found.is_loopback and what != "DNS server":
        raise UsageError(f"The {what} is the loopback.", "Use an address of your network.")
