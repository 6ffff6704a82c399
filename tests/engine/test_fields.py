"""What people type: accepted in its normal form, or refused with a sentence and a way forward."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import run
from mediakit.engine import fields, password
from mediakit.errors import UsageError


@pytest.mark.parametrize(
    ("check", "text", "expected"),
    [
        (fields.host_name, " Engine-1 ", "engine-1"),
        (fields.host_name, "1a.example", "1a.example"),
        (fields.host_name, "a" * 63, "a" * 63),
        (fields.address, "192.0.2.7/24", "192.0.2.7/24"),
        (fields.address, "10.0.0.0/31", "10.0.0.0/31"),
        (fields.address, "2001:DB8:0::7/64", "2001:db8::7/64"),
        (fields.dns_server, "127.0.0.53", "127.0.0.53"),
        (fields.time_zone, "Europe/Madrid", "Europe/Madrid"),
        (fields.time_zone, "UTC", "UTC"),
        (fields.keyboard, "de-nodeadkeys", "de-nodeadkeys"),
        (fields.language, "es", "es"),
    ],
)
def test_good_input_is_taken(check: Callable[[str], str], text: str, expected: str) -> None:
    assert check(text) == expected
    assert check(expected) == expected


@pytest.mark.parametrize(
    ("check", "texts"),
    [
        (fields.host_name, ["", "-a", "a-", "a_b", "a..b", "ñ", "a" * 64, "12.7", "a b", ".a"]),
        (fields.address, ["192.0.2.7", "192.0.2.0/24", "192.0.2.255/24", "1.2.3.4/33", "127.0.0.1/8", "224.0.0.1/4",
                          "0.0.0.0/0", "::1/128", "x/24", "192.0.2.7/255.255.255.0", "fe80::1%eth0/64", "192.0.2.07/24"]),
        (fields.dns_server, ["", "dns.example", "224.0.0.1", "1.2.3"]),
        (fields.time_zone, ["", "Europe/Nowhere", "../../etc/passwd", "/etc"]),
        (fields.keyboard, ["", "US", "../us", "u"]),
        (fields.language, ["", "english", "EN"]),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_sentences(check: Callable[[str], str], texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(UsageError) as caught:
            check(text)
        assert caught.value.message.endswith(".") and caught.value.message[0].isupper()
        assert caught.value.hint.endswith(".")


def test_a_gateway_is_in_the_network_and_not_oneself() -> None:
    assert fields.gateway("192.0.2.1", "192.0.2.7/24") == "192.0.2.1"
    assert fields.gateway("", "192.0.2.7/24") == ""
    assert fields.gateway("fe80::1", "2001:db8::7/64") == "fe80::1"
    for wrong in ("192.0.3.1", "192.0.2.7", "2001:db8::1", "router"):
        with pytest.raises(UsageError):
            fields.gateway(wrong, "192.0.2.7/24")


@given(st.integers(1, (223 << 24) - 1), st.integers(8, 30))
def test_an_address_is_a_hosts_or_refused(number: int, prefix: int) -> None:
    found = IPv4Address(number)
    network = IPv4Network((number, prefix), strict=False)
    usable = found not in (network.network_address, network.broadcast_address) and not found.is_loopback
    try:
        assert fields.address(f"{found}/{prefix}") == f"{found}/{prefix}"
        assert usable
    except UsageError:
        assert not usable


def test_dns_servers_are_a_list_without_doubles() -> None:
    assert fields.dns_servers("192.0.2.1, 2001:db8::1  192.0.2.1") == ("192.0.2.1", "2001:db8::1")
    assert fields.dns_servers("  ") == ()
    with pytest.raises(UsageError, match="4 DNS servers"):
        fields.dns_servers("1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4")


def test_a_hash_is_yescrypt_and_openssl_agrees_on_sha512() -> None:
    hashed = password.hash_password("correct horse")
    assert hashed.startswith("$y$") and fields.password_hash(hashed) == hashed
    assert password.is_password("correct horse", hashed) and not password.is_password("wrong horse", hashed)
    assert password.hash_password("correct horse") != hashed
    made = run.run(["openssl", "passwd", "-6", "-salt", "abcdefgh", "correct horse"], timeout=20).text.strip()
    assert fields.password_hash(made) == made and password.is_password("correct horse", made)


@pytest.mark.parametrize("text", ["", "secret", "$1$abc$def", "$y$j9T$x$short", "$6$abc$" + "a" * 85, "!"])
def test_what_is_no_hash_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        fields.password_hash(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short", "x" * 600, "nul\0nul\0nul", "\ud800" * 9])
def test_weak_or_impossible_passwords_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        password.hash_password(text)
