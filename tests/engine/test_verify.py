"""verify: every kind of damage is named, trust and damage are told apart, exit statuses are the documented ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mediakit.cli.main import main
from mediakit.engine import custom, keys, manifest, signature, sums
from mediakit.engine.manifest import ManifestFile
from mediakit.engine.verify import Verification, verify
from mediakit.progress import Cancel, Event
from tests.engine import medium


def test_a_whole_medium_is_ok_and_every_byte_is_counted(tmp_path: Path) -> None:
    events: list[Event] = []
    found = verify(medium.make(tmp_path), observer=events.append)
    assert (found.result, found.signature, found.checked_by, found.exit_status) == ("ok", "good", "engine", 0)
    assert found.notes == ("Signed with: public test key.",)
    assert events[-1].done_bytes == events[-1].total_bytes == sum(map(len, medium.FILES.values()))


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        (lambda f: f.write_bytes(b"Be kinD.\n"), ("/engine/licence/en.txt", 0, 9, "its content differs")),
        (lambda f: f.write_bytes(b"Be"), ("/engine/licence/en.txt", 0, 2, "it has 2 bytes instead of 9")),
        (lambda f: f.unlink(), ("/engine/licence/en.txt", 0, 9, "it is missing")),
    ],
)
def test_damage_is_named(tmp_path: Path, change: object, damage: tuple[str, int, int, str]) -> None:
    medium.make(tmp_path)
    change(tmp_path / "engine/licence/en.txt")  # type: ignore[operator]
    found = verify(tmp_path)
    assert (found.result, found.exit_status) == ("damaged", 1)
    assert [(d.path, d.offset_bytes, d.size_bytes, d.cause) for d in found.damaged] == [damage]


def test_a_forged_manifest_is_untrusted_not_damaged(tmp_path: Path) -> None:
    medium.make(tmp_path)
    forged = medium.document(medium.FILES, version="9.9").to_bytes()
    (tmp_path / manifest.PATH[1:]).write_bytes(forged)
    assert (verify(tmp_path).result, verify(tmp_path).signature, verify(tmp_path).exit_status) == (
        "untrusted",
        "bad",
        6,
    )
    other = signature.generate()
    (tmp_path / manifest.SIGNATURE_PATH[1:]).write_text(signature.sign(forged, other.secret, "x"))
    assert (verify(tmp_path).result, verify(tmp_path).signature) == ("untrusted", "unknown_key")
    assert verify(tmp_path, [other.public]).result == "ok"
    (tmp_path / manifest.SIGNATURE_PATH[1:]).unlink()
    assert (verify(tmp_path).result, verify(tmp_path).signature) == ("untrusted", "missing")


def test_what_was_customised_is_checked_against_its_own_list(tmp_path: Path) -> None:
    medium.make(tmp_path)
    branding = b"logo"
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom/logo").write_bytes(branding)
    index = custom.to_bytes(
        "Example GmbH", [ManifestFile("/custom/logo", 4, hashlib.sha256(branding).hexdigest())]
    )
    (tmp_path / custom.PATH[1:]).write_bytes(index)
    found = verify(tmp_path)
    assert found.result == "ok" and "Customised by Example GmbH (not signed): /custom/logo." in found.notes
    (tmp_path / custom.SIGNATURE_PATH[1:]).write_text(medium.sign(index))
    assert "Customised by Example GmbH (signed): /custom/logo." in verify(tmp_path).notes
    (tmp_path / "custom/logo").write_bytes(b"lego")
    assert [d.path for d in verify(tmp_path).damaged] == ["/custom/logo"]
    (tmp_path / custom.PATH[1:]).write_bytes(index.replace(b"Example", b"Exampel"))
    assert verify(tmp_path).result == "untrusted"


def test_other_media_are_checked_against_their_sums(tmp_path: Path) -> None:
    (tmp_path / "a b").write_bytes(b"x")
    (tmp_path / "md5sum.txt").write_text(f"{hashlib.md5(b'x').hexdigest()}  ./a b\n")
    assert (verify(tmp_path).result, verify(tmp_path).checked_by) == ("ok", "sums")
    (tmp_path / "a b").write_bytes(b"y")
    assert [d.path for d in verify(tmp_path).damaged] == ["/a b"]
    (tmp_path / "md5sum.txt").unlink()
    found = verify(tmp_path)
    assert (found.result, found.checked_by, found.exit_status) == ("unchecked", "none", 1) and found.notes


def test_another_judge_is_asked_when_there_is_no_manifest(tmp_path: Path) -> None:
    def judge(path: Path, observer: object, cancel: Cancel) -> Verification:
        return Verification(str(path), "receipt", "ok")

    assert verify(tmp_path, judge=judge).checked_by == "receipt"
    assert verify(medium.make(tmp_path), judge=judge).checked_by == "engine"


def test_lists_of_sums_stay_inside_the_medium() -> None:
    text = f"{'0' * 32}  ../../etc/passwd\n{'0' * 32} */ok\nnonsense\n{'0' * 31}  short\n{'0' * 32}  md5sum.txt\n"
    assert [entry.path for entry in sums.parse_list(text, "/md5sum.txt")] == ["/ok"]


def test_the_command_prints_json_or_sentences_and_returns_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(medium.make(tmp_path / "m"))
    assert main(["verify", folder, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {
        "schema": 1, "path": folder, "checked_by": "engine", "result": "ok", "signature": "good", "damaged": []
    }  # fmt: skip
    other = tmp_path / "other.pub"
    other.write_text(signature.generate().public.to_text())
    assert main(["verify", folder, "--key", str(other)]) == 6
    assert keys.test_key().id_text in capsys.readouterr().out
    assert main(["verify", folder, "--progress", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "result" and lines[-1]["result"] == "ok"
    (tmp_path / "m/boot/empty").write_bytes(b"!")
    assert main(["verify", folder]) == 1
    assert "/boot/empty" in capsys.readouterr().out
    assert main(["verify", folder, "--key", str(tmp_path / "none.pub")]) == 2
