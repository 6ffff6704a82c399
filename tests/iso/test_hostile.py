"""Images made to keep their reader busy: each of these took minutes, gigabytes or the stack without a bound.

The limits are of CPU time, and far from what the work takes: see ``limits``.
"""

from __future__ import annotations

import itertools
import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mediakit.errors import FormatError, RefusedError
from mediakit.formats import fat, fat_read, iso9660_build, pe, udf_volume
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import Reader, bytes_reader
from mediakit.iso import edit
from mediakit.iso.bootmenus import bls_menu, grub_config, grub_menu, isolinux_menu
from mediakit.iso.bootmenus.grub_menu import Medium
from mediakit.iso.bootmenus.grub_script import MEDIUM
from mediakit.iso.bootmenus.menu import DiscFiles, FatFiles, Menu, Spot
from mediakit.iso.edit import record
from mediakit.iso.image import Image
from mediakit.iso.menuedit import menufiles
from mediakit.iso.nodes import Extent, FileTree, Node
from tests.iso.edit import crash
from tests.iso.limits import cpu_seconds
from tests.isos.programs import efi_program

Isos = Callable[[str], Path]


@dataclass
class Names:
    """A filesystem that is a dictionary and counts what it is asked."""

    files: dict[str, bytes]
    name: str = ""
    asked: int = 0
    keys: set[str] = field(default_factory=set)

    def find(self, path: str) -> Spot | None:
        self.asked += 1
        return Spot(len(self.files[path]), 1000) if path in self.files else None

    def has(self, path: str) -> bool:
        self.asked += 1
        return path in self.files

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise FormatError("no")
        return self.files[path]

    def key(self, path: str) -> str:
        return path


def grub(files: Names | bytes) -> Menu:
    names = Names({"/boot/grub/grub.cfg": files}) if isinstance(files, bytes) else files
    with cpu_seconds(15):
        return grub_menu.follow(Medium({MEDIUM: names}), MEDIUM, "/boot/grub/grub.cfg", "bios", "/boot/grub")


# --- GRUB ---------------------------------------------------------------------------------------------------


def test_a_menu_entry_with_a_million_words_is_read_in_one_go() -> None:
    with cpu_seconds(15):
        assert grub_config.entry_title(["--class", "a"] * 500_000) == ("", "")
        assert grub_config.entry_title(["--users"] * 1_000_000 + ["x"]) == ("x", "x")


@pytest.mark.parametrize(
    "line", [b"echo " + b"x " * 10_000, b"echo " + b"$none" * 10_000, b"echo \"$@\" $@ $*", b"search " + b"a " * 10_000],
    ids=["words", "empty variables", "arguments", "search"],
)  # fmt: skip
def test_a_long_line_cannot_be_run_for_ever(line: bytes) -> None:
    arguments = b" ".join([b"argument"] * 9000)
    script = (
        b"function f {\n" + line + b"\n}\n" + b"function g { f $@; f $@; f $@; f $@; f $@; f $@; f $@; }\n"
    )
    assert grub(script + (b"g " + arguments + b"\n") + b"g\n" * 3000).entries == ()


@pytest.mark.parametrize(("marks", "is_shown"), [(5000, False), (5001, True)])
def test_a_condition_may_be_negated_as_often_as_it_likes(marks: int, is_shown: bool) -> None:
    menu = grub(b"if [ " + b"! " * marks + b"-f /nothing ]; then\nmenuentry x { linux /k }\nfi\n")
    assert bool(menu.entries) is is_shown


def test_thousands_of_branches_are_not_thousands_of_copies() -> None:
    script = b"".join(b"function f%d { true; }\n" % n for n in range(2000))
    script += b"".join(b"set v%d=%d\n" % (n, n) for n in range(400))
    script += b"if keystatus --shift; then true\n" + b"elif keystatus; then set v1=x\n" * 1000 + b"fi\n"
    script += b"menuentry x { linux /k$v1 /k$v2; }\n"
    tracemalloc.start()
    try:
        menu = grub(script)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()
    assert [file.state for file in menu.entries[0].files] == ["unknown"]


def test_submenus_in_configurations_in_submenus_end_before_the_stack_does() -> None:
    inner = b"submenu a { " * 38 + b"menuentry x { configfile /%d.cfg }" + b" }" * 38
    names = {f"/{number}.cfg": inner % (number + 1) for number in range(70)}
    menu = grub(Names(names | {"/boot/grub/grub.cfg": inner % 0}))
    assert 1 <= len(menu.configs) < 64


def test_files_are_looked_for_so_many_times_only() -> None:
    names = Names(
        {
            "/boot/grub/grub.cfg": b"menuentry x { initrd "
            + b" ".join(b"/%d" % n for n in range(20_000))
            + b" }"
        }
    )
    assert len(grub(names).entries) == 1
    assert names.asked <= grub_menu.MAX_LOOKUPS + 1


def test_environment_blocks_are_short_and_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    names = Names({"/boot/grub/grub.cfg": b"load_env -f /e x\nload_env -f /long y\n" * 4000})
    names.files["/e"] = b"# GRUB Environment Block\nx=1\n".ljust(1024, b"#")
    names.files["/long"] = names.files["/e"].ljust(1 << 20, b"#")
    monkeypatch.setattr(Names, "read", lambda self, path: read.append(path) or self.files[path])
    grub(names)
    assert 100 < read.count("/e") < 1000 and "/long" not in read


def test_a_configuration_that_is_read_again_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    parse = grub_config.parse

    def counted(text: bytes, most: int, *, is_whole: bool) -> grub_config.Script:
        parsed.append(len(text))
        return parse(text, most, is_whole=is_whole)

    monkeypatch.setattr(grub_config, "parse", counted)
    menu = grub(Names({"/boot/grub/grub.cfg": b"source /a\n" * 60, "/a": b"true\n" * 5000}))
    assert len(parsed) == 2 and len(menu.configs) == 2


def test_of_an_absurdly_long_configuration_the_beginning_is_read() -> None:
    with cpu_seconds(15):
        script = grub_config.parse(b"a\n" * 500_000)
    assert script.token_count == grub_config.MAX_TOKENS
    assert "absurdly long" in script.problems[0][1]


# --- other menus --------------------------------------------------------------------------------------------


def test_an_isolinux_line_that_all_entries_share_is_short() -> None:
    config = (
        b"append initrd="
        + b"a," * 100_000
        + b"\n"
        + b"".join(b"label %d\nkernel k\n" % n for n in range(400))
    )
    names = Names({"/isolinux/isolinux.cfg": config})
    with cpu_seconds(15):
        menu = isolinux_menu.follow(names, "/isolinux/isolinux.cfg")
    assert len(menu.entries) == 400 and names.asked <= isolinux_menu.MAX_LOOKUPS + 1
    assert max(len(entry.files) for entry in menu.entries) == isolinux_menu.MAX_FILES
    assert menu.entries[-1].files[-1].state == "unknown"


def test_isolinux_configurations_together_have_a_length() -> None:
    names = Names(
        {f"/{number}.cfg": b"include /%d.cfg\n" % (number + 1) + b"#\n" * 60_000 for number in range(60)}
    )
    with cpu_seconds(15):
        menu = isolinux_menu.follow(names, "/0.cfg")
    assert len(menu.configs) == isolinux_menu.MAX_TEXT_BYTES // len(names.files["/1.cfg"])


def test_a_boot_loader_entry_has_so_many_lines_only() -> None:
    lines = b"title x\n" + b"linux /k\n" * 100_000
    image = fat.build(2 << 20, [fat.FatFile("loader/entries/a.conf", lines)]).to_bytes()
    with cpu_seconds(15):
        menu = bls_menu.follow(FatFiles(Fat(bytes_reader(image)), 0, "ESP:"))
    assert menu is not None and len(menu.entries[0].files) < bls_menu.MAX_LINES


def test_an_edit_asks_for_a_configuration_once(isos: Isos, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    texts = {
        "/boot/grub/grub.cfg": b"source /boot/gone.cfg\n" * 5000 + b"source /boot/grub/other.cfg\n" * 5000,
        "/boot/grub/other.cfg": b"#" * 100_000,
    }
    find, read = DiscFiles.find, DiscFiles.read

    def counted(files: DiscFiles, path: str) -> Spot | None:
        asked.append(path)
        return Spot(len(texts[path]), None) if path in texts else find(files, path)

    with crash.open_bytes(isos("grub_gpt").read_bytes()) as image:
        facts = image.facts()
        monkeypatch.setattr(type(image), "facts", lambda _: facts)
        monkeypatch.setattr(DiscFiles, "find", counted)
        monkeypatch.setattr(DiscFiles, "read", lambda files, path: texts.get(path) or read(files, path))
        found = menufiles.find(image)
        assert {file.path for file in found} >= {"/boot/grub/grub.cfg", "/boot/grub/other.cfg"}
        assert asked.count("/boot/gone.cfg") == 1 and len(asked) < 20
        texts["/boot/grub/grub.cfg"] = b"".join(b"source /boot/%d\n" % n for n in range(9000))
        with pytest.raises(RefusedError, match="name more than"):
            menufiles.find(image)


# --- trees --------------------------------------------------------------------------------------------------


class Made(FileTree):
    """A tree in memory; ``folders`` by the byte where they start."""

    kind, ignores_case = "made", False

    def __init__(self, folders: dict[int, list[Node]], size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.folders = folders
        self.root = directory("", 0, 2048)
        self.read = 0

    def _read_directory(self, node: Node) -> dict[str, Node]:
        self.read += node.stored_bytes
        return {child.name: child for child in self.folders[node.extents[0].offset_bytes]}


def directory(name: str, start: int, size: int) -> Node:
    return Node(name, "directory", size, (Extent(start, size),), ())


def test_a_path_through_links_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    target = "./x/../" * 120
    links = [Node(f"l{n}", "symlink", 0, (), (), f"{target}l{n + 1}" if n < 7 else "file") for n in range(8)]
    file = Node("file", "file", 1, (Extent(0, 1),), ())
    tree = Made({0: [directory("x", 2048, 2048), *links, file], 2048: []}, 1 << 20)
    looked: list[str] = []
    look = tree._lookup
    monkeypatch.setattr(tree, "_lookup", lambda folder, word: looked.append(word) or look(folder, word))
    assert tree.find("/l7") is file and tree.find("/x/../file") is file
    assert tree.find("/l0") is None and len(looked) < 600


def test_folders_that_overlap_are_found_out_by_whoever_looks_for_a_file() -> None:
    """Each of them is as long as the image; a path leads through all of them."""
    folders = {start: [directory("d", start + 2048, 1 << 20)] for start in range(0, 1 << 20, 2048)}
    tree = Made(folders, 1 << 20)
    with pytest.raises(FormatError, match="overlap"):
        tree.find("/d" * 200)
    assert tree.read <= 1 << 20
    with pytest.raises(FormatError, match="overlap"):
        list(tree.walk())


def test_a_path_table_numbers_so_many_folders_only() -> None:
    table = struct.pack("<BBIH2s", 1, 0, 20, 1, b"\0\0") + struct.pack("<BBIH2s", 1, 0, 21, 1, b"a\0") * 65534
    assert len(iso9660_build.parse_path_table(table)) == 65535
    with cpu_seconds(15), pytest.raises(FormatError):
        iso9660_build.parse_path_table(table * 12)


def test_pieces_of_a_udf_metadata_file_are_found_without_going_through_all() -> None:
    dice = random.Random(1)
    places = itertools.accumulate(dice.randrange(2048, 9000) for _ in range(300))
    pieces = tuple((place + 1_000_000, dice.randrange(1, 2048)) for place in places)
    spread = udf_volume._Spread(pieces)
    data = {place: bytes([place % 251]) * size for place, size in pieces}
    whole = b"".join(data.values())
    for _ in range(300):
        start, size = dice.randrange(len(whole)), dice.randrange(1, 5000)
        if start + size > len(whole):
            with pytest.raises(FormatError, match="outside of its metadata"):
                spread.slice(start, size)
            continue
        read = b"".join(
            next(d[at - p : at - p + n] for p, d in data.items() if p <= at < p + len(d))
            for at, n in spread.slice(start, size)
        )
        assert read == whole[start : start + size]
    many = udf_volume._Spread(tuple((2048 * number, 1) for number in range(300_000)))
    with cpu_seconds(15):
        for start in range(200_000, 300_000, 5):
            assert many.slice(start, 1) == [(2048 * start, 1)]


# --- FAT and programs ---------------------------------------------------------------------------------------


def counting(reader: Reader, read: list[int]) -> Reader:
    def count(offset: int, size: int) -> bytes:
        read.append(size)
        return reader(offset, size)

    return count


def test_a_fat_folder_is_read_once_however_often_a_name_is_looked_for() -> None:
    files = [fat.FatFile(f"folder/{number:04}", b"x") for number in range(500)]
    read: list[int] = []
    volume = Fat(counting(bytes_reader(fat.build(4 << 20, files).to_bytes()), read))
    assert all(volume.exists(file.path) for file in files) and not volume.exists("folder/none")
    assert sum(read) < 200_000


def test_what_an_edit_writes_into_a_fat_is_seen_afterwards() -> None:
    image = bytearray(fat.build(1 << 20, [fat.FatFile("a.txt", b"old")]).to_bytes())
    volume = Fat(lambda offset, size: bytes(image[offset : offset + size]))
    assert volume.read("a.txt") == b"old" and not volume.exists("b.txt")
    for path, data in (("a.txt", b"new and longer"), ("b.txt", b"b")):
        for offset, raw in volume.plan_add(path, data):
            image[offset : offset + len(raw)] = raw
        assert volume.read(path) == data
    for offset, raw in volume.plan_overwrite("a.txt", b"short"):
        image[offset : offset + len(raw)] = raw
    assert volume.read("a.txt") == b"short"


def test_fat_folders_that_share_their_clusters_are_found_out() -> None:
    """A chain of 1000 clusters, and a folder that starts at each of them."""
    built = fat.build(1 << 20, [fat.FatFile("big", b"", 1000 * 512)], cluster_sectors=1)
    image = bytearray(built.to_bytes())
    volume = Fat(bytes_reader(image)).volume
    first = next(iter(Fat(bytes_reader(image)).names(0))).first_cluster
    for number in range(volume.root_entries):
        start = first + number % 1000
        entry = b"D%07d   \x10" % number + bytes(14) + struct.pack("<HI", start, 0)
        at = volume.root_offset + number * 32
        image[at : at + 32] = entry
    for cluster in range(1000):
        at = volume.cluster_offset(first + cluster)
        image[at : at + 512] = (b"F%07d   \x20" % cluster + bytes(20)) * 16
    read: list[int] = []
    hostile = Fat(counting(bytes_reader(image), read))
    with pytest.raises(FormatError, match="overlap"):
        list(hostile.walk())
    assert sum(read) < 2 << 20
    read.clear()
    with pytest.raises(FormatError, match="absurdly long"):
        [hostile.find(f"D{number:07}/none") for number in range(volume.root_entries)]
    assert sum(read) < fat_read.MAX_KNOWN_NAMES * 32 * 2


def test_a_chain_is_followed_as_far_as_its_file_goes() -> None:
    image = bytearray(fat.build(1 << 20, [fat.FatFile("big", b"", 1000 * 512)], cluster_sectors=1).to_bytes())
    sound = Fat(bytes_reader(image))
    slot = next(sound.names(0)).slots[-1]
    struct.pack_into("<I", image, sound.volume.root_offset + slot * 32 + 28, 1000)
    volume = Fat(bytes_reader(image))
    asked: list[int] = []
    get = volume.table.get
    volume.table.get = lambda cluster: asked.append(cluster) or get(cluster)  # type: ignore[method-assign,func-returns-value]
    assert sum(size for _, size in volume.extents("big")) == 1000 and len(asked) <= 2


def test_a_shim_with_a_million_certificates_is_read_to_a_bound() -> None:
    one = pe._CERT_X509_GUID + struct.pack("<III", 29, 0, 17) + b"x"
    section = struct.pack("<IIII", len(one) * 400_000, 0, 16, 0) + one * 400_000
    data = efi_program(sbat="shim,4", more={b".vendor_cert": section})
    with cpu_seconds(15):
        program = pe.read(bytes_reader(data), len(data))
        assert pe.vendor_names(bytes_reader(data), program) == ()


def test_a_program_has_so_many_signatures_only() -> None:
    data = efi_program(signers=("Somebody",) * 500)
    assert len(pe.read(bytes_reader(data), len(data)).signers) == pe._MAX_SIGNERS


def test_boot_images_that_share_their_bytes_are_not_summed_sixty_times(isos: Isos) -> None:
    old = isos("el_torito").read_bytes()
    with crash.open_bytes(old) as image:
        catalog = image.descriptors.boot_catalog_lba
    assert catalog is not None
    first = len(old) // 2048
    data = bytearray(old.ljust((first + 60) * 2048 + (8 << 20), b"\0"))
    section = b"\x91\0" + struct.pack("<H28x", 60)
    for number in range(60):
        section += struct.pack("<BBHBxHI20x", 0x88, 0, 0, 0, 4, first + number)
        struct.pack_into("<IIII", data, (first + number) * 2048 + 8, 16, first + number, 8 << 20, 1)
    data[catalog * 2048 + 64 : catalog * 2048 + 64 + len(section)] = section
    read: list[int] = []
    image = Image(Path("x.iso"), counting(bytes_reader(data), read), len(data))
    facts = image.facts()
    assert len(facts.boot_images) == 61 and facts.boot_images[0].table_ok
    assert sum(read) < 40 << 20


# --- records of edits ---------------------------------------------------------------------------------------


def test_records_that_share_their_bytes_are_not_read_a_hundred_times(isos: Isos) -> None:
    old = isos("grub_gpt").read_bytes()
    start, body = -(-len(old) // 2048) * 2048, bytes(1 << 20)
    heads = range(start, start + 500 * 2048, 2048)
    place = heads.stop
    end = place + len(body)
    data = bytearray(old.ljust(end, b"\0"))
    for head in heads:
        sector = record.build_head(
            record.Record(1, 1, head, end, len(old), end, None, (), (), state="committed"), place, body
        )
        data[head : head + 512] = sector
    data[place:end] = body
    read: list[int] = []
    hostile = crash.Recorder(bytes(data))
    hostile.read = counting(hostile.read, read)  # type: ignore[method-assign]
    assert edit.pending(hostile) is None
    assert sum(read) < 60 << 20
