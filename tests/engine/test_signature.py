"""Minisign is the judge: what we sign it accepts, what it signs we accept, and every changed bit is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit import run
from mediakit.engine import keys, signature
from mediakit.errors import FormatError, MediakitError, UsageError

KEYS = Path(signature.__file__).parents[1] / "reference" / "keys"
PAIR = signature.generate()


def minisign(*words: str | Path) -> run.Completed:
    return run.run(["minisign", *words], timeout=20, check=False)


def test_minisign_accepts_what_we_sign(tmp_path: Path) -> None:
    data, public = tmp_path / "data", tmp_path / "k.pub"
    data.write_bytes(b"engine" * 1000)
    public.write_text(PAIR.public.to_text())
    (tmp_path / "data.minisig").write_text(signature.sign(data.read_bytes(), PAIR.secret, "Engine 5.0"))
    good = minisign("-V", "-p", public, "-m", data)
    assert good.status == 0, good.error_text
    assert "Trusted comment: Engine 5.0" in good.text
    data.write_bytes(b"Engine" * 1000)
    assert minisign("-V", "-p", public, "-m", data).status != 0


def test_minisign_signs_with_our_key_and_we_accept_it(tmp_path: Path) -> None:
    (tmp_path / "k.key").write_text(PAIR.secret.to_text())
    data = tmp_path / "data"
    data.write_bytes(b"payload")
    for legacy in ([], ["-l"]):
        done = minisign("-S", "-W", *legacy, "-s", tmp_path / "k.key", "-m", data, "-t", "hello")
        assert done.status == 0, done.error_text
        text = (tmp_path / "data.minisig").read_text()
        checked = signature.check(b"payload", text, [PAIR.public])
        assert (checked.state, checked.trusted_comment) == ("good", "hello")
        assert signature.check(b"Payload", text, [PAIR.public]).state == "bad"
        assert signature.check(b"payload", text.replace("hello", "hallo"), [PAIR.public]).state == "bad"


def test_we_sign_with_minisigns_key(tmp_path: Path) -> None:
    assert minisign("-G", "-W", "-p", tmp_path / "m.pub", "-s", tmp_path / "m.key").status == 0
    secret = keys.load_secret_file(tmp_path / "m.key")
    public = keys.load_key_file(tmp_path / "m.pub")
    assert (
        secret.public.point == public.point and public.id_text.lstrip("0") in (tmp_path / "m.pub").read_text()
    )
    (tmp_path / "d").write_bytes(b"x")
    (tmp_path / "d.minisig").write_text(signature.sign(b"x", secret, "c"))
    assert minisign("-V", "-p", tmp_path / "m.pub", "-m", tmp_path / "d").status == 0


def test_a_key_that_is_not_trusted_and_no_signature_are_told_apart() -> None:
    text = signature.sign(b"x", PAIR.secret, "c")
    unknown = signature.check(b"x", text, [keys.test_key()])
    assert unknown.state == "unknown_key" and unknown.key_id == PAIR.public.id_text
    assert signature.check(b"x", None, [PAIR.public]).state == "missing"


def test_signing_is_deterministic_and_a_secret_stays_out_of_repr() -> None:
    assert signature.sign(b"x", PAIR.secret, "c") == signature.sign(b"x", PAIR.secret, "c")
    assert PAIR.secret.seed_and_point.hex() not in repr(PAIR) and "seed_and_point" not in repr(PAIR)


def test_the_built_in_key_is_the_public_test_key_of_the_tree() -> None:
    assert keys.load_key_file(KEYS / "engine-test.pub") == keys.test_key()
    secret = keys.load_secret_file(KEYS / "engine-test.key")
    assert secret.public.point == keys.test_key().point
    checked = signature.check(b"m", signature.sign(b"m", secret, "c"), keys.built_in())
    assert (checked.state, checked.key_name) == ("good", "public test key")


def test_the_secure_boot_certificate_belongs_to_its_key_and_engine_cer_is_it() -> None:
    modulus = [
        run.run(["openssl", kind, "-noout", "-modulus", "-in", KEYS / name], timeout=20).text
        for kind, name in (("rsa", "sb-test.key"), ("x509", "sb-test.crt"))
    ]
    assert modulus[0] == modulus[1]
    der = run.run(["openssl", "x509", "-in", KEYS / "sb-test.crt", "-outform", "DER"], timeout=20).stdout
    assert der == (KEYS / "ENGINE.CER").read_bytes()


def test_a_protected_key_is_refused_with_a_way_out() -> None:
    import base64

    lines = PAIR.secret.to_text().splitlines()
    data = bytearray(base64.b64decode(lines[1]))
    data[2:4] = b"Sc"
    with pytest.raises(UsageError, match="password"):
        signature.load_secret(f"{lines[0]}\n{base64.b64encode(data).decode()}\n")


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_no_changed_byte_of_a_signature_passes_as_good(position: int, change: int, drop: bool) -> None:
    text = signature.sign(b"data", PAIR.secret, "comment").encode()
    start = text.index(b"\n") + 1  # the untrusted comment is, as it says, not covered
    place = start + position % (len(text) - start - 1)
    changed = text[:place] + (b"" if drop else bytes([text[place] ^ change])) + text[place + 1 :]
    checked = signature.check(b"data", changed.decode("latin-1"), [PAIR.public])
    if checked.state == "good":
        import base64

        old, new = text.split(b"\n"), changed.split(b"\n")
        for line in (1, 3):  # only unused base64 bits or white space may differ
            assert base64.b64decode(old[line]) == base64.b64decode(new[line])
        assert old[2] == new[2].rstrip(b"\r")


@given(st.text(max_size=300))
def test_any_text_is_judged_and_never_good(text: str) -> None:
    assert signature.check(b"data", text, [PAIR.public]).state == "bad"
    for load in (signature.load_public, signature.load_secret):
        with pytest.raises(MediakitError):
            load(text)


def test_a_damaged_key_is_not_taken() -> None:
    with pytest.raises(FormatError):
        signature.load_public(keys.TEST_KEY_TEXT[:-4])
