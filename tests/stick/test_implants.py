"""Media that check themselves when they boot still pass after an edit, a repair, and on a stick; isomd5sum judges."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mediakit import run
from mediakit.cli.main import main
from mediakit.engine.rewriting import Request
from mediakit.engine.verify import verify
from mediakit.errors import CancelledError
from mediakit.iso import implanting
from mediakit.iso.edit.changes import Put
from mediakit.iso.edit.medium import FileMedium
from mediakit.iso.edit.undo import complete
from mediakit.progress import Cancel
from mediakit.stick import rewrite
from mediakit.stick.rewrite import Job
from tests.isos import make

ADD = Request(files=(Put("/new", b"new" * 1000),))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GRUB's hybrid image with its sum, as Fedora's are."""
    folder = tmp_path_factory.mktemp("implants")
    path = make.make("grub_gpt", folder)
    run.run(["implantisomd5", path], timeout=60)
    return path


def passes(path: Path) -> bool:
    return run.run(["checkisomd5", path], timeout=60, check=False).status == 0


def test_an_edit_in_place_keeps_it_right_and_undo_brings_the_old_one_back(
    image: Path, tmp_path: Path
) -> None:
    path = shutil.copy(image, tmp_path / "x.iso")
    first = rewrite.in_place(path, ADD)
    assert passes(path) and verify(path).checked_by == "md5"
    assert [note for note in first.notes if "is made anew" in note] and len(first.notes) == 1
    rewrite.in_place(path, Request(label="OTHER"))
    assert passes(path)
    rewrite.undo_in_place(path)
    assert passes(path)
    rewrite.undo_in_place(path)
    assert path.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("again", [ADD, Request(label="OTHER")], ids=["same edit", "another"])
def test_the_next_edit_makes_the_sum_that_a_cut_kept_from_it(
    image: Path, tmp_path: Path, again: Request
) -> None:
    path = shutil.copy(image, tmp_path / "x.iso")
    rewrite.in_place(path, ADD)
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(implanting.FIELD_OFFSET)
        file.write(b" " * implanting.FIELD_BYTES)
    assert not passes(path)
    outcome = rewrite.in_place(path, again)
    assert passes(path) and implanting.RENEWED in outcome.notes
    assert (path.read_bytes() == whole) is (again is ADD)


def test_a_new_file_gets_a_sum_of_its_own(image: Path, tmp_path: Path) -> None:
    rewrite.into(image, ADD, tmp_path / "new.iso")
    assert passes(tmp_path / "new.iso")


def test_damage_is_not_made_right_by_an_edit(image: Path, tmp_path: Path) -> None:
    data = bytearray(image.read_bytes())
    data[300_000] ^= 1
    (tmp_path / "x.iso").write_bytes(data)
    assert not passes(tmp_path / "x.iso")
    outcome = rewrite.in_place(tmp_path / "x.iso", ADD)
    assert any("it was damaged before" in note for note in outcome.notes)
    assert verify(tmp_path / "x.iso").result == "unchecked"


def test_undo_takes_back_an_edit_after_implantisomd5_was_run_and_after_a_cut(
    image: Path, tmp_path: Path
) -> None:
    path = shutil.copy(image, tmp_path / "x.iso")
    rewrite.in_place(path, ADD)
    run.run(["implantisomd5", "--force", path], timeout=60)

    class Cut(FileMedium):
        """The power goes at a write of the undo."""

        left = 0

        def write(self, offset: int, data: bytes) -> None:
            if not self.left:
                raise CancelledError
            self.left -= 1
            super().write(offset, data)

    from mediakit.iso.edit.undo import undo

    edited = path.read_bytes()
    for writes in range(1, 40):
        path.write_bytes(edited)
        with Cut(path) as medium:
            medium.left = writes
            try:
                undo(medium)
            except CancelledError:
                pass
            else:
                break
        with FileMedium(path) as whole:
            complete(whole)
        assert path.read_bytes() == image.read_bytes(), writes
    assert writes > 5 and path.read_bytes() == image.read_bytes()


def test_a_stop_while_the_sum_is_made_leaves_the_image_alone(image: Path, tmp_path: Path) -> None:
    path = shutil.copy(image, tmp_path / "x.iso")
    cancel = Cancel()
    cancel.set()
    with pytest.raises(CancelledError):
        rewrite.in_place(path, ADD, job=Job(cancel=cancel))
    assert path.read_bytes() == image.read_bytes()


@pytest.mark.parametrize("size", ["20M", "64M"])
def test_a_stick_gets_the_sum_of_what_is_on_it(
    image: Path, tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tables are not the image's: without ENGINE-DATA and with it."""
    stick = str(tmp_path / "stick.img")
    assert main(["write", str(image), stick, "--size", size, "--yes"]) == 0
    assert passes(tmp_path / "stick.img") and verify(tmp_path / "stick.img").result == "ok"
    assert main(["verify", stick]) == 0
    capsys.readouterr()
    assert main(["write", str(image), stick, "--yes", "--json"]) == 0
    assert '"result": "already"' in capsys.readouterr().out


def test_a_disc_made_to_boot_from_a_stick_passes_too(tmp_path: Path) -> None:
    path, stick = make.make("el_torito", tmp_path), tmp_path / "stick.img"
    run.run(["implantisomd5", path], timeout=60)
    before = path.read_bytes()
    assert main(["write", str(path), str(stick), "--size", "64M", "--yes", "--usb-bootable"]) == 0
    assert passes(stick) and verify(stick).result == "ok"
    assert path.read_bytes() == before


def test_a_damaged_image_stays_one_on_the_stick(image: Path, tmp_path: Path) -> None:
    data = bytearray(image.read_bytes())
    data[300_000] ^= 1
    (tmp_path / "x.iso").write_bytes(data)
    main(["write", str(tmp_path / "x.iso"), str(tmp_path / "stick.img"), "--size", "20M", "--yes"])
    assert not passes(tmp_path / "stick.img")


def test_a_repair_keeps_it_right(image: Path, tmp_path: Path) -> None:
    path = shutil.copy(image, tmp_path / "x.iso")
    assert main(["audit", str(path), "--fix"]) == 0
    assert path.read_bytes() != image.read_bytes() and passes(path)
