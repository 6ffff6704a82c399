"""What the fuzzer does with an image: everything that reads one, and everything that changes one, in memory."""

from __future__ import annotations

import itertools
import json
import tempfile
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path

from mediakit.engine import custom, rewriting, sums, verify
from mediakit.engine.image import EngineImage
from mediakit.engine.keys import built_in
from mediakit.engine.sources import IsoSource
from mediakit.errors import MediakitError
from mediakit.formats import apm, ext4, gpt, grub_core, grubenv, pkcs7, squashfs
from mediakit.formats.reader import bytes_reader
from mediakit.iso import edit, extract_plan, extraction, fix
from mediakit.iso.compacting import anew, likeness, rebase
from mediakit.iso.image import Image
from mediakit.iso.menuedit import menuentries
from mediakit.iso.menuedit import menus as menu_edits
from mediakit.iso.nodes import FileTree
from mediakit.iso.udf_tree import UdfTree
from mediakit.progress import Cancel, ignore
from mediakit.stick import data as stick_data
from mediakit.stick import medium as stick_medium
from mediakit.stick import tables
from mediakit.stick.receipt import masked_digest
from mediakit.stick.source import DIGEST_BYTES
from tests.iso.fuzz_mutant import Mutant

LIMIT_NAMES = 3000
EXTRACTED_BYTES = 2 << 20
PATH = Path("/fuzz.iso")
NOW = 1_700_000_000


def examine(mutant: Mutant) -> None:
    """Each part on its own, so that an error in one does not spare the others."""
    try:
        image = opened(mutant)
    except MediakitError:
        return
    attempt(lambda: json.dumps(image.facts().to_json(files=itertools.islice(image.files(), LIMIT_NAMES))))
    attempt(lambda: json.dumps(image.facts().to_audit_json()))
    attempt(lambda: image.sessions)
    trees: list[FileTree] = list(image.trees)
    attempt(lambda: trees.append(UdfTree(image.reader, mutant.size_bytes)))
    for tree in trees:
        attempt(lambda tree=tree: _walk(image, tree))  # type: ignore[misc]
    # they look at everything again, before and after: an input has one or two of them, or none
    dice = zlib.crc32(repr(mutant.patches).encode())
    chosen = [*OF_KIND.get(mutant.kind, ())[dice // 64 % 3 :][:1], *MORE[dice % (3 * len(MORE)) :][:1]]
    for more in chosen:
        attempt(lambda more=more: more(mutant))  # type: ignore[misc]


def opened(mutant: Mutant) -> Image:
    return Image(PATH, mutant.reader(), mutant.size_bytes)


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except MediakitError as error:
        str(error)


def _walk(image: Image, tree: FileTree) -> None:
    image.tree = tree
    files = [
        (path, node) for path, node in itertools.islice(tree.walk(), LIMIT_NAMES) if node.kind != "directory"
    ]
    for path, node in files[::7]:
        attempt(lambda path=path: image.read(path, 70_000))  # type: ignore[misc]
        attempt(lambda path=path, node=node: next(image.stream(path, node.size_bytes // 2, 5000), b""))  # type: ignore[misc]
        attempt(lambda path=path: image.extents(path.upper()))  # type: ignore[misc]


class Sheet:
    """The mutant as something to write to: a medium of edits, a target of repairs."""

    def __init__(self, mutant: Mutant) -> None:
        self._now = Mutant(mutant.kind, mutant.data, mutant.size_bytes, list(mutant.patches))
        self._before = mutant
        self._written: list[tuple[int, int]] = []

    @property
    def size_bytes(self) -> int:
        return self._now.size_bytes

    @property
    def reader(self) -> Callable[[int, int], bytes]:
        return self._now.reader()

    def read(self, offset: int, size: int) -> bytes:
        return self._now.reader()(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        assert offset >= 0
        self._now.put(offset, bytes(data))
        self._now.size_bytes = max(self._now.size_bytes, offset + len(data))
        self._written.append((offset, len(data)))

    def flush(self) -> None:
        pass

    def resize(self, size_bytes: int) -> None:
        assert 0 <= size_bytes <= self._before.size_bytes + (64 << 20)
        self._now.size_bytes = size_bytes

    def check_as_before(self) -> None:
        assert self.size_bytes == self._before.size_bytes
        for offset, size in self._written:
            left = min(size, self.size_bytes - offset)
            if left > 0:
                assert self._now.get(offset, left) == self._before.get(offset, left), offset

    def image(self) -> Image:
        return opened(self._now)


def _edit(mutant: Mutant, *changes: edit.Change, force: bool = False) -> None:
    """Plan, apply, look at the result, take it back: not a byte may differ."""
    plan = edit.make_plan(opened(mutant), changes, now=NOW, force=force)
    sheet = Sheet(mutant)
    edit.apply_in_place(sheet, plan)
    assert edit.pending(sheet) is None
    attempt(lambda: sheet.image().facts())
    edit.undo(sheet)
    sheet.check_as_before()


def add(mutant: Mutant) -> None:
    changes = [edit.Put("/new/folder/file.txt", b"x" * 5000), edit.Put("/boot/vmlinuz", b"new")]
    _edit(mutant, *changes, edit.SetVolumeId("OTHER"))


def remove(mutant: Mutant) -> None:
    _edit(mutant, edit.Remove("/boot"), force=True)


def overwrite(mutant: Mutant) -> None:
    _edit(mutant, edit.Overwrite("/boot/File-09.module", b"o", "a room"), edit.Patch(440, b"diskid", "id"))


def change_menus(mutant: Mutant) -> None:
    wanted = rewriting.Request(
        files=(edit.Put("/boot/initrd", b"i"),), kernel_arguments=("console=ttyS0", "quiet"), timeout_seconds=5, label="NEW"
    )  # fmt: skip
    _edit(mutant, *rewriting.gather(opened(mutant), wanted, now=NOW).changes, force=True)


def change_entries(mutant: Mutant) -> None:
    new = menuentries.parse("Fuzzed=x=1 y")
    wanted = rewriting.Request(entries=(new,), removed_arguments=("quiet",), default=new.title)
    _edit(mutant, *rewriting.gather(opened(mutant), wanted, now=NOW).changes, force=True)
    image = opened(mutant)
    for choice in menu_edits.choices(image)[-1:]:
        menu_edits.plan(image, menu_edits.MenuEdit(removed_entries=(choice.name,)), now=NOW)


def choose_entry(mutant: Mutant) -> None:
    image = opened(mutant)
    for choice in menu_edits.choices(image)[-1:]:
        menu_edits.plan(image, menu_edits.MenuEdit(default=choice.name), now=NOW)
        menu_edits.resolve(image, choice.name)


def make_bootable(mutant: Mutant) -> None:
    found = rewriting.gather(opened(mutant), rewriting.Request(usb_bootable=True), now=NOW)
    if found.changes:
        _edit(mutant, *found.changes)


def plan_compact(mutant: Mutant) -> None:
    image = opened(mutant)
    attempt(lambda: anew._compliance(image))
    attempt(lambda: list(anew.losses(image)))
    plan = rebase.plan_rebase(image)
    if plan is not None:
        next(likeness.differences(image, edit.planned_image(image, plan), ignore, Cancel(), ()), None)


def repair(mutant: Mutant) -> None:
    plan = fix.make_plan(opened(mutant))
    if plan:
        sheet = Sheet(mutant)
        fix.apply(plan, sheet)
        assert fix.is_better(opened(mutant).facts(), sheet.image().facts())


def take_back(mutant: Mutant) -> None:
    """Complete and undo whatever records say, wherever they came from."""
    attempt(lambda: edit.history(opened(mutant)))
    sheet = Sheet(mutant)
    attempt(lambda: edit.pending(sheet))
    attempt(lambda: edit.complete(sheet))
    for _ in range(3):
        attempt(lambda: edit.undo(sheet))
    assert sheet.size_bytes <= mutant.size_bytes
    attempt(lambda: sheet.image().facts())


class _Source(IsoSource):
    """The mutant where an image's file would be opened."""

    def __init__(self, mutant: Mutant) -> None:
        self.path = PATH
        self._image = opened(mutant)
        self.size_bytes = mutant.size_bytes
        self._last = None


def check_sums(mutant: Mutant) -> None:
    if mutant.size_bytes > len(mutant.data) + (1 << 20):
        return  # it may read all of it, which is no hang
    attempt(lambda: sums.listed(_Source(mutant)))
    verify._Pass(_Source(mutant), ignore, Cancel(), 1).other()


def check_manifest(mutant: Mutant) -> None:
    if mutant.size_bytes > len(mutant.data) + (1 << 20):
        return
    engine = EngineImage(_Source(mutant))
    engine.check_signature()
    attempt(lambda: engine.manifest)
    attempt(lambda: custom.unlisted(engine, custom.load(engine, built_in())))
    verify._Pass(_Source(mutant), ignore, Cancel(), 1).engine(built_in())


def extract(mutant: Mutant) -> None:
    image = opened(mutant)
    plan = extract_plan.make_plan(image, ["/"])
    if plan.total_bytes <= EXTRACTED_BYTES:
        with tempfile.TemporaryDirectory(prefix="mediakit-fuzz-") as folder:
            extraction.extract(image, ["/"], Path(folder) / "out")
            assert [path.name for path in Path(folder).iterdir()] in ([], ["out"])


def read_stick(mutant: Mutant) -> None:
    """What is made of a stick's data partition and its receipt."""
    image, sheet = opened(mutant), Sheet(mutant)
    attempt(lambda: stick_medium.end_limit(image))
    state = gpt.read(sheet.reader, sheet.size_bytes, 512)
    first = sheet.read(0, 512)
    head = sheet.read(0, min(1 << 20, sheet.size_bytes))
    span = tables.place_data(sheet.size_bytes, 8 << 30)
    attempt(lambda: tables.merge(head, state.primary, 8 << 30, span, uuid.UUID(int=1)))
    located = tables.find_data(state, first)
    if located is None:
        return
    stick_data.is_usable(sheet, located.span)  # type: ignore[arg-type]
    receipt = stick_data.read_receipt(sheet, located.span)  # type: ignore[arg-type]
    for number, _ in enumerate(receipt.digests.blocks[:3] if receipt else ()):
        assert receipt is not None
        size = max(0, min(DIGEST_BYTES, receipt.size_bytes - number * DIGEST_BYTES))
        attempt(lambda: masked_digest(sheet.read(0, size), 0, receipt.holes))  # noqa: B023
    attempt(lambda: stick_data.add_files(sheet, located.span, {"/reports/x.json": b"{}"}))  # type: ignore[arg-type]


def parse_pieces(mutant: Mutant) -> None:
    """What is read of other places, given bytes of this image."""
    for offset, _ in mutant.patches[:2]:
        raw = mutant.get(max(0, offset - 1024 - 64), 4096)
        for parse in (squashfs.parse, ext4.parse, pkcs7.find_signer, grub_core.read_bios, grubenv.parse):
            for start in (0, 64, 1088):
                attempt(lambda parse=parse, start=start: parse(raw[start:]))  # type: ignore[misc,operator]  # noqa: B023
        attempt(lambda: apm.read(bytes_reader(raw), len(raw)))  # noqa: B023
        sums.parse_list(raw.decode("utf-8", "surrogateescape"), "/a/b")


MORE: tuple[Callable[[Mutant], None], ...] = (
    add, remove, overwrite, change_menus, choose_entry, make_bootable, plan_compact, repair, take_back, check_sums, extract,
    read_stick, parse_pieces,
)  # fmt: skip
OF_KIND: dict[str, tuple[Callable[[Mutant], None], ...]] = {
    "edited": (take_back, plan_compact),
    "edit_cut": (take_back, take_back),
    "summed": (check_sums, check_sums),
    "engine": (check_manifest, check_manifest),
    "stick": (read_stick, read_stick),
    "menus": (change_menus, change_entries, choose_entry),
    "systemd_boot": (change_menus, change_entries, choose_entry),
}
"""One of these, or none, for every input of such a kind."""
