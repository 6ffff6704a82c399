"""What GRUB's and ISOLINUX's configurations say, word by word, and where in the text it stands."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from mediakit.iso.bootmenus import bls_config, grub_config, isolinux_config
from mediakit.iso.bootmenus.grub_config import Command, If, Loop

MENU = Path(__file__).parents[3] / "mediakit/reference/grub/medium.cfg"
DEBIAN = rb"""
# a comment { with braces
if [ x$feature_default_font_path = xy ] ; then
   font=unicode
else
  font=$prefix/font.pf2
fi
if loadfont $font ; then set gfxmode=800x600; insmod gfxterm; fi
menuentry --hotkey=g 'Graphical install' {
    set background_color=black
    linux    /install.amd/vmlinuz vga=788 --- quiet
    initrd   /install.amd/gtk/initrd.gz
}
submenu --hotkey=a "Advanced \"options\" ..." {
    menuentry '... Expert' --id 'expert one' {
        linux /install.amd/vmlinuz \
              priority=low "args with blanks=$x" ---
        initrd /install.amd/initrd.gz
    }
}
for n in 1 2 3; do echo "$n"; done
"""


def test_grub_entries_have_titles_ids_and_depth_in_order() -> None:
    script = grub_config.parse(DEBIAN)
    assert not script.problems
    found = [(e.title, e.entry_id) for e in grub_config.entries(script)]
    assert [e.depth for e in grub_config.entries(script)] == [0, 0, 1]
    assert found == [
        ("Graphical install", "Graphical install"),
        ('Advanced "options" ...', 'Advanced "options" ...'),
        ("... Expert", "expert one"),
    ]
    assert isinstance(script.statements[0], If) and isinstance(script.statements[-1], Loop)


def test_every_word_of_grub_can_be_cut_out_of_the_text_and_read_again() -> None:
    script = grub_config.parse(DEBIAN)
    linux = [c for c in script.commands() if c.name in grub_config.LINUX_COMMANDS]
    assert [c.line for c in linux] == [11, 16]
    for command in linux:
        for word in command.words:
            piece = DEBIAN[word.start : word.end]
            again = grub_config.parse(piece).statements[0]
            assert isinstance(again, Command) and again.words[0].text == word.text
    long = linux[1].words
    assert [w.text for w in long[2:]] == ["priority=low", "args with blanks=${x}", "---"]
    assert long[3].literal is None and long[2].literal == "priority=low"
    edited = DEBIAN[: linux[0].end] + b" extra" + DEBIAN[linux[0].end :]
    assert b"--- quiet extra\n" in edited


def test_the_span_of_an_entry_is_all_of_it_and_its_body_lies_between_the_braces() -> None:
    entry = next(iter(grub_config.entries(grub_config.parse(DEBIAN))))
    whole = DEBIAN[entry.command.start : entry.command.end]
    assert whole.startswith(b"menuentry") and whole.endswith(b"}")
    body = DEBIAN[entry.body.start : entry.body.end]
    assert body.strip().startswith(b"set back") and body.strip().endswith(b"initrd.gz")


@pytest.mark.parametrize(
    "text",
    [
        b"menuentry x { linux /a\n",
        b"if true; then echo\n",
        b"}\n",
        b"menuentry 'x { }\n",
        b"fi\n",
        b"if true then echo; fi\n",
    ],
)
def test_what_grub_would_not_understand_is_a_problem_as_grub_script_check_says(
    tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "x.cfg").write_bytes(text)
    judge = subprocess.run(
        ["grub-script-check", tmp_path / "x.cfg"], timeout=20, capture_output=True, check=False
    )
    assert judge.returncode != 0
    assert grub_config.parse(text).problems


@pytest.mark.parametrize(
    "text",
    [
        DEBIAN,
        MENU.read_bytes(),
        b"function f { if [ -f /x -a -n \"$1\" ]; then linux /k $@; fi; }\nf a 'b c'\n",
        b"while true; do\necho; done; until false ; do echo; done\n",
        b"! false\nset a='b'\"c\"\\ d$e${f}g\n",
        b'menuentry $"translated $x" { true; }\r\n',
        b"submenu a { menuentry b { submenu c { menuentry d { true\n}\n}\n}\n}\n",
        b"echo then fi { true }\n",
        b"if true\nthen\necho\nelif false\nthen true\nfi;",
    ],
)
def test_what_grub_understands_has_no_problem(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.cfg").write_bytes(text)
    subprocess.run(["grub-script-check", tmp_path / "x.cfg"], timeout=20, check=True)
    assert not grub_config.parse(text).problems


def test_isolinux_labels_inherit_nothing_and_keep_their_places() -> None:
    text = (
        b"DEFAULT vesamenu.c32\nprompt 0\r\nAPPEND quiet\nMENU TITLE Boot ^me\n"
        b"label live\n  menu label ^Live system\n  kernel /live/vmlinuz\n"
        b"  append initrd=/live/initrd.img,/live/extra.img boot=live ---\n"
        b"text help\n  label not me\n  kernel neither\nendtext\n"
        b"LABEL hd\n localboot 0x80\n menu default\ninclude more.cfg\n"
    )
    config = isolinux_config.parse(text)
    assert config.default and config.default.value == "vesamenu.c32"
    assert config.append and config.append.value == "quiet"
    assert [(x.name, x.title, x.is_default) for x in config.labels] == [
        ("live", "Live system", False),
        ("hd", "hd", True),
    ]
    append = config.labels[0].append
    assert append and isolinux_config.initrds(append.value) == ["/live/initrd.img", "/live/extra.img"]
    for word, start, end in append.words():
        assert text[start:end].decode() == word
    assert text[append.start : append.end].endswith(b"---")
    assert [d.value for d in config.includes()] == ["more.cfg"]
    assert config.labels[1].kernel and config.labels[1].kernel.keyword == "localboot"


def test_no_text_makes_the_parsers_raise_or_hang() -> None:
    seeded = random.Random(4)
    pieces = [b"{", b"}", b"'", b'"', b"\\", b"$", b"${", b"if ", b"then ", b"fi\n", b"menuentry ", b"x", b"\n", b"for ", b"do ", b"done ", b"label ", b"\xff", b";", b"function ", b"text help\n", b"\0"]  # fmt: skip
    for _ in range(3000):
        text = b"".join(seeded.choice(pieces) for _ in range(seeded.randint(0, 60)))
        for entry in grub_config.entries(grub_config.parse(text)):
            assert text[entry.command.start : entry.command.end]
        isolinux_config.parse(text)
    deep = b"menuentry a { " * 5000
    assert grub_config.parse(deep).problems


@pytest.mark.parametrize(
    "text",
    [
        "11 = 11", "systemd-123 = systemd-123", "bar-123 < foo-123", "123a > 123", "123.a > 123", "123.a < 123.b",
        "123a > 123.a", "11α = 11β", "A < a", " < 0", "0. > 0", "0.0 > 0", "0 > ~", " > ~", "1_ = 1", "_1 = 1",
        "1_ < 1.2", "1_2_3 > 1.3.3", "1+ = 1", "1+ < 1.2", "1+2+3 > 1.3.3", "9 < 10", "1.0-1 < 1.0.1", "1^2 > 1",
    ],
)  # fmt: skip
def test_versions_are_ordered_as_the_specification_says(text: str) -> None:
    one, sign, other = text.split(" ")
    expected = {"<": -1, "=": 0, ">": 1}[sign]
    assert bls_config.compare_versions(one, other) == expected
    assert bls_config.compare_versions(other, one) == -expected


def test_the_entries_of_systemd_boot_have_its_order() -> None:
    texts = {
        "a.conf": b"title A\n", "b10.conf": b"title B\n", "b9.conf": b"title C\n", "new.conf": b"sort-key x\nversion 10\n",
        "old.conf": b"version 9\nsort-key x\n", "first.conf": b"sort-key a\n",
    }  # fmt: skip
    entries = [(name, bls_config.parse(text)) for name, text in texts.items()]
    assert bls_config.order(entries) == [
        "first.conf",
        "new.conf",
        "old.conf",
        "b10.conf",
        "b9.conf",
        "a.conf",
    ]
