"""Boot menus as distributions write them, edited: what was asked changes, every other byte stays."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from mediakit import run
from mediakit.errors import RefusedError, UsageError
from mediakit.iso.menuedit import grubmenu, kernelargs, labels, sdbootmenu, syslinuxmenu

FEDORA = """\
set default="1"

function load_video {
  insmod efi_gop
}

load_video
set timeout=60
search --no-floppy --set=root -l 'Fedora-WS-Live-40'

menuentry 'Start Fedora' --class fedora --class gnu-linux {
\tlinuxefi /images/pxeboot/vmlinuz root=live:CDLABEL=Fedora-WS-Live-40 rd.live.image quiet rhgb
\tinitrdefi /images/pxeboot/initrd.img
}
submenu 'Troubleshooting -->' {
\tmenuentry 'Start in basic graphics mode' {
\t\tset gfxpayload=text
\t\tlinux ($root)/images/pxeboot/vmlinuz inst.stage2=hd:LABEL=Fedora-WS-Live-40:/x nomodeset # old cards
\t}
}
menuentry "memtest" { linux16 /boot/memtest86+.bin }
"""
UBUNTU = 'menuentry "Try" { linux /casper/vmlinuz  --- quiet splash\r\n}\r\nmenuentry "x" {\r\n linux /k a \\\r\n  b\r\n}\r\n'
XEN = """menuentry x {
  multiboot2 /boot/xen.gz dom0_mem=1G
  module2 --nounzip /boot/vmlinuz console=hvc0
  module2 /install.img
}
"""
DEBIAN = """\
# D-I config version 2.0
path
include menu.cfg
default vesamenu.c32
prompt 0
timeout 0
"""
TXT = """\
LABEL install
\tMENU LABEL ^Install
\tmenu default
\tkernel /install.amd/vmlinuz
\tappend vga=788 initrd=/install.amd/initrd.gz --- quiet\x20
label hdt
  kernel hdt.c32
label bare
    linux /vmlinuz
text help
  append is not here
endtext
label xen
  kernel mboot.c32
  append xen.gz dom0_mem=1G --- vmlinuz console=tty0 --- initrd.img
label local
  localboot 0x80
"""


def changed(before: str, after: str) -> list[str]:
    """The lines that came, without those that went."""
    return [
        line[1:] for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line.startswith("+")
    ]


def grub_accepts(text: str, folder: Path) -> bool:
    path = folder / "grub.cfg"
    path.write_text(text)
    return run.run(["grub-script-check", path], timeout=30, check=False).status == 0


def test_grub_arguments_reach_every_linux_and_nothing_else(tmp_path: Path) -> None:
    after = grubmenu.add_kernel_arguments(FEDORA, ("inst.text", "console=ttyS0,115200"))
    assert [line.strip() for line in changed(FEDORA, after)] == [
        "linuxefi /images/pxeboot/vmlinuz root=live:CDLABEL=Fedora-WS-Live-40 rd.live.image quiet rhgb"
        " inst.text console=ttyS0,115200",
        "linux ($root)/images/pxeboot/vmlinuz inst.stage2=hd:LABEL=Fedora-WS-Live-40:/x nomodeset"
        " inst.text console=ttyS0,115200 # old cards",
    ]
    assert grub_accepts(after, tmp_path)
    assert grubmenu.add_kernel_arguments(after, ("inst.text", "console=ttyS0,115200")) == after


def test_a_key_takes_the_place_of_the_same_key() -> None:
    text = "menuentry a { linux /k console=tty0 x console=ttyS0 foo }"
    both = grubmenu.add_kernel_arguments(text, ("console=hvc0", "console=tty1"))
    assert both == "menuentry a { linux /k console=hvc0 console=tty1 x foo }"
    assert grubmenu.add_kernel_arguments(both, ("console=hvc0", "console=tty1")) == both


def test_arguments_stay_before_what_the_installed_system_gets_and_lines_keep_their_ends(
    tmp_path: Path,
) -> None:
    after = grubmenu.add_kernel_arguments(UBUNTU, ("autoinstall",))
    assert "linux /casper/vmlinuz  autoinstall --- quiet splash\r\n" in after
    assert "linux /k a \\\r\n  b autoinstall\r\n" in after
    assert after.count("\n") == after.count("\r\n")


def test_what_has_blanks_is_quoted_for_grub(tmp_path: Path) -> None:
    (argument,) = kernelargs.parse(['dyndbg="file x +p"'])
    after = grubmenu.add_kernel_arguments("menuentry a { linux /k }", (argument,))
    assert after == "menuentry a { linux /k 'dyndbg=file x +p' }"
    assert grub_accepts(after, tmp_path)
    assert syslinuxmenu.add_kernel_arguments("label a\nlinux k\nappend q\n", (argument,)).endswith(
        'append q dyndbg="file x +p"\n'
    )


def test_under_xen_the_arguments_go_to_linux() -> None:
    assert changed(XEN, grubmenu.add_kernel_arguments(XEN, ("quiet",))) == [
        "   module2 --nounzip /boot/vmlinuz console=hvc0 quiet"
    ]
    after = syslinuxmenu.add_kernel_arguments(TXT, ("console=hvc0", "q"))
    assert "append xen.gz dom0_mem=1G --- vmlinuz console=hvc0 q --- initrd.img\n" in after


def test_grub_default_and_timeout_outside_the_entries(tmp_path: Path) -> None:
    after = grubmenu.set_variable(FEDORA, "timeout", "-1", insert=True)
    after = grubmenu.set_variable(after, "default", "Start Fedora", insert=True)
    assert changed(FEDORA, after) == [" set default='Start Fedora'", " set timeout=-1"]
    assert grub_accepts(after, tmp_path)


def test_without_an_assignment_one_is_put_before_the_first_entry(tmp_path: Path) -> None:
    text = "if true; then\n  menuentry a { set timeout=1 }\nfi\n"
    after = grubmenu.set_variable(text, "timeout", "7", insert=True)
    assert after == "set timeout=7\n" + text
    assert grubmenu.set_variable(after, "timeout", "7", insert=True) == after
    assert grubmenu.set_variable(text, "timeout", "7", insert=False) == text


def test_isolinux_arguments_reach_every_linux_with_or_without_append() -> None:
    after = syslinuxmenu.add_kernel_arguments(TXT, ("auto", "vga=normal"))
    assert [line.strip() for line in changed(TXT, after)] == [
        "append vga=normal initrd=/install.amd/initrd.gz auto --- quiet",
        "append auto vga=normal",
        "append xen.gz dom0_mem=1G --- vmlinuz console=tty0 auto vga=normal --- initrd.img",
    ]
    assert syslinuxmenu.add_kernel_arguments(after, ("auto", "vga=normal")) == after
    assert "--- quiet \n" in after


def test_isolinux_default_is_marked_where_a_menu_shows_it() -> None:
    assert syslinuxmenu.set_default(DEBIAN, "bare", insert=True) == DEBIAN
    after = syslinuxmenu.set_default(TXT, "bare", insert=False)
    assert "menu default\n    linux /vmlinuz" in after
    assert after.count("menu default") == 1
    assert syslinuxmenu.set_default(after, "bare", insert=False) == after
    assert (
        syslinuxmenu.set_default("default linux\nontimeout linux\n", "x", insert=True)
        == "default x\nontimeout x\n"
    )
    assert syslinuxmenu.set_default("label x\nkernel k\n", "x", insert=True).startswith("default x\n")


@pytest.mark.parametrize(("seconds", "value"), [(5, "50"), (0, "1"), (-1, "0")])
def test_isolinux_counts_tenths(seconds: int, value: str) -> None:
    assert syslinuxmenu.set_timeout(DEBIAN, seconds, insert=True) == DEBIAN.replace(
        "timeout 0", f"timeout {value}"
    )
    assert syslinuxmenu.set_timeout("label a\r\n", seconds, insert=True) == f"timeout {value}\r\nlabel a\r\n"


def test_systemd_boot_entries() -> None:
    entry = "title Arch\nlinux /vmlinuz\ninitrd /i\noptions archisolabel=ARCH_1 x=1\n"
    after = sdbootmenu.add_kernel_arguments(sdbootmenu.replace_label(entry, "ARCH_1", "NEW"), ("x=2", "y"))
    assert after == entry.replace("ARCH_1 x=1", "NEW x=2 y")
    assert sdbootmenu.add_kernel_arguments("title x\nlinux /v\n", ("y",)) == "title x\nlinux /v\noptions y\n"
    assert sdbootmenu.set_key("timeout 15\ndefault a\n", "timeout", "3") == "timeout 3\ndefault a\n"
    assert sdbootmenu.set_key("default a", "timeout", "3") == "default a\ntimeout 3\n"


def test_the_label_is_replaced_wherever_it_names_the_medium(tmp_path: Path) -> None:
    after = grubmenu.replace_label(FEDORA, "Fedora-WS-Live-40", "MINE")
    assert "Fedora-WS" not in after
    assert "-l MINE" in after and "root=live:CDLABEL=MINE rd" in after and "hd:LABEL=MINE:/x" in after
    assert grub_accepts(after, tmp_path)
    assert grubmenu.replace_label(FEDORA, "Fedora", "MINE") == FEDORA


def test_labels_with_blanks_are_found_as_udev_writes_them() -> None:
    text = "label a\nappend inst.stage2=hd:LABEL=CentOS\\x207\\x20x86_64 LABEL=CentOS\\x207\\x20x86_640\n"
    after = syslinuxmenu.replace_label(text, "CentOS 7 x86_64", "MY DISC")
    assert after == text.replace("LABEL=CentOS\\x207\\x20x86_64 ", "LABEL=MY\\x20DISC ")
    assert labels.replace_in_word("/dev/disk/by-label/OLD", "OLD", "A B") == "/dev/disk/by-label/A\\x20B"
    assert labels.replace_in_word("mylabel=OLDER", "OLD", "N") == "mylabel=OLDER"


def test_labels_that_cannot_be() -> None:
    assert labels.check("ENGINE_5_0", "X", has_joliet=True) == []
    assert len(labels.check("a-label-of-more-than-16", "X", has_joliet=True)) == 2
    for bad in ("", "x" * 33, "Größe", "A\tB", " A"):
        with pytest.raises(UsageError):
            labels.check(bad, "X", has_joliet=False)
    for bad in ("A/B", "A'B", "$A", "A=B"):
        with pytest.raises(RefusedError):
            labels.check(bad, "X", has_joliet=False)


def test_arguments_as_people_type_them() -> None:
    assert kernelargs.parse(["quiet splash", 'a="b c"']) == ("quiet", "splash", "a=b c")
    for bad in ("", "  ", 'a="b', "ü", "--", "a\x01"):
        with pytest.raises(UsageError):
            kernelargs.parse([bad])
    assert kernelargs.apply(["a", "--", "b"], ["c", "b"]) == ["a", "c", "b", "--", "b"]
    assert kernelargs.apply(["nvidia-drm.modeset=1"], ["nvidia_drm.modeset=0"]) == ["nvidia_drm.modeset=0"]


def test_a_keyword_that_stands_alone_and_a_doubled_argument() -> None:
    assert syslinuxmenu.set_timeout("timeout\n", 5, insert=True) == "timeout 50\n"
    assert (
        syslinuxmenu.add_kernel_arguments("label a\nkernel k\n", ("q", "q"))
        == "label a\nkernel k\nappend q\n"
    )
    open_quote = "menuentry a { linux /k }\nmenuentry 'b { linux /k2 }\n"
    assert grubmenu.add_kernel_arguments(open_quote, ("q",)) == open_quote.replace("/k ", "/k q ")


def test_an_argument_that_goes_leaves_no_blanks_and_takes_no_line_along() -> None:
    entry = "linux /l\noptions a=1 b\noptions a=2 c\n"
    after = sdbootmenu.add_kernel_arguments(entry, ("a=3",))
    assert after.split("\n") == ["linux /l", "options a=3 b", "options  c", ""]
    text = "label x\nkernel k\nappend a=1 b a=2 ü\n"
    assert syslinuxmenu.add_kernel_arguments(text, ("a=3",)) == text.replace("a=1 b a=2", "a=3 b")


@pytest.mark.parametrize(
    ("word", "removed", "expected"),
    [
        ("quiet", "quiet", True), ("quiet=1", "quiet", False), ("quiet", "quiet=", False), ("console=tty0", "console=", True),
        ("console=tty0", "console=tty0", True), ("console=tty0", "console=tty1", False), ("netconsole=x", "console=", False),
        ("a_b=1", "a-b=", True), ("a-b=c-d", "a_b=c_d", False), ("k=a=", "k=a=", True), ("k=a=b", "k=a=", False),
    ],
)  # fmt: skip
def test_what_is_meant_by_an_argument_to_remove(word: str, removed: str, expected: bool) -> None:
    assert kernelargs.is_removed(word, (removed,)) is expected
    text = f"menuentry x {{ linux /k {word} z -- {word} }}"
    after = grubmenu.add_kernel_arguments(text, (), (removed,))
    assert after == (text.replace(f"/k {word} z", "/k z") if expected else text)


@pytest.mark.parametrize("text", ["initrd=", "initrd=/x", "BOOT_IMAGE=", "--", ""])
def test_what_loaders_need_is_not_removed(text: str) -> None:
    with pytest.raises(UsageError):
        kernelargs.parse_removals([text])


def test_an_edit_goes_on_where_following_a_menu_stops() -> None:
    long = "label x\nkernel k\nappend " + "a=1234567 " * 2000 + "end\n"
    assert syslinuxmenu.add_kernel_arguments(long, ("q",)) == long.replace("end\n", "end q\n")
    script = "a\n" * 40_000 + "menuentry x { linux /k }\n"
    assert grubmenu.add_kernel_arguments(script, ("q",)).endswith("linux /k q }\n")
