"""``mediakit rewrite --compact`` as people call it: Engine media that still verify, secrets that are gone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.cli.main import main
from mediakit.engine import custom
from mediakit.engine.manifest import Area, Hole
from mediakit.engine.rewriting import Request
from mediakit.errors import RefusedError, UsageError
from mediakit.formats import grubenv
from mediakit.iso.edit.undo import history
from mediakit.stick import rewrite
from mediakit.units import MIB
from tests.engine import isos as engine_isos
from tests.engine import medium
from tests.isos import make

Run = Callable[..., tuple[int, str, str]]
ROOM = 16384
OLD, NEW = (f"$y$j9T${sign * 22}${sign * 43}" for sign in "st")
MENU = b"menuentry Install --id install { linux /k }\nmenuentry Rescue --id rescue { linux /k }\n"
LEFT = (b"mediakit edit", b"mediakit tail", OLD.encode(), b"only for ACME")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Engine medium with rooms under /custom, its system area signed but for a hole."""
    folder = tmp_path_factory.mktemp("engine")
    boot = bytearray(hashlib.sha512(b"boot").digest() * 512)
    boot[440:446] = bytes(6)
    area = Area("system-area", 0, len(boot), hashlib.sha256(boot).hexdigest(), (Hole(440, 6),))
    tree = medium.make(folder / "tree", medium.FILES | {"/boot/grub/grub.cfg": MENU}, (area,))
    (tree / "custom").mkdir()
    (tree / "custom/bootenv").write_bytes(grubenv.build({}, 1024))
    (tree / "custom/answers.toml").write_bytes(b"# room\n".ljust(ROOM, b"\n"))
    (tree / "custom/index.json").write_bytes(custom.to_bytes("", ()).ljust(ROOM, b"\n"))
    path = engine_isos.make(tree, folder / "engine.iso")
    with path.open("r+b") as file:
        file.write(boot)
        file.seek(440)
        file.write(b"WINDOW")
    return path


@pytest.fixture
def mediakit(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_it(*words: object) -> tuple[int, str, str]:
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_it


def answers(folder: Path, secret: str) -> Path:
    path = folder / "answers.toml"
    path.write_text(
        f'schema = 1\naction = "fresh"\nlicence = "accepted"\n[system]\nadmin_password_hash = "{secret}"\n'
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def edited(pristine: Path, tmp_path: Path, mediakit: Run) -> Path:
    """The medium after edits in place, some of which replace what others put there."""
    path = Path(shutil.copy(pristine, tmp_path / "engine.iso"))
    brand = tmp_path / "brand"
    (brand / "sub").mkdir(parents=True)
    (brand / "logo.png").write_bytes(b"logo" * 3000)
    (brand / "sub/text").write_text("text")
    (tmp_path / "note").write_text("only for ACME " * 500)
    (tmp_path / "big").write_bytes(os.urandom(2 * MIB))
    for words in (
        ("--answers", answers(tmp_path, OLD), "--kernel-arg", "quiet"),
        ("--branding", brand, "--by", "ACME"),
        ("--add", f"{tmp_path / 'note'}=/custom/a/note", "--add", f"{tmp_path / 'big'}=/custom/big"),
        ("--answers", answers(tmp_path, NEW), "--menu-timeout", 7),
        ("--remove", "/custom/a/note", "--remove", "/custom/big"),
    ):
        assert mediakit("rewrite", path, "--in-place", *words)[0] == 0
    return path


def customised(path: Path) -> dict[str, str]:
    """/custom as xorriso extracts it."""
    folder = path.parent / "extracted"
    shutil.rmtree(folder, ignore_errors=True)
    run.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", "/custom", folder], timeout=60)
    return {
        str(item.relative_to(folder)): hashlib.sha256(item.read_bytes()).hexdigest() if item.is_file() else ""
        for item in folder.rglob("*")
    }


def test_a_compacted_engine_medium_verifies(
    edited: Path, pristine: Path, tmp_path: Path, mediakit: Run
) -> None:
    out = tmp_path / "out.iso"
    before = edited.read_bytes()
    status, text, err = mediakit("rewrite", edited, "-o", out, "--compact", "--json")
    found = json.loads(text)
    assert (status, err, found["result"], found["undo"]["edits"]) == (0, "", "compacted", 0)
    assert found["bytes_written"] == out.stat().st_size < pristine.stat().st_size + 300_000
    assert edited.read_bytes() == before
    assert customised(out) == customised(edited)
    (status, text, _), audits = mediakit("verify", out, "--json"), []
    assert status == 0 and (json.loads(text)["result"], json.loads(text)["signature"]) == ("ok", "good")
    for path in edited, out:
        engine = json.loads(mediakit("inspect", path, "--json")[1])["engine"]
        status, text, _ = mediakit("audit", path, "--json")
        audits.append((status, engine, json.loads(text)["boot"]))
    assert audits[0] == audits[1]
    data = out.read_bytes()
    assert [mark for mark in LEFT if mark in data] == [] and data.count(NEW.encode()) == 1
    assert data[440:446] == b"WINDOW"


def test_in_place_it_is_as_good(edited: Path, tmp_path: Path, mediakit: Run) -> None:
    out = tmp_path / "out.iso"
    assert mediakit("rewrite", edited, "-o", out, "--compact", "--menu-default", "Rescue")[0] == 0
    words = ("--in-place", "--compact", "--menu-default", "Rescue")
    status, _, err = mediakit("rewrite", edited, *words)
    assert (status, err) == (0, "") and mediakit("verify", edited)[0] == 0
    assert customised(edited) == customised(out) and abs(edited.stat().st_size - out.stat().st_size) < 4096
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_replaced_answers_leave_no_secret(pristine: Path, tmp_path: Path, mediakit: Run) -> None:
    path, out = Path(shutil.copy(pristine, tmp_path / "engine.iso")), tmp_path / "out.iso"
    for secret in OLD, NEW, OLD:
        words = ("--answers", answers(tmp_path, secret))
        assert mediakit("rewrite", path, "--in-place", *words)[0] == 0
        assert mediakit("rewrite", path, "-o", out, "--compact")[0] == 0
        assert mediakit("verify", out)[0] == 0 and customised(out) == customised(path)
        data = out.read_bytes()
        other = NEW if secret == OLD else OLD
        assert (data.count(secret.encode()), data.count(other.encode())) == (1, 0)


def test_an_engine_medium_without_edits_is_copied(pristine: Path, tmp_path: Path, mediakit: Run) -> None:
    status, text, _ = mediakit("rewrite", pristine, "-o", tmp_path / "out.iso", "--compact", "--json")
    assert status == 0 and json.loads(text)["result"] == "already" and "no edits" in text
    assert (tmp_path / "out.iso").read_bytes() == pristine.read_bytes()
    path = Path(shutil.copy(pristine, tmp_path / "x.iso"))
    status, text, _ = mediakit("rewrite", path, "--in-place", "--compact")
    assert status == 0 and "nothing was written" in text
    assert path.read_bytes() == pristine.read_bytes()


def test_an_engine_medium_that_was_forced_stays_refused(
    pristine: Path, tmp_path: Path, mediakit: Run
) -> None:
    """What the manifest signs was changed by --force: the compacted medium is the same, and says so."""
    path = Path(shutil.copy(pristine, tmp_path / "x.iso"))
    (tmp_path / "f").write_text("menu")
    add = ("--add", f"{tmp_path / 'f'}=/boot/grub/grub.cfg")
    assert mediakit("rewrite", path, "--in-place", *add, "--force")[0] == 0
    assert mediakit("rewrite", path, "-o", tmp_path / "out.iso", "--compact")[0] == 0
    results = [mediakit("verify", p, "--json") for p in (path, tmp_path / "out.iso")]
    assert [json.loads(text)["result"] for _, text, _ in results] == ["damaged", "damaged"]
    assert results[0][0] == results[1][0] != 0
    assert iso.open_image(tmp_path / "out.iso").read("/boot/grub/grub.cfg") == b"menu"
    assert MENU not in (tmp_path / "out.iso").read_bytes()


def test_where_it_may_not_go(pristine: Path, tmp_path: Path, mediakit: Run) -> None:
    path = Path(shutil.copy(pristine, tmp_path / "x.iso"))
    status, _, err = mediakit("rewrite", path, "-o", path, "--compact")
    assert status == 4 and "the image itself" in err
    status, _, err = mediakit("rewrite", path, "-o", "/nowhere/x.iso", "--compact")
    assert status == 3 and "/nowhere" in err
    assert path.read_bytes() == pristine.read_bytes()


def test_a_usb_bootable_disc_stays_one(tmp_path: Path, mediakit: Run) -> None:
    folder = tmp_path / "kinds"
    folder.mkdir()
    path = make.make("el_torito", folder)
    (tmp_path / "big").write_bytes(os.urandom(MIB))
    assert mediakit("rewrite", path, "--in-place", "--add", f"{tmp_path / 'big'}=/big")[0] == 0
    assert mediakit("rewrite", path, "--in-place", "--usb-bootable")[0] == 0
    grown = path.stat().st_size
    assert mediakit("rewrite", path, "--in-place", "--remove", "/big", "--compact", "--label", "NEW")[0] == 0
    assert path.stat().st_size <= grown - MIB
    with iso.open_image(path) as image:
        assert image.facts().boot.bios_usb.ok and image.facts().volume_id == "NEW" and not history(image)


@pytest.mark.parametrize("kind", ["el_torito", "uefi_only", "platforms"])
def test_partitions_end_inside_a_compacted_image(kind: str, tmp_path: Path, mediakit: Run) -> None:
    """isohybrid's cylinders: nothing but the boot equipment was edited."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    path, out = make.make(kind, folder), tmp_path / "out.iso"
    assert mediakit("rewrite", path, "--in-place", "--usb-bootable")[0] == 0
    assert mediakit("rewrite", path, "-o", out, "--compact")[0] == 0
    with iso.open_image(out) as image:
        record = image.facts().structures.mbr
        assert record is not None and image.facts().boot == iso.open_image(path).facts().boot
        ends = [(part.start_lba + part.sectors) * 512 for part in record.partitions]
    assert max(ends) <= out.stat().st_size <= path.stat().st_size


def test_a_stick_is_no_source(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(shutil.copy(pristine, tmp_path / "x.iso"))
    monkeypatch.setattr(rewrite.stat, "S_ISBLK", lambda mode: True)
    with pytest.raises(RefusedError, match="from itself"):
        rewrite.compact_in_place(path, Request())
    with pytest.raises(UsageError, match="is a device"):
        rewrite.into(path, Request(), tmp_path / "out.iso", compact=True)
    assert [item.name for item in tmp_path.iterdir()] == ["x.iso"]


def test_a_dry_run_shows_the_edit_that_comes_first(pristine: Path, tmp_path: Path, mediakit: Run) -> None:
    words = ("--dry-run", "--compact", "--menu-timeout", 3, "--json")
    status, text, _ = mediakit("rewrite", pristine, *words)
    found = json.loads(text)
    assert status == 0 and found["result"] == "planned" and found["regions"]
    assert "compacted into a new file" in found["notes"][-1]
    assert mediakit("rewrite", pristine, "--dry-run", "--compact")[0] == 2
