"""An Engine medium customised: /custom changes, the manifest holds, the list says who and what."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.engine import custom, customise, keys, rewriting, signature
from mediakit.engine.customise import Wish
from mediakit.engine.image import open_engine
from mediakit.engine.verify import verify
from mediakit.errors import RefusedError, SourceError, UsageError
from mediakit.formats import grubenv
from mediakit.iso import edit
from mediakit.iso.edit.changes import Overwrite, Put, Remove
from mediakit.iso.menuedit import menuentries
from tests.engine import isos, medium

ROOM = 16384
SECRET = "$y$j9T$" + "s" * 22 + "$" + "h" * 43
OTHER = "$y$j9T$" + "t" * 22 + "$" + "k" * 43
ANSWERS = f'schema = 1\naction = "fresh"\nlicence = "accepted"\n[system]\nadmin_password_hash = "{SECRET}"\n'
TEMPLATE = b"# room\n".ljust(ROOM, b"\n")
MENU = b"menuentry Install --id install { linux /k }\nmenuentry Rescue --id rescue { linux /k }\n"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Engine ISO as a build leaves it: rooms under /custom, a menu in the manifest."""
    folder = tmp_path_factory.mktemp("engine")
    tree = medium.make(folder / "tree", medium.FILES | {"/boot/grub/grub.cfg": MENU})
    rooms = {
        "bootenv": grubenv.build({}, 1024),
        "answers.toml": TEMPLATE,
        "index.json": custom.to_bytes("", ()).ljust(ROOM, b"\n"),
    }
    (tree / "custom").mkdir()
    for name, data in rooms.items():
        (tree / "custom" / name).write_bytes(data)
    return isos.make(tree, folder / "engine.iso")


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(pristine, tmp_path / "engine.iso"))


def plan(path: Path, wish: Wish) -> customise.Customisation:
    with iso.open_image(path) as image, open_engine(path) as engine:
        return customise.plan(engine, image, wish)


def apply(path: Path, wish: Wish) -> customise.Customisation:
    planned = plan(path, wish)
    with iso.open_image(path) as image:
        written = edit.make_plan(image, planned.changes, now=0)
    with edit.FileMedium(path) as target:
        edit.apply_in_place(target, written)
    return planned


def undo(path: Path) -> edit.UndoResult:
    with edit.FileMedium(path) as target:
        return edit.undo(target)


def read(path: Path, name: str) -> bytes:
    """A file as xorriso extracts it."""
    out = path.with_name("extracted")
    out.unlink(missing_ok=True)
    run.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", name, out], timeout=60)
    return out.read_bytes()


def index(path: Path) -> dict[str, str]:
    document = json.loads(read(path, "/custom/index.json"))
    return {entry["path"]: entry["sha256"] for entry in document["files"]}


def test_menu_and_answers_go_into_their_rooms_and_the_medium_verifies(path: Path) -> None:
    wish = Wish(("quiet", "console=ttyS0"), "Rescue", 9, answers=ANSWERS, by="ACME")
    changes = apply(path, wish).changes
    assert [type(change) for change in changes] == [Overwrite] * 3
    assert grubenv.parse(read(path, "/custom/bootenv")) == {
        "args": "quiet console=ttyS0", "entry": "rescue", "timeout": "9",
    }  # fmt: skip
    assert read(path, "/custom/answers.toml") == ANSWERS.encode().ljust(ROOM, b"\n")
    found = verify(path)
    assert found.result == "ok"
    assert found.notes[-1] == "Customised by ACME (not signed): /custom/answers.toml, /custom/bootenv."
    for name, digest in index(path).items():
        assert hashlib.sha256(read(path, name)).hexdigest() == digest
    assert plan(path, wish).changes == ()


def test_a_replaced_secret_is_gone_and_undo_says_so(path: Path, pristine: Path) -> None:
    apply(path, Wish(answers=ANSWERS))
    assert SECRET.encode() in path.read_bytes()
    apply(path, Wish(answers=ANSWERS.replace(SECRET, OTHER)))
    assert SECRET.encode() not in path.read_bytes()
    assert path.read_bytes().count(OTHER.encode()) == 1
    assert undo(path).lost == ("/custom/answers.toml",)
    assert OTHER.encode() not in path.read_bytes() and SECRET.encode() not in path.read_bytes()
    assert undo(path).lost == ()
    assert path.read_bytes() == pristine.read_bytes()


def test_removing_the_answers_empties_their_room(path: Path) -> None:
    apply(path, Wish(answers=ANSWERS))
    apply(path, Wish(changes=(Remove("/custom/answers.toml"),)))
    assert SECRET.encode() not in path.read_bytes()
    assert index(path) == {}
    assert not verify(path).damaged


def test_arguments_are_added_to_those_that_are_there(path: Path) -> None:
    apply(path, Wish(("quiet", "a=1")))
    apply(path, Wish(("a=2", "b")))
    assert grubenv.parse(read(path, "/custom/bootenv"))["args"] == "quiet a=2 b"


def test_branding_is_put_replaced_and_listed(path: Path, tmp_path: Path) -> None:
    brand = tmp_path / "brand"
    (brand / "de").mkdir(parents=True)
    (brand / "logo.png").write_bytes(b"logo")
    (brand / "de/text").write_bytes(b"text")
    apply(path, Wish(branding=brand))
    assert sorted(index(path)) == ["/custom/branding/de/text", "/custom/branding/logo.png"]
    assert plan(path, Wish(branding=brand)).changes == ()
    (brand / "de/text").unlink()
    (brand / "logo.png").write_bytes(b"new logo")
    apply(path, Wish(branding=brand))
    assert sorted(index(path)) == ["/custom/branding/logo.png"]
    assert read(path, "/custom/branding/logo.png") == b"new logo"
    assert verify(path).result == "ok"


def test_the_list_is_signed_for_minisign_and_the_signature_goes_with_the_next_change(
    path: Path, tmp_path: Path
) -> None:
    pair = signature.generate()
    apply(path, Wish(("quiet",), by="ACME", key=pair.secret))
    (tmp_path / "index.json").write_bytes(read(path, "/custom/index.json"))
    (tmp_path / "index.json.minisig").write_bytes(read(path, "/custom/index.json.minisig"))
    (tmp_path / "acme.pub").write_text(pair.public.to_text())
    run.run(["minisign", "-V", "-p", tmp_path / "acme.pub", "-m", tmp_path / "index.json"], timeout=30)
    trusted = (*keys.built_in(), pair.public)
    assert "Customised by ACME (signed)" in verify(path, trusted).notes[-1]
    assert "signed with an unknown key" in verify(path).notes[-1] and verify(path).result == "ok"
    later = apply(path, Wish(("debug",)))
    assert Remove("/custom/index.json.minisig") in later.changes and later.notes
    assert "(not signed)" in verify(path, trusted).notes[-1]


@pytest.mark.parametrize(
    "change", [Put("/engine/x", b""), Put("/etc/new", b""), Remove("/engine"), Remove("/boot")]
)
def test_changes_outside_custom_are_refused(path: Path, change: Put | Remove) -> None:
    with pytest.raises(RefusedError, match="only /custom"):
        plan(path, Wish(changes=(change,)))
    assert plan(path, Wish(changes=(change,), force=True)).notes


@pytest.mark.parametrize(
    "name", ["/custom/index.json", "/custom/index.json.minisig", "/custom", "/custom/../engine/x"]
)
def test_what_this_program_keeps_is_refused(path: Path, name: str) -> None:
    with pytest.raises(RefusedError):
        plan(path, Wish(changes=(Put(name, b"x"),)))


def test_wishes_that_make_no_sense(path: Path) -> None:
    with pytest.raises(UsageError, match="has an entry"):
        plan(path, Wish(default="nobody"))
    with pytest.raises(RefusedError, match="blank"):
        plan(path, Wish(("a=b c",)))
    with pytest.raises(RefusedError, match="1024"):
        plan(path, Wish(tuple(f"argument{n}" for n in range(200))))
    with pytest.raises(UsageError):
        plan(path, Wish(timeout_seconds=-2))
    with pytest.raises(UsageError, match="action"):
        plan(path, Wish(answers="schema = 1\n"))
    with pytest.raises(SourceError):
        plan(path, Wish(changes=(Remove("/custom/nothing"),)))
    with pytest.raises(SourceError):
        plan(path, Wish(branding=path))


def test_what_is_not_listed_is_named(path: Path) -> None:
    with iso.open_image(path) as image:
        written = edit.make_plan(image, [Put("/custom/secretly", b"x")], now=0)
    with edit.FileMedium(path) as target:
        edit.apply_in_place(target, written)
    assert "/custom/secretly" in " ".join(verify(path).notes)
    apply(path, Wish(("quiet",)))
    assert sorted(index(path)) == ["/custom/bootenv", "/custom/secretly"]


def test_added_arguments_are_taken_out_again_and_those_of_the_signed_menu_stay(path: Path) -> None:
    apply(path, Wish(kernel_arguments=("console=ttyS0", "console=tty0", "quiet")))
    made = apply(path, Wish(removed_arguments=("console=", "debug")))
    assert grubenv.parse(read(path, "/custom/bootenv"))["args"] == "quiet"
    assert len(made.notes) == 1 and made.notes[0].startswith("debug is not among")
    assert plan(path, Wish(removed_arguments=("console=",))).changes == ()


@pytest.mark.parametrize("option", ["entries", "removed_entries"])
def test_the_entries_of_the_signed_menu_stay(path: Path, option: str) -> None:
    wanted = {"entries": (menuentries.parse("X=y"),), "removed_entries": ("Rescue",)}[option]
    request = rewriting.Request(**{option: wanted})  # type: ignore[arg-type]
    with iso.open_image(path) as image, pytest.raises(RefusedError, match="signed") as caught:
        rewriting.gather(image, request, now=0)
    assert "--kernel-arg" in caught.value.hint and "--menu-default" in caught.value.hint
