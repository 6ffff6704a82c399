"""Menus are followed as the loaders do it: what they name is there, missing, or cannot be told from the medium."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from mediakit import iso, run
from mediakit.engine.rewriting import Request, gather
from mediakit.errors import FormatError, RefusedError
from mediakit.formats import fat
from mediakit.formats.reader import bytes_reader
from mediakit.iso.bootmenus import bls_menu, grub_menu, isolinux_menu
from mediakit.iso.bootmenus.grub_menu import Medium
from mediakit.iso.bootmenus.grub_script import ESP, MEDIUM
from mediakit.iso.bootmenus.menu import MAX_CONFIG_BYTES, FatFiles, Menu, MenuFile, Spot
from mediakit.iso.menuedit import builtin
from tests.isos import make

ENGINE_MENU = (Path(__file__).parents[3] / "mediakit/reference/grub/medium.cfg").read_bytes()


class Tree:
    """A filesystem that is a dictionary."""

    def __init__(self, files: dict[str, bytes], name: str = "") -> None:
        self.name = name
        self.files = files

    def find(self, path: str) -> Spot | None:
        path = "/" + "/".join(word for word in path.split("/") if word)
        return Spot(len(self.files[path]), 1000) if path in self.files else None

    def has(self, path: str) -> bool:
        clean = "/" + "/".join(word for word in path.split("/") if word)
        return any(name == clean or name.startswith(clean.rstrip("/") + "/") for name in self.files)

    def read(self, path: str) -> bytes:
        if self.find(path) is None:
            raise FormatError("no")
        return self.files["/" + "/".join(word for word in path.split("/") if word)]


def grub(script: bytes, files: dict[str, bytes] | None = None, firmware: str = "bios") -> Menu:
    disc = Tree({"/boot/grub/grub.cfg": script, "/vmlinuz": b"k", "/initrd": b"i", **(files or {})})
    medium = Medium({MEDIUM: disc}, {MEDIUM: "LIVE"}, {MEDIUM: "2024-01-02-03-04-05-00"})
    return grub_menu.follow(medium, MEDIUM, "/boot/grub/grub.cfg", firmware, "/boot/grub")


def states(menu: Menu) -> dict[str, str]:
    return {file.path: file.state for entry in menu.entries for file in entry.files}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"menuentry a { linux /vmlinuz quiet\ninitrd /initrd /nothing }", {"/vmlinuz": "there", "/initrd": "there", "/nothing": "missing"}),
        (b"set k=/vmlinuz\nmenuentry a { linux ($root)$k; }", {"/vmlinuz": "there"}),
        (b"menuentry a { linuxefi ${prefix}/../../vmlinuz }", {"/boot/grub/../../vmlinuz": "missing"}),
        (b"menuentry a { linux (hd1,msdos1)/vmlinuz }", {"(hd1,msdos1)/vmlinuz": "unknown"}),
        (b"menuentry a { linux (cd0)/vmlinuz\n }", {"/vmlinuz": "there"}),
        (b"menuentry a { linux $unset/vmlinuz-* }", {"/vmlinuz-*": "unknown"}),
        (b"menuentry a { probe --set=r -u $root; linux ($r)/vmlinuz }", {"(${r})/vmlinuz": "unknown"}),
        (b"search --set=root --file /vmlinuz\nmenuentry a { linux /vmlinuz }", {"/vmlinuz": "there"}),
        (b"search --no-floppy --label --set d LIVE\nmenuentry a { linux ($d)/gone }", {"/gone": "missing"}),
        (b"search.fs_uuid 2024-01-02-03-04-05-00 d\nmenuentry a { linux ($d)/vmlinuz }", {"/vmlinuz": "there"}),
        (b"menuentry a { loopback loop /vmlinuz\nlinux (loop)/casper/vmlinuz }", {"/vmlinuz": "there", "(loop)/casper/vmlinuz": "unknown"}),
        (b"menuentry a { loopback loop /gone.iso\nlinux (loop)/x }", {"/gone.iso": "missing", "(loop)/x": "unknown"}),
        (b"function go { linux $1; initrd $2; }\nmenuentry a { go /vmlinuz /gone }", {"/vmlinuz": "there", "/gone": "missing"}),
        (b"if [ $grub_platform = efi ]; then menuentry a { linux /gone }\nelse menuentry b { linux /vmlinuz }\nfi", {"/vmlinuz": "there"}),
        (b"if [ -f /gone ]; then menuentry a { linux /gone }\nfi\nif [ -e /vmlinuz -a ! -d /gone ]; then menuentry b { linux /vmlinuz }\nfi", {"/vmlinuz": "there"}),
        (b"if keystatus --shift; then set k=/vmlinuz; else set k=/initrd; fi\nmenuentry a { linux $k }", {"${k}": "unknown"}),
        (b"if cpuid -l; then set k=/gone; else set k=/gone; fi\nmenuentry a { linux $k }", {"/gone": "missing"}),
        (b"for k in /vmlinuz /gone; do menuentry \"x$k\" $k { linux $2 }\ndone", {"/vmlinuz": "there", "/gone": "missing"}),
        (b"menuentry a { multiboot2 /vmlinuz x\nmodule2 --nounzip /initrd\nmodule2 /gone }", {"/vmlinuz": "there", "/initrd": "there", "/gone": "missing"}),
        (b"menuentry a { chainloader (hd0)+1 }\nmenuentry b { chainloader +1 }", {}),
        (b"menuentry a { chainloader /EFI/x.efi }", {"/EFI/x.efi": "missing"}),
        (b"submenu s { menuentry a { linux /vmlinuz }\nmenuentry b { initrd newc:x:/gone }\n}", {"/vmlinuz": "there", "/gone": "missing"}),
        (b"set line=\"linux /vmlinuz\"\nmenuentry a { $line quiet }", {"/vmlinuz": "there"}),
        (b"menuentry a { search --label OTHER --set=root; linux /vmlinuz }", {"/vmlinuz": "there"}),
    ],
)  # fmt: skip
def test_what_an_entry_names_is_told_apart(script: bytes, expected: dict[str, str]) -> None:
    assert states(grub(script)) == expected


def test_entries_run_when_the_menu_is_complete_and_in_their_own_scope() -> None:
    menu = grub(
        b"menuentry a { set k=/gone; linux $k $args }\nmenuentry b { linux $k }\nset k=/vmlinuz\nset default=1\nset args='a b'\n"
    )
    assert [(e.title, e.files[0].state, e.is_default) for e in menu.entries] == [
        ("a", "missing", False), ("b", "there", True),
    ]  # fmt: skip
    assert menu.entries[0].arguments[0][0] == "a b"


@pytest.mark.parametrize(
    ("default", "title"),
    [("1>1", "S > d"), ("S>c", "S > c"), ("1", "S > c"), ("s>d", "S > d"), ("a>>b", "a>b"), ("", "a>b"), ("9", None)],
)  # fmt: skip
def test_the_default_may_lie_in_a_submenu(default: str, title: str | None) -> None:
    menu = grub(
        f"set default='{default}'\nmenuentry 'a>b' {{ linux /vmlinuz }}\nsubmenu S --id s {{\n".encode()
        + b"menuentry c { linux /vmlinuz }\nmenuentry d { linux /vmlinuz }\n}\n"
    )
    assert [entry.title for entry in menu.entries if entry.is_default] == ([title] if title else [])


def test_source_and_configfile_are_followed_and_loops_end() -> None:
    files = {
        "/boot/grub/more.cfg": b"menuentry m { linux /gone }\nsource $prefix/more.cfg\nsource /boot/grub/grub.cfg\n",
        "/boot/grub/sub.cfg": b"menuentry s { linux /vmlinuz }\nconfigfile /boot/grub/grub.cfg\n",
    }
    menu = grub(
        b"source ${prefix}/more.cfg\n. /nothing.cfg\nmenuentry x { configfile $prefix/sub.cfg }\n", files
    )
    assert {e.title for e in menu.entries} == {"m", "x", "s"}
    assert set(menu.configs) == {"/boot/grub/grub.cfg", "/boot/grub/more.cfg", "/boot/grub/sub.cfg"}
    missing = [f for f in menu.includes if f.state == "missing"]
    assert [(f.path, str(f.place)) for f in missing] == [("/nothing.cfg", "/boot/grub/grub.cfg, line 2")]
    gone = next(f for e in menu.entries for f in e.files if f.path == "/gone")
    assert gone.place.config == "/boot/grub/more.cfg" and gone.place.offset_bytes == 1000 + 20


def test_a_label_that_this_medium_has_not_is_said() -> None:
    menu = grub(b"search --no-floppy --set=root -l 'OTHER'\nmenuentry a { linux /vmlinuz }")
    assert [(f.role, f.path, f.state) for f in menu.includes] == [("label", "OTHER", "elsewhere")]


def test_a_kernel_inside_an_image_cannot_be_told_and_says_where_it_lies() -> None:
    (entry,) = grub(b"menuentry a { loopback s /initrd\nlinux (s)/boot/vmlinuz }").entries
    assert entry.files[1].why == "it lies inside /initrd"


def test_the_menu_of_the_engine_medium_comes_out_right() -> None:
    text = ENGINE_MENU.replace(b"@VERSION@", b"5.0").replace(b"@BUILD@", b"1").replace(b"@MARKER@", b"m.id")
    env = b"# GRUB Environment Block\nargs=quiet\nentry=serial\ntimeout=3\n".ljust(1024, b"#")
    files = {"/engine/m.id": b"", "/boot/vmlinuz": b"k", "/boot/initrd": b"i", "/custom/bootenv": env}
    disc = Tree({"/boot/grub/grub.cfg": text, **files})
    esp = Tree({"/EFI/debian/grub.cfg": text, "/EFI/BOOT/mmx64.efi": b"m"}, "ESP:")
    medium = Medium({MEDIUM: disc, ESP: esp})
    for menu, count in (
        (grub_menu.follow(medium, MEDIUM, "/boot/grub/grub.cfg", "bios", "/boot/grub"), 6),
        (grub_menu.follow(medium, ESP, "/EFI/debian/grub.cfg", "uefi", "/EFI/debian"), 7),
    ):
        assert len(menu.entries) == count and not menu.includes and not menu.is_dead
        assert [e.entry_id for e in menu.entries if e.is_default] == ["serial"]
        first = menu.entries[0].files
        assert [(f.role, f.path, f.state) for f in first] == [
            ("kernel", "/boot/vmlinuz", "there"),
            ("initrd", "/boot/initrd", "there"),
        ]
        assert menu.entries[0].arguments[0][0].endswith("engine.mode=normal quiet")
    del disc.files["/boot/vmlinuz"]
    dead = grub_menu.follow(medium, MEDIUM, "/boot/grub/grub.cfg", "bios", "/boot/grub")
    assert dead.is_dead


def test_isolinux_finds_its_files_as_it_does_itself() -> None:
    files = {
        "/isolinux/isolinux.cfg": b"UI vesamenu.c32\ndefault b\nappend quiet\ninclude more.cfg\n"
        b"label a\n kernel vmlinuz\n append initrd=initrd.img,../extra ---\n"
        b"label hd\n localboot 0x80\nlabel sub\n kernel vesamenu.c32\n append sub.cfg\n",
        "/isolinux/more.cfg": b"label b\n linux /gone initrd=/initrd\ninclude isolinux.cfg\n",
        "/isolinux/sub.cfg": b"label c\n kernel mboot.c32\n append xen.gz x=1 --- vmlinuz --- /none\n",
        "/isolinux/vmlinuz": b"", "/isolinux/initrd.img": b"", "/initrd": b"", "/isolinux/mboot.c32": b"",
    }  # fmt: skip
    disc = Tree(files)
    assert isolinux_menu.find_config(disc) == "/isolinux/isolinux.cfg"
    menu = isolinux_menu.follow(disc, "/isolinux/isolinux.cfg")
    assert [f"{f.role} {f.path} {f.state}" for f in menu.includes] == [
        "module /isolinux/vesamenu.c32 missing"
    ]
    found = {e.entry_id: [f"{f.path} {f.state}" for f in e.files] for e in menu.entries}
    assert found == {
        "a": ["/isolinux/vmlinuz there", "/isolinux/initrd.img there", "/extra missing"],
        "hd": [],
        "sub": ["/isolinux/vesamenu.c32 missing", "/isolinux/sub.cfg there"],
        "b": ["/gone missing", "/initrd there"],
        "c": ["/isolinux/mboot.c32 there", "/isolinux/xen.gz missing", "/isolinux/vmlinuz there", "/none missing"],
    }  # fmt: skip
    assert [e.entry_id for e in menu.entries if e.is_default] == ["b"]


def test_no_script_keeps_it_busy_or_makes_it_raise() -> None:
    hostile = [
        b"function f { f; f; }\nf\n" * 50,
        b"set x=" + b"a" * 4000 + b"\n" + b"set x=$x$x$x$x\n" * 500 + b"menuentry $x { linux $x }\n",
        b"while true; do while true; do menuentry a { linux /a; }; done; done\n" * 200,
        b"for a in " + b"x " * 5000 + b"; do for b in " + b"y " * 5000 + b"; do set $a$b=1; done; done\n",
        b"if x; then " * 39 + b"true; " + b"fi; " * 39,
        b"menuentry a { linux " + b"$x" * 200_000 + b" }\n",
        b"submenu a { " * 39 + b"}\n" * 39,
        b"linux " + b"\\a" * 200_000 + b"\n",
        b"configfile /boot/grub/grub.cfg\nsource /boot/grub/grub.cfg\n" * 2000,
    ]
    for script in hostile:
        started = time.process_time()
        grub(script)
        assert time.process_time() - started < 2, script[:40]
    seeded = random.Random(7)
    words = ENGINE_MENU.split(b" ")
    for _ in range(150):
        sample = b" ".join(seeded.choice(words) for _ in range(seeded.randint(1, 300)))
        grub(sample)


def broken_menu(tmp_path: Path, isos_tree: Path, **files: str) -> iso.ImageFacts:
    """An image of GRUB and ISOLINUX whose tree has ``files`` instead of its own."""
    root = tmp_path / "tree"
    run.run(["cp", "-a", isos_tree, root], timeout=20)
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_cfg", ".cfg")
        path.write_text(text) if text else path.unlink()
    make.isohybrid_gpt(root, tmp_path / "x.iso")
    with iso.open_image(tmp_path / "x.iso") as image:
        return image.facts()


def test_a_missing_kernel_is_told_with_its_place_and_a_menu_without_any_breaks_the_route(
    tmp_path: Path, iso_folder: Path
) -> None:
    config = "default a\nlabel a\nkernel /boot/vmlinuz\nlabel b\nkernel /boot/gone\n"
    facts = broken_menu(tmp_path, make.tree(iso_folder), isolinux__isolinux_cfg=config)
    assert facts.boot.bios_cd.ok
    finding = next(f for f in facts.findings if "/boot/gone" in f.what)
    assert finding.severity == "warning" and "/isolinux/isolinux.cfg, line 5" in finding.what
    data = (tmp_path / "x.iso").read_bytes()
    assert finding.offset_bytes is not None and finding.size_bytes is not None
    assert data[finding.offset_bytes :][: finding.size_bytes] == b"/boot/gone"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"isolinux__isolinux_cfg": "label a\nkernel /boot/gone\n"}, "None of the entries"),
        ({"isolinux__ldlinux.c32": ""}, "ldlinux.c32"),
    ],
)
def test_isolinux_that_cannot_start_anything_breaks_both_bios_routes(
    tmp_path: Path, iso_folder: Path, files: dict[str, str], why: str
) -> None:
    facts = broken_menu(tmp_path, make.tree(iso_folder), **files)
    assert facts.broken_claims == ("bios_cd", "bios_usb")
    assert why in facts.boot.bios_cd.why and any(why in f.what for f in facts.findings)


@pytest.mark.parametrize("there", [True, False])
def test_grub_is_followed_to_the_folder_that_is_built_into_it(
    tmp_path: Path, iso_folder: Path, there: bool
) -> None:
    root = tmp_path / "tree"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    argv = ["grub-mkimage", "-O", "i386-pc-eltorito", "-p", "/odd", "biosdisk", "iso9660"]
    run.run([*argv, "-o", root / "boot/grub/eltorito.img"], timeout=60)
    (root / "boot/grub/grub.cfg").unlink()
    (root / "odd").mkdir()
    if there:
        (root / "odd/grub.cfg").write_text("menuentry x { linux /boot/vmlinuz }\n")
    make.grub_gpt(root, tmp_path / "x.iso")
    with iso.open_image(tmp_path / "x.iso") as image:
        facts = image.facts()
    menu = facts.menus.of("bios_cd")
    assert (menu is not None and menu.configs == ("/odd/grub.cfg",)) is there
    assert bool([f for f in facts.findings if "GRUB finds no /odd/grub.cfg" in f.what]) is not there


def test_a_kernel_told_of_another_label_is_a_warning(tmp_path: Path, iso_folder: Path) -> None:
    config = "label a\nkernel /boot/vmlinuz\nappend root=live:CDLABEL=OTHER\\x20ONE x\n"
    facts = broken_menu(tmp_path, make.tree(iso_folder), isolinux__isolinux_cfg=config)
    assert [f.severity for f in facts.findings if "“OTHER ONE”" in f.what] == ["warning"]


def with_built_in(tmp_path: Path, isos_tree: Path, config: str) -> Path:
    """An image whose GRUB has ``config`` built in, and a menu where only that leads to."""
    root = tmp_path / "tree"
    run.run(["cp", "-a", isos_tree, root], timeout=20)
    (tmp_path / "built-in.cfg").write_text(config)
    argv = ["grub-mkimage", "-O", "i386-pc-eltorito", "-p", "/odd", "-c", tmp_path / "built-in.cfg"]
    run.run([*argv, "-o", root / "boot/grub/eltorito.img", "biosdisk", "iso9660", "search"], timeout=60)
    (root / "boot/grub/grub.cfg").rename(root / "boot/menu.cfg")
    make.grub_gpt(root, tmp_path / "x.iso")
    return tmp_path / "x.iso"


@pytest.mark.parametrize(
    "config",
    [
        "search --file --set=root /boot/menu.cfg\nconfigfile ($root)/boot/menu.cfg\n",
        "set prefix=(cd)/boot\nsource $prefix/menu.cfg\n",
    ],
)
def test_what_is_built_into_grub_leads_to_its_menu(tmp_path: Path, iso_folder: Path, config: str) -> None:
    """As SystemRescue's, whose menu is no grub.cfg."""
    with iso.open_image(with_built_in(tmp_path, make.tree(iso_folder), config)) as image:
        menu = image.facts().menus.of("bios_cd")
    assert menu is not None and menu.configs == ("/boot/menu.cfg",)
    assert [entry.title for entry in menu.entries] == ["x"]


@pytest.mark.parametrize("option", ["--label", "-l", "--no-floppy -l", "-sl"])
def test_a_label_that_is_built_into_grub_cannot_be_changed(
    tmp_path: Path, iso_folder: Path, option: str
) -> None:
    """As Alpine's: the loader would no longer find the medium."""
    config = f"search {option} TEST\nset prefix=($root)/boot/grub\n"
    with iso.open_image(with_built_in(tmp_path, make.tree(iso_folder), config)) as image:
        with pytest.raises(RefusedError, match=r"built into /boot/grub/eltorito\.img"):
            gather(image, Request(label="OTHER"), now=1)
        forced = gather(image, Request(label="OTHER", force=True), now=1)
        assert forced.changes and any("It no longer does." in note for note in forced.notes)
        assert not builtin.loaders_with_label(image, "ANOTHER")


@pytest.mark.parametrize("padding", [b"# far too long\n" * 20_000, b"a " * 60_000], ids=["bytes", "words"])
def test_a_menu_that_is_not_read_to_its_end_is_not_called_wrong(
    tmp_path: Path, iso_folder: Path, padding: bytes
) -> None:
    root = tmp_path / "tree"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    text = b"menuentry a {\n linux /boot/vmlinuz\n" + padding + b"\n}\n"
    (root / "boot/grub/grub.cfg").write_bytes(text)
    make.grub_gpt(root, tmp_path / "x.iso")
    with iso.open_image(tmp_path / "x.iso") as image:
        findings = image.facts().findings
    found = [(one.severity, one.what) for one in findings if "grub.cfg" in one.what]
    assert [severity for severity, _ in found] == ["note"] and "is too long" in found[0][1]


def test_a_line_that_is_cut_in_a_long_isolinux_menu_is_not_looked_at(
    tmp_path: Path, iso_folder: Path
) -> None:
    root = tmp_path / "tree"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    rows = b"label a\nkernel /boot/vmlinuz\n"
    padding = b"#" * (MAX_CONFIG_BYTES - len(rows) - 13) + b"\n"
    (root / "isolinux/isolinux.cfg").write_bytes(rows + padding + b"kernel /boot/vmlinuz\n")
    make.isohybrid_gpt(root, tmp_path / "x.iso")
    with iso.open_image(tmp_path / "x.iso") as image:
        menu = image.facts().menus.of("bios_cd")
    assert menu is not None and [file.path for file in menu.entries[0].files] == ["/boot/vmlinuz"]


def test_menus_that_are_included_and_not_there_are_one_note(tmp_path: Path, iso_folder: Path) -> None:
    """Debian's menu.cfg includes ten menus of other editions."""
    config = "include gtk.cfg\nmenu begin a\ninclude adgtk.cfg\nmenu end\nlabel a\nkernel /boot/vmlinuz\n"
    facts = broken_menu(tmp_path, make.tree(iso_folder), isolinux__isolinux_cfg=config)
    (finding,) = (f for f in facts.findings if "gtk.cfg" in f.what)
    assert finding.severity == "note" and "/isolinux/gtk.cfg, /isolinux/adgtk.cfg, which" in finding.what


@pytest.mark.parametrize("built_in", [True, False])
def test_isolinux_looks_in_its_own_folder_only_where_suse_wrote_that_into_it(
    tmp_path: Path, iso_folder: Path, built_in: bool
) -> None:
    root, folder = tmp_path / "tree", "boot/x86_64/loader"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    (root / "boot/x86_64").mkdir()
    (root / "isolinux").rename(root / folder)
    if built_in:
        with (root / folder / "isolinux.bin").open("ab") as file:
            file.write(b"\0" + folder.encode() + b"\0")
    words = ["-b", f"{folder}/isolinux.bin", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]
    make.xorriso(root, tmp_path / "x.iso", *words)
    with iso.open_image(tmp_path / "x.iso") as image:
        facts = image.facts()
    menu = facts.menus.of("bios_cd")
    assert facts.boot.bios_cd.ok is built_in is (menu is not None)
    assert built_in or "ldlinux.c32, which is not where it looks" in facts.boot.bios_cd.why


def test_the_label_as_red_hats_grub_hands_it_on_is_right(tmp_path: Path, iso_folder: Path) -> None:
    """Its grub.cfg says ``\\x20``, of which other GRUBs take the backslash away."""
    root = tmp_path / "tree"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    entries = "".join(
        f"menuentry x {{ linux /boot/vmlinuz inst.stage2=hd:LABEL={name} }}\n"
        for name in ("CentOS\\x207", "CentOS\\x208")
    )
    (root / "boot/grub/grub.cfg").write_text(entries)
    make.grub_gpt(root, tmp_path / "x.iso")
    data = (tmp_path / "x.iso").read_bytes()
    at = 16 * 2048 + 40
    named = data[:at] + b"CentOS 7".ljust(32) + data[at + 32 :]
    image = iso.Image(tmp_path / "x.iso", bytes_reader(named), len(named))
    labels = [f.what for f in image.facts().findings if "labelled" in f.what]
    assert labels and all("“CentOSx208”" in what for what in labels)


def test_systemd_boot_is_followed() -> None:
    files = [
        fat.FatFile("loader/loader.conf", b"default arch*\ntimeout 3\n"),
        fat.FatFile(
            "loader/entries/arch.conf",
            b"title Arch\n# x\nlinux /vmlinuz\ninitrd\t/gone\noptions archisolabel=A b\n",
        ),
        fat.FatFile("loader/entries/b.conf", b"title B\nefi /vmlinuz\n"),
        fat.FatFile("vmlinuz", b"k"),
    ]
    image = fat.build(256 << 10, files, label="X", serial=1).to_bytes()
    menu = bls_menu.follow(FatFiles(fat.Fat(bytes_reader(image)), 4096, "ESP:"))
    assert menu
    assert [(e.title, e.is_default, [(f.role, f.path, f.state) for f in e.files]) for e in menu.entries] == [
        ("Arch", True, [("kernel", "ESP:/vmlinuz", "there"), ("initrd", "ESP:/gone", "missing")]),
        ("B", False, [("loader", "ESP:/vmlinuz", "there")]),
    ]
    assert menu.entries[0].arguments[0][0] == "archisolabel=A b"
    place = menu.entries[0].files[1].place
    assert place.offset_bytes is not None and place.size_bytes and place.line == 4
    assert image[place.offset_bytes - 4096 :][: place.size_bytes] == b"initrd\t/gone"


def test_menu_files_are_named_once() -> None:
    menu = grub(b"menuentry a { linux /gone }\n" * 2)
    files: list[MenuFile] = [f for e in menu.entries for f in e.files]
    assert len(files) == 2 and files[0] != files[1]


FEDORA = b"""
set default="1"
function load_video {
  insmod all_video
}
load_video
set timeout=60
search --no-floppy --set=root -l 'LIVE-40'
menuentry 'Start' --class os {
	linux /images/vmlinuz root=live:CDLABEL=LIVE-40 rd.live.image quiet
	initrd /images/initrd.img
}
menuentry 'Test this media & start' --class os {
	linux /images/vmlinuz root=live:CDLABEL=LIVE-40 rd.live.image rd.live.check quiet
	initrd /images/initrd.img
}
"""


@pytest.mark.parametrize(("label", "dead"), [("LIVE-40", False), ("RENAMED", True)])
def test_a_renamed_disc_whose_menu_lies_on_the_esp_finds_nothing_any_more(label: str, dead: bool) -> None:
    """GRUB keeps its root where a search fails: the ESP, where no kernel is."""
    disc = Tree({"/images/vmlinuz": b"", "/images/initrd.img": b""})
    esp = Tree({"/EFI/BOOT/grub.cfg": FEDORA}, "ESP:")
    medium = Medium({MEDIUM: disc, ESP: esp}, {MEDIUM: label})
    menu = grub_menu.follow(medium, ESP, "/EFI/BOOT/grub.cfg", "uefi", "/EFI/BOOT")
    assert menu.is_dead is dead and len(menu.entries) == 2 and menu.entries[1].is_default
    assert bool([f for f in menu.includes if f.state == "elsewhere"]) is dead


def test_a_menu_on_the_esp_that_hands_over_to_the_disc_is_followed() -> None:
    stub = (
        b"search --file --set=root /.disk/info\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
    )
    main = b"if [ x$feature_default_font_path = xy ] ; then\n font=unicode\nelse\n font=$prefix/font.pf2\nfi\nmenuentry i { linux /v $font }\n"
    disc = Tree({"/.disk/info": b"", "/boot/grub/grub.cfg": main, "/v": b""})
    medium = Medium({MEDIUM: disc, ESP: Tree({"/EFI/debian/grub.cfg": stub}, "ESP:")})
    menu = grub_menu.follow(medium, ESP, "/EFI/debian/grub.cfg", "uefi", "/EFI/debian")
    assert menu.configs == ("ESP:/EFI/debian/grub.cfg", "/boot/grub/grub.cfg")
    assert states(menu) == {"/v": "there"} and menu.entries[0].arguments[0][0] == "unicode"


def test_a_loader_in_a_folder_whose_name_is_no_utf8_is_looked_at(tmp_path: Path, iso_folder: Path) -> None:
    root = tmp_path / "tree"
    run.run(["cp", "-a", make.tree(iso_folder), root], timeout=20)
    make.isohybrid_gpt(root, tmp_path / "x.iso")
    data = (tmp_path / "x.iso").read_bytes()
    odd = data.replace(b"isolinux\x52", b"isolin\xbcx\x52").replace(
        b"NM\x0d\x01\x00isolinux", b"NM\x0d\x01\x00isolin\xbcx"
    )
    assert odd != data
    (tmp_path / "x.iso").write_bytes(odd)
    with iso.open_image(tmp_path / "x.iso") as image:
        assert image.facts().to_json()["boot"]
