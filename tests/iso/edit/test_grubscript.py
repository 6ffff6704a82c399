"""GRUB scripts taken apart: words, quotes, blocks, and where each lies."""

from __future__ import annotations

import pytest

from mediakit.iso.edit import grubscript

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


def names(text: str) -> list[str]:
    return [command.name for command in grubscript.commands(text)]


def test_commands_come_in_order_without_comments_and_keywords() -> None:
    assert names(SCRIPT) == [
        "set", "[", "menuentry", "linux", "initrd", "boot", "submenu", "menuentry", "linux16",
    ]  # fmt: skip


def test_words_are_unquoted_and_keep_their_place() -> None:
    linux = grubscript.commands(SCRIPT)[3]
    assert linux.arguments == ("/vmlinuz", "root=live:LABEL=A B", "quiet", "rhgb")
    assert [SCRIPT[w.start : w.end] for w in linux.words][2] == "root=live:LABEL='A B'"
    assert SCRIPT[linux.end :].startswith(" # trailing")


def test_blocks_name_what_they_belong_to() -> None:
    commands = grubscript.commands(SCRIPT)
    assert commands[3].blocks == ("menuentry",)
    assert commands[8].blocks == ("submenu", "menuentry")
    assert commands[8].arguments == ("${kernel}", "x#y")
    assert commands[7].arguments == ("a b",)


def test_a_statement_begins_where_its_if_begins() -> None:
    menuentry = grubscript.commands(SCRIPT)[2]
    assert SCRIPT[menuentry.statement_start :].startswith("if [")
    assert grubscript.commands(SCRIPT)[6].statement_start == SCRIPT.index("submenu")


@pytest.mark.parametrize("text", ["plain=x/y", "two words", "it's", 'say "$x" \\', "#no", "", "ü", "a;b{c}"])
def test_a_quoted_word_stands_for_itself(text: str) -> None:
    command = grubscript.commands(f"echo {grubscript.quote(text)} end")[0]
    assert command.arguments == (text, "end")


@pytest.mark.parametrize(
    "text", ["'open", '"open', "a\\", "}", "{{{", "${x", "fi fi done", "\\\r\n", "$", "\\\n"]
)
def test_what_is_no_script_ends(text: str) -> None:
    grubscript.commands(text)
