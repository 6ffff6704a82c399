"""GRUB scripts taken apart: words, quotes, blocks, and where each lies."""

from __future__ import annotations

import pytest

from mediakit.iso.bootmenus import grub_config, grub_words
from mediakit.iso.bootmenus.grub_config import Command, Placed

SCRIPT = """\
# linux /not/me
set default="0"
if [ "$grub_platform" = efi ]; then
  menuentry 'Live (x)' --id live { # and a comment
\tlinux\t/vmlinuz root=live:LABEL='A B' quiet \\
    rhgb # trailing
\tinitrd /initrd.img; boot
  }
fi
submenu "More…" { menuentry a\\ b { linux16 ${kernel} x#y } }
"""


def placed(text: str) -> list[Placed]:
    return list(grub_config.parse(text.encode()).placed())


def commands(text: str) -> list[Command]:
    return [found.command for found in placed(text)]


def arguments(command: Command) -> tuple[str, ...]:
    return tuple(word.text for word in command.arguments)


def cut(start: int, end: int | None = None) -> str:
    return SCRIPT.encode()[start:end].decode()


def test_commands_come_in_order_without_comments_and_keywords() -> None:
    assert [command.name for command in commands(SCRIPT)] == [
        "set", "[", "menuentry", "linux", "initrd", "boot", "submenu", "menuentry", "linux16",
    ]  # fmt: skip


def test_words_are_unquoted_and_keep_their_place() -> None:
    linux = commands(SCRIPT)[3]
    assert arguments(linux) == ("/vmlinuz", "root=live:LABEL=A B", "quiet", "rhgb")
    assert [cut(w.start, w.end) for w in linux.words][2] == "root=live:LABEL='A B'"
    assert cut(linux.end).startswith(" # trailing")


def test_blocks_name_what_they_belong_to() -> None:
    found = placed(SCRIPT)
    assert found[3].around.blocks == ("menuentry",)
    assert found[8].around.blocks == ("submenu", "menuentry")
    assert arguments(found[8].command) == ("${kernel}", "x#y")
    assert arguments(found[7].command) == ("a b",)


def test_a_statement_begins_where_its_if_begins() -> None:
    found = placed(SCRIPT)
    assert cut(found[2].around.start).startswith("if [")
    assert cut(found[6].around.start).startswith("submenu")
    assert not any(command.around.is_repeated for command in found)


def test_what_may_run_again_is_told() -> None:
    script = "for a in 1 2; do menuentry x { true; }; done\nfunction f { menuentry y { true; }; }\nmenuentry z { f; }\n"
    entries = list(grub_config.entries(grub_config.parse(script.encode())))
    assert [(e.title, e.place.around.is_repeated) for e in entries] == [
        ("x", True),
        ("y", True),
        ("z", False),
    ]
    assert script[entries[1].place.around.start :].startswith("function f")


@pytest.mark.parametrize("text", ["plain=x/y", "two words", "it's", 'say "$x" \\', "#no", "", "ü", "a;b{c}"])
def test_a_quoted_word_stands_for_itself(text: str) -> None:
    command = commands(f"echo {grub_words.quote(text)} end")[0]
    assert arguments(command) == (text, "end")


@pytest.mark.parametrize(
    "text", ["'open", '"open', "a\\", "}", "{{{", "${x", "fi fi done", "\\\r\n", "$", "\\\n"]
)
def test_what_is_no_script_ends(text: str) -> None:
    commands(text)
