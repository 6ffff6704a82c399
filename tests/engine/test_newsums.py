"""An edit keeps the lists of sums true that the image carries; md5sum and sha256sum themselves judge."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.engine.rewriting import Request, gather
from mediakit.engine.verify import verify
from mediakit.iso.edit import make_plan, write_new
from mediakit.iso.edit.changes import Change, Patch, Put, Remove
from tests.engine import isos
from tests.isos import make

FILES = {"boot/vmlinuz": b"kernel", "a name": b"a" * 5000, "sub/x": b"x", "sub/y": b"y"}


def build(tmp_path: Path, lists: dict[str, str]) -> Path:
    tree = tmp_path / "tree"
    for name, data in {**FILES, **{k: v.encode() for k, v in lists.items()}}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(data)
    return isos.make(tree, tmp_path / "x.iso")


def listing(algorithm: str, mark: str = "  ./") -> str:
    return "".join(
        f"{hashlib.new(algorithm, data).hexdigest()}{mark}{name}\n" for name, data in FILES.items()
    )


def edited(tmp_path: Path, path: Path, *changes: Change) -> tuple[Path, tuple[str, ...]]:
    with iso.open_image(path) as image:
        found = gather(image, Request(files=tuple(c for c in changes if isinstance(c, Put | Remove))), now=1)
        write_new(image, make_plan(image, found.changes, now=1), tmp_path / "new.iso")
    return tmp_path / "new.iso", found.notes


@pytest.mark.parametrize(
    ("name", "algorithm", "mark", "tool"),
    [
        ("md5sum.txt", "md5", "  ./", "md5sum"),
        ("SHA256SUMS", "sha256", " *", "sha256sum"),
        ("sub/sums.sha512", "sha512", "  /", "sha512sum"),
    ],
)
def test_the_sums_of_changed_files_are_made_anew(
    tmp_path: Path, name: str, algorithm: str, mark: str, tool: str
) -> None:
    path = build(tmp_path, {name: listing(algorithm, mark)})
    assert verify(path).result == "ok"
    (tmp_path / "source").write_bytes(b"b" * 3_000_000)
    changes = (Put("/a name", tmp_path / "source"), Put("/boot/vmlinuz", b"k2"), Remove("/sub/x"))
    new, notes = edited(tmp_path, path, *changes)
    assert f"/{name} lists 3 changed files anew." in notes
    assert verify(new).result == "ok" and verify(new).checked_by == "sums"
    with iso.open_image(new) as image:
        text = image.read(f"/{name}").decode()
    assert "sub/x" not in text and len(text.splitlines()) == 3
    root = tmp_path / "out"
    run.run(["xorriso", "-osirrox", "on", "-indev", new, "-extract", "/", root], timeout=60)
    (root / "list").write_text(text.replace("  /", "  "))
    assert run.run([tool, "-c", "list"], timeout=60, cwd=root).status == 0


def test_what_no_list_names_leaves_the_lists_alone(tmp_path: Path) -> None:
    path = build(tmp_path, {"md5sum.txt": listing("md5")})
    with iso.open_image(path) as image:
        found = gather(image, Request(files=(Put("/new", b"n"),)), now=1)
    assert found.changes == (Put("/new", b"n"),) and not found.notes


@pytest.mark.parametrize("how", ["beside", "inside"])
def test_a_list_that_its_maker_signed_is_left_alone_and_said(tmp_path: Path, how: str) -> None:
    text = listing("sha256")
    lists = {"SHA256SUMS": text, "SHA256SUMS.gpg": "x"}
    if how == "inside":
        lists = {"SHA256SUMS": f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}"}
    _, notes = edited(tmp_path, build(tmp_path, lists), Put("/boot/vmlinuz", b"k2"))
    assert [note for note in notes if "its maker signed it" in note]


def test_bytes_changed_in_place_inside_a_listed_boot_image_count(tmp_path: Path) -> None:
    """As for a menu inside an EFI image."""
    from mediakit.engine import newsums

    path = make.make("isohybrid_gpt", tmp_path)
    root = make.tree(tmp_path)
    efi = (root / "boot/grub/efi.img").read_bytes()
    (root / "md5sum.txt").write_text(f"{hashlib.md5(efi).hexdigest()}  ./boot/grub/efi.img\n")
    make.isohybrid_gpt(root, path)
    with iso.open_image(path) as image:
        start = image.extents("/boot/grub/efi.img")[0].offset_bytes
        puts, _ = newsums.plan(image, [Patch(start + 4990, b"ZZZ", "menu"), Patch(0, b"x", "MBR")])
    wanted = hashlib.md5(efi[:4990] + b"ZZZ" + efi[4993:]).hexdigest()
    assert isinstance(puts[0].source, bytes) and f"{wanted}  ./boot/grub/efi.img".encode() in puts[0].source


def test_a_boot_image_that_was_damaged_is_not_made_right_by_a_change_in_it(tmp_path: Path) -> None:
    from mediakit.engine import newsums

    path = make.make("isohybrid_gpt", tmp_path)
    root = make.tree(tmp_path)
    line = f"{hashlib.md5(b'whole').hexdigest()}  ./boot/grub/efi.img\n"
    (root / "md5sum.txt").write_text(line)
    make.isohybrid_gpt(root, path)
    with iso.open_image(path) as image:
        start = image.extents("/boot/grub/efi.img")[0].offset_bytes
        puts, notes = newsums.plan(image, [Patch(start + 4990, b"ZZZ", "menu")])
    assert not puts and "/boot/grub/efi.img is not what /md5sum.txt says" in notes[0]


def test_lists_in_other_folders_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding one file must not cost a walk through all of them."""
    path = build(tmp_path, {"sub/sums.sha512": listing("sha512", "  /")})
    with iso.open_image(path) as image:
        monkeypatch.setattr(type(image.tree), "walk", lambda *_: pytest.fail("the tree was walked"))
        found = gather(image, Request(files=(Put("/boot/vmlinuz", b"k2"),)), now=1)
    assert len(found.changes) == 1
