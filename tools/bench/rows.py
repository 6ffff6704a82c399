"""The rows: what is measured against which peer, and the target. Each can run alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import (
    MIB,
    Bench,
    Result,
    UnavailableError,
    document,
    mediakit,
    need_tool,
    need_verb,
    payload,
    ratio,
    seconds,
    timed,
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    work: str
    peer: str
    target: str
    measure: Callable[[Bench], Result]


def start(bench: Bench) -> Result:
    ours, peer = bench.best(lambda _: [mediakit("--help")], lambda _: [["python3", "-c", "pass"]])
    return Result(seconds(ours), seconds(peer), f"{ours / peer:.1f}x", ours <= 0.15)


def inspect(bench: Bench) -> Result:
    return _looking(bench, "inspect")


def audit(bench: Bench) -> Result:
    return _looking(bench, "audit")


def _looking(bench: Bench, verb: str) -> Result:
    """The time for a large image counts, and that a small one does not take much less."""
    need_verb(verb)
    need_tool("xorriso")
    place = bench.place(verb)
    (place / "large").mkdir()
    (place / "small").mkdir()
    large = bench.hybrid(place / "large", 4096, is_sparse=True)
    small = bench.hybrid(place / "small", 64, is_sparse=True)
    reports = ["-report_el_torito", "plain", "-report_system_area", "plain"]
    ours, peer = bench.best(
        lambda _: [mediakit(verb, large)], lambda _: [["xorriso", "-no_rc", "-indev", large, *reports]]
    )
    least = min(timed(mediakit(verb, small)) for _ in range(bench.repeats))
    shutil.rmtree(place)
    note = f"{seconds(least)} for 64 MiB"
    return Result(seconds(ours), seconds(peer), f"{ours / peer:.1f}x", ours <= 0.25, note)


def add(bench: Bench) -> Result:
    """Both until it is on the disk: mediakit flushes what it writes, so the peer's file is synced too."""
    need_verb("rewrite")
    need_tool("xorriso")
    need_tool("implantisomd5")
    place, image = bench.place("add"), bench.image
    copy, out, small = place / "copy.iso", place / "out.iso", place / "small"
    shutil.copyfile(image, copy)
    small.write_bytes(bytes(range(256)) * 40)
    replay = ["xorriso", "-no_rc", "-indev", image, "-outdev", out, "-boot_image", "any", "replay"]

    def in_place(number: int) -> list[list[object]]:
        return [mediakit("rewrite", copy, "--in-place", "--yes", "--add", f"{small}=/added-{number}")]

    ours, peer = bench.best(
        in_place,
        lambda _: [[*replay, "-map", small, "/added"], ["sync", out]],
        after=lambda: out.unlink(missing_ok=True),
    )
    words = ["rewrite", copy, "--in-place", "--yes", "--json", "--add", f"{small}=/counted"]
    written = int(document(mediakit(*words))["bytes_written"])
    timed([*replay, "-map", small, "/added"])
    implant = min(timed(["implantisomd5", "--force", out]) for _ in range(bench.repeats))
    shutil.rmtree(place)
    reached = peer >= 20 * ours and written <= 2 * MIB
    note = f"{written:,} bytes written; 1/{(peer + implant) / ours:.0f} of mkksiso's way, with implantisomd5"
    return Result(seconds(ours), seconds(peer), f"1/{peer / ours:.0f}", reached, note)


def copy(bench: Bench) -> Result:
    need_verb("rewrite")
    place, image = bench.place("copy"), bench.image
    out, small = place / "out.iso", place / "small"
    small.write_bytes(bytes(range(256)) * 40)
    ours, peer = bench.best(
        lambda _: [mediakit("rewrite", image, "-o", out, "--add", f"{small}=/added")],
        lambda _: [["cp", image, out], ["sync", out]],
        after=lambda: out.unlink(missing_ok=True),
    )
    shutil.rmtree(place)
    return ratio(ours, peer, 1.1)


def verify(bench: Bench) -> Result:
    image = bench.image
    beside = image.with_name(image.name + ".sha256")
    with image.open("rb") as file:
        beside.write_text(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {image.name}\n")
    ours, peer = bench.best(lambda _: [mediakit("verify", image)], lambda _: [["sha256sum", image]])
    beside.unlink()
    return ratio(ours, peer, 1.1)


def extract(bench: Bench) -> Result:
    return _extracting(bench, bench.image, "extract")


def extract_small(bench: Bench) -> Result:
    place = bench.place("small-files")
    tree = place / "tree"
    noise = place / "noise"
    payload(noise, MIB, seed=1)
    data = noise.read_bytes()
    for number in range(200 if bench.is_tiny else 20_000):
        folder = tree / f"{number // 200:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number:05}").write_bytes(data[number : number + number % 7 * 1300])
    image = place / "small.iso"
    timed(["xorriso", "-no_rc", "-as", "mkisofs", "-quiet", "-r", "-J", "-o", image, tree])
    shutil.rmtree(tree)
    result = _extracting(bench, image, "extract-small")
    shutil.rmtree(place)
    return result


def _extracting(bench: Bench, image: Path, name: str) -> Result:
    need_tool("xorriso")
    place = bench.place(name)
    out = place / "out"
    ours, peer = bench.best(
        lambda _: [mediakit("extract", image, "/", "-o", out)],
        lambda _: [["xorriso", "-no_rc", "-osirrox", "on", "-indev", image, "-extract", "/", out]],
        after=lambda: _remove(out),
    )
    shutil.rmtree(place)
    return ratio(ours, peer, 1.2)


def write(bench: Bench) -> Result:
    place, image = bench.place("write"), bench.image
    stick, target = place / "stick", place / "dd"
    size = image.stat().st_size
    room = str(size + 64 * MIB)
    options = ["--yes", "--no-delta", "--no-data", "--no-probe", "--size", room, "--progress", "none"]

    def dd(_: int) -> list[list[object]]:
        target.unlink(missing_ok=True)
        with target.open("wb") as file:
            file.truncate(int(room))
        copying = ["dd", f"if={image}", f"of={target}", "bs=1M", "oflag=direct", "conv=fsync,notrunc"]
        return [copying, ["cmp", "-n", str(size), image, target]]

    def ours_again(_: int) -> list[list[object]]:
        stick.unlink(missing_ok=True)
        return [mediakit("write", image, stick, *options)]

    ours, peer = bench.best(ours_again, dd)
    shutil.rmtree(place)
    return ratio(ours, peer, 1.05)


def reflash(bench: Bench) -> Result:
    """Bytes, not seconds: 60 % of the 1 MiB blocks of two images are equal at equal places."""
    place = bench.place("reflash")
    first, second = place / "first.iso", place / "second.iso"
    stick = place / "stick"
    shutil.copyfile(bench.image, first)
    shutil.copyfile(bench.image, second)
    blocks = first.stat().st_size // MIB
    with second.open("r+b") as file:
        for block in range(2, blocks - 1):
            if block * 2 % 5 < 2:
                file.seek(block * MIB + 5000)
                file.write(b"differs" * (block % 50 + 1))
    differing = _differing_blocks(first, second)
    options = ["--yes", "--no-data", "--no-probe", "--json"]
    document(mediakit("write", first, stick, *options, "--size", str(first.stat().st_size + 64 * MIB)))
    report = document(mediakit("write", second, stick, *options))
    written = int(report["targets"][0]["bytes_written"])
    shutil.rmtree(place)
    limit = differing * MIB * 1.1 + 4 * MIB
    figures = f"{written / MIB:.1f} MiB", f"{differing} MiB differ"
    return Result(*figures, f"{written / max(differing * MIB, 1):.2f}x", written <= limit)


def _differing_blocks(first: Path, second: Path) -> int:
    count = 0
    with first.open("rb") as one, second.open("rb") as two:
        while block := one.read(MIB):
            count += block != two.read(MIB)
    return count


def _remove(folder: Path) -> None:
    """A folder that xorriso made may have read-only folders in it."""
    if folder.exists():
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(folder)


REPORTS = "xorriso -indev, both reports"
ROWS = (
    Row("help", "mediakit --help", "python3 -c pass", "0.15 s", start),
    Row("inspect", "inspect 4 GiB", REPORTS, "0.25 s", inspect),
    Row("audit", "audit 4 GiB", REPORTS, "0.25 s", audit),
    Row("add", "add 10 KB to 1 GiB, in place", "xorriso full rewrite, sync", "1/20, 2 MiB written", add),
    Row("copy", "the same into a new file", "cp, sync", "1.1x", copy),
    Row("verify", "verify 1 GiB", "sha256sum", "1.1x", verify),
    Row("extract", "extract 1 GiB", "xorriso -osirrox", "1.2x", extract),
    Row("extract-small", "extract 20,000 small files", "xorriso -osirrox", "1.2x", extract_small),
    Row("write", "write 1 GiB and read it back", "dd oflag=direct + cmp", "1.05x", write),
    Row("reflash", "write over a similar image", "differing blocks of 1 MiB", "1.1x + 4 MiB", reflash),
)

__all__ = ["ROWS", "Row", "UnavailableError"]
