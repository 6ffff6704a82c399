"""Lists of sums and implanted MD5s: what md5sum, sha256sum and checkisomd5 say, with the place of the damage."""

from __future__ import annotations

import hashlib
import random
from contextlib import closing
from pathlib import Path

import pytest

from mediakit import run
from mediakit.cli.main import main
from mediakit.engine import sums
from mediakit.engine.implanted import implanted_md5
from mediakit.engine.sources import open_source
from mediakit.engine.verify import Verification, verify
from mediakit.units import MIB
from tests.engine import isos


def damage(found: Verification) -> list[tuple[str, str]]:
    return [(one.path, one.cause) for one in found.damaged]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data image of 6 MiB without any sums: ten files that do not compress or repeat."""
    tree = tmp_path_factory.mktemp("plain") / "tree"
    (tree / "live").mkdir(parents=True)
    for number in range(10):
        (tree / f"live/part-{number}").write_bytes(random.Random(number).randbytes(600_000))
    return isos.make(tree, tree.parent / "plain.iso")


def copy_of(path: Path, folder: Path) -> Path:
    copy = folder / "copy.iso"
    copy.write_bytes(path.read_bytes())
    return copy


NAMES = [
    "plain",
    "with space",
    " leading",
    "*star",
    "back\\slash",
    "new\nline",
    "carriage\rreturn",
    "deep/er",
    "ü",
]


@pytest.mark.parametrize(
    ("tool", "words", "name"),
    [
        ("md5sum", [], "md5sum.txt"),
        ("sha1sum", ["--binary"], "SHA1SUMS"),
        ("sha256sum", [], "SHA256SUMS"),
        ("sha512sum", ["--tag"], "SHA512SUMS"),
        ("sha384sum", ["--binary"], "sha384sum.txt"),
        ("b2sum", ["--tag"], "B2SUMS"),
        ("b2sum", [], "b2sum.txt"),
    ],
)
def test_every_form_of_list_is_read_as_its_tool_reads_it(
    tmp_path: Path, tool: str, words: list[str], name: str
) -> None:
    (tmp_path / "deep").mkdir()
    for number, file in enumerate(NAMES):
        (tmp_path / file).write_bytes(b"content" * number)
    text = run.run([tool, *words, *NAMES], cwd=tmp_path, timeout=30).stdout
    (tmp_path / name).write_bytes(text)
    run.run([tool, "--check", name], cwd=tmp_path, timeout=30)
    assert {line.path for line in sums.parse_list(text.decode(), "/" + name)} == {"/" + n for n in NAMES}
    found = verify(tmp_path)
    assert (found.result, found.damaged) == ("ok", ())
    for file in NAMES:
        before = (tmp_path / file).read_bytes()
        (tmp_path / file).write_bytes(before + b"!")
        assert [one.path for one in verify(tmp_path).damaged] == ["/" + file]
        (tmp_path / file).write_bytes(before)


def test_other_makers_forms_are_read_too() -> None:
    sha, md5 = "a" * 64, "B" * 32
    text = f"# comment\r\n-----BEGIN PGP SIGNED MESSAGE-----\nSHA256(one.iso)= {sha}\r\n{md5} two\n{md5}\ttab\nx{sha}  no\n"
    assert [(line.path, line.digest, line.algorithm) for line in sums.parse_list(text, "/CHECKSUM")] == [
        ("/one.iso", sha, "sha256"),
        ("/two", md5.lower(), "md5"),
        ("/tab", md5.lower(), "md5"),
    ]


def test_the_strongest_sum_of_each_file_counts_and_what_no_list_names_is_said(tmp_path: Path) -> None:
    for name in ("both", "weak", "none"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "md5sum.txt").write_text(
        f"{hashlib.md5(b'wrong').hexdigest()}  ./both\n{hashlib.md5(b'weak').hexdigest()}  ./weak\n"
    )
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(b'both').hexdigest()} *both\n")
    found = verify(tmp_path)
    assert (found.result, found.checked_by) == ("ok", "sums")
    assert "No list names 1 of its files: they were not checked." in found.notes


def test_a_list_in_a_folder_counts_from_there(plain: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "arch").mkdir(parents=True)
    (tree / "arch/root.sfs").write_bytes(b"root")
    (tree / "other").write_bytes(b"other")
    lines = [("root.sfs", b"root"), ("other", b"other")]
    (tree / "arch/root.sha512").write_text(
        "".join(f"{hashlib.sha512(data).hexdigest()}  {name}\n" for name, data in lines)
    )
    image = isos.make(tree, tmp_path / "arch.iso")
    assert (verify(image).result, verify(image).checked_by) == ("ok", "sums")
    isos.flip(image, isos.place(image, "/other"))
    assert damage(verify(image)) == [("/other", "its content differs")]
    assert verify(plain).result == "unchecked"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("SHA256SUMS", "{sha256} *copy.iso\n{zeros}  other.iso\n"),
        ("copy.iso.sha256", "{sha256}\n"),
        ("copy.iso.sha256", "{sha256}  /home/somebody/copy.iso\n"),
        ("copy.iso.md5", "{md5}  copy.iso\n"),
        ("Distro-39-CHECKSUM", "# copy.iso: 1 bytes\nSHA256 (copy.iso) = {sha256}\n"),
    ],
)
def test_a_list_beside_the_image_judges_the_whole_of_it(
    plain: Path, tmp_path: Path, name: str, form: str
) -> None:
    image = copy_of(plain, tmp_path)
    values = {kind: hashlib.new(kind, image.read_bytes()).hexdigest() for kind in ("md5", "sha256")}
    (tmp_path / name).write_text(form.format(**values, zeros="0" * 64))
    found = verify(image)
    assert (found.result, found.checked_by, found.notes) == ("ok", "sums", (f"Checked against {name}.",))
    isos.flip(image, image.stat().st_size - 1)
    assert [(d.path, d.offset_bytes, d.size_bytes) for d in verify(image).damaged] == [
        ("image", 0, image.stat().st_size)
    ]


def test_a_list_beside_that_names_other_images_is_not_used(plain: Path, tmp_path: Path) -> None:
    image = copy_of(plain, tmp_path)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  amd64/copy.iso\n{'0' * 64}  xcopy.iso\n")
    assert verify(image).result == "unchecked"


def test_fragment_sums_say_where_the_damage_is_and_which_files_lie_there(plain: Path, tmp_path: Path) -> None:
    image = copy_of(plain, tmp_path)
    run.run(["implantisomd5", image], timeout=60)
    with closing(open_source(image)) as source:
        item = implanted_md5(source)
    assert item and len(item.checkpoints) == 20
    size = item.pieces[-1].offset_bytes + item.pieces[-1].size_bytes
    assert run.run(["checkisomd5", image], timeout=60, check=False).status == 0
    found = verify(image)
    assert (found.result, found.checked_by, found.damaged) == ("ok", "md5", ())
    for place in (0, 40_000, isos.place(image, "/live/part-4") + 17, size - 1):
        isos.flip(image, place)
        assert run.run(["checkisomd5", image], timeout=60, check=False).status != 0
        found = verify(image)
        (one,) = found.damaged
        assert one.offset_bytes <= place < one.offset_bytes + one.size_bytes
        assert one.size_bytes <= size // 21 + 2 * 32768
        isos.flip(image, place)
    isos.flip(image, isos.place(image, "/live/part-4") + 300_000)
    assert any("/live/part-4" in note for note in verify(image).notes)


def test_a_sum_of_the_whole_decides_over_a_stale_list_and_the_list_names_the_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("good", "patched"):
        (tree / name).write_bytes(name.encode() * 200_000)
    lines = [("good", b"good" * 200_000), ("patched", b"before")]
    (tree / "md5sum.txt").write_text("".join(f"{hashlib.md5(d).hexdigest()}  ./{n}\n" for n, d in lines))
    image = isos.make(tree, tmp_path / "copy.iso")
    assert damage(verify(image))[0][0] == "/patched"
    run.run(["implantisomd5", image], timeout=60)
    found = verify(image)
    assert (found.result, found.checked_by) == ("ok", "md5")
    assert any("/patched" in note for note in found.notes)
    isos.flip(image, isos.place(image, "/good") + 100)
    found = verify(image)
    assert {one.path for one in found.damaged} == {"image", "/good", "/patched"}
    assert found.exit_status == 1


def test_threads_change_nothing(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = copy_of(plain, tmp_path)
    lines = [f"{hashlib.sha256(b'x').hexdigest()}  nowhere\n"]
    with closing(open_source(image)) as source:
        for path in source.walk():
            data = b"".join(source.stream(path, 0, source.size(path)))
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {path[1:]}\n")
    run.run(["implantisomd5", image], timeout=60)
    (tmp_path / "copy.iso.sha512").write_text(hashlib.sha512(image.read_bytes()).hexdigest())
    results = [verify(image, jobs=jobs) for jobs in (1, 2, 7)]
    assert results[0].result == "ok" and results[0] == results[1] == results[2]
    isos.flip(image, 3 * MIB)
    results = [verify(image, jobs=jobs) for jobs in (1, 2, 7)]
    assert results[0].result == "damaged" and results[0] == results[1] == results[2]
    assert main(["verify", str(image), "--jobs", "2"]) == 1
    assert "image, bytes" in capsys.readouterr().out
    assert main(["verify", str(image), "--jobs", "-1"]) == 2


def test_compressed_files_are_checked_by_what_a_reader_gets(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    content = b"compressible " * 50_000
    (tree / "text").write_bytes(content)
    (tree / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  text\n")
    image = tmp_path / "zisofs.iso"
    words = ["-outdev", image, "-set_filter_r", "--zisofs", "/text", "--", "-commit"]
    run.run(
        ["xorriso", "-no_rc", "-zisofs", "by_magic=off", *words[:2], "-map", tree, "/", *words[2:]],
        timeout=60,
    )
    found = verify(image)
    with closing(open_source(image)) as source:
        assert source.size("/text") == len(content) > sum(size for _, size in source.spans("/text"))
    assert (found.result, found.damaged) == ("ok", ())
    place = isos.place(image, "/text")
    isos.flip(image, place + 100)
    assert [(one.path, one.offset_bytes) for one in verify(image).damaged] == [("/text", place)]


def test_lists_together_have_a_size() -> None:
    """Thousands of names may lead to the same bytes of an image."""
    read: list[str] = []

    class Many:
        is_image = True
        path = Path("many.iso")

        def exists(self, path: str) -> bool:
            return path.startswith("/lists/")

        def size(self, path: str) -> int:
            return 10 * MIB

        def walk(self) -> list[str]:
            return [f"/lists/{number}.md5" for number in range(50_000)]

        def stream(self, path: str, start: int, size: int) -> list[bytes]:
            read.append(path)
            return [f"{'ab' * 16}  name\n".encode()]

    assert [line.path for line in sums.listed(Many())] == ["/lists/name"]  # type: ignore[arg-type]
    assert len(read) == sums.MAX_ALL_BYTES // (10 * MIB)
