"""The images that are fuzzed: all that tools make, and here those with menus, edits, sums or a stick's data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from mediakit.formats import fat
from mediakit.iso import edit
from mediakit.stick.receipt import Receipt
from mediakit.stick.source import DIGEST_BYTES, Digests
from tests.engine import medium
from tests.iso.edit import crash
from tests.isos import make, repeatable
from tests.isos.programs import efi_program

NOW = 1_600_000_000
GRUB = b"""set default="1"
set timeout=5
load_env -f /boot/grub/grubenv saved
insmod all_video
search --no-floppy --set=root -l 'TEST'
search.fs_uuid 2020-09-13-12-26-40-00 other --hint hd0
if [ -f ($root)/boot/vmlinuz -a x$grub_platform = xefi ]; then
  set kernel=/boot/vmlinuz
elif ! keystatus --shift; then
  set kernel="${prefix}/../vmlinuz"
else
  set kernel=/gone
fi
function start { linux $1 root=live:CDLABEL=TEST quiet $2; initrd /boot/initrd "$3"; }
for n in 1 2 three; do menuentry "Entry $n" --id e$n --class os { start $kernel console=ttyS0,$n /boot/File-01.module; }; done
submenu 'More >' --hotkey=m {
  menuentry 'Loop' { loopback loop /boot/File-07.module; linux (loop)/casper/vmlinuz iso-scan/filename=${iso} --- ; }
  menuentry "Xen" { multiboot2 /boot/xen.gz dom0_mem=1G
    module2 /boot/vmlinuz quiet \\
      splash
    module2 /boot/initrd }
  source /boot/grub/more.cfg
}
regexp --set=1:dev "(hd[0-9]+)" "$root"
while test -z "$found"; do set found=y; done
menuentry "Firmware" { fwsetup }
configfile ${prefix}/more.cfg
"""
MORE = b"menuentry more { linux /boot/vmlinuz }\nsource $prefix/grub.cfg\n. /boot/grub/more.cfg\n"
ISOLINUX = b"""DEFAULT vesamenu.c32
PROMPT 0
TIMEOUT 50
UI menu.c32
APPEND quiet
MENU TITLE Test ^disc
INCLUDE more.cfg
LABEL linux
  MENU LABEL ^Linux
  MENU DEFAULT
  KERNEL /boot/vmlinuz
  APPEND initrd=/boot/initrd,/boot/File-01.module root=live:CDLABEL=TEST -- quiet
LABEL xen
  KERNEL mboot.c32
  APPEND /boot/xen.gz dom0 --- /boot/vmlinuz quiet --- /boot/initrd
MENU BEGIN more
LABEL other
  CONFIG other.cfg
TEXT HELP
  help
ENDTEXT
LABEL local
  LOCALBOOT 0x80
MENU END
"""
ENTRY = b"title Test\nversion 1\noptions root=LABEL=TEST quiet\nlinux /vmlinuz\ninitrd /initrd\n"


def _tree(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """A copy of the tree of all images with ``files`` in it."""
    root = folder / f"fuzz-{name}"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(make.tree(folder), root, symlinks=True)
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def menus(folder: Path, out: Path) -> None:
    """ISOLINUX for BIOS, shim and GRUB for UEFI, with configurations that use much of their languages."""
    files = {
        "boot/grub/grub.cfg": GRUB, "boot/grub/more.cfg": MORE, "isolinux/isolinux.cfg": ISOLINUX,
        "isolinux/more.cfg": b"menu include other.cfg\nlabel x\nlinux /boot/vmlinuz\n",
        "isolinux/other.cfg": b"include /isolinux/isolinux.cfg\nlabel y\ncom32 chain.c32 hd0\n",
        "boot/grub/grubenv": b"# GRUB Environment Block\nsaved=x\n".ljust(1024, b"#"), "boot/initrd": b"i",
    }  # fmt: skip
    make.isohybrid_gpt(_tree(folder, "menus", files), out)


def systemd_boot(folder: Path, out: Path) -> None:
    loader = efi_program(signers=(make.MICROSOFT,), sbat="sbat,1,x\nsystemd-boot,1,x,systemd,252,x\n")
    files = [
        fat.FatFile("EFI/BOOT/BOOTX64.EFI", loader),
        fat.FatFile("loader/loader.conf", b"default test*\ntimeout 3\n"),
        *(fat.FatFile(f"loader/entries/test-{n}.conf", ENTRY + b"#%d\n" % n) for n in range(3)),
        fat.FatFile("vmlinuz", b"kernel"),
        fat.FatFile("loader/a long name of an entry that is none.txt", b"x"),
    ]
    esp = fat.build(256 << 10, files, label="ESP", serial=0x1234).to_bytes()
    make.grub_gpt(_tree(folder, "systemd-boot", {"boot/grub/efi.img": esp}), out)


def summed(folder: Path, out: Path) -> None:
    """With isomd5sum's MD5 in its descriptor, and lists of sums."""
    lines = b"".join(b"0123456789abcdef0123456789abcdef  ./boot/File-%02d.module\n" % n for n in range(9))
    files = {"md5sum.txt": lines, "SHA256SUMS": b"SHA256 (boot/vmlinuz) = " + b"ab" * 32 + b"\n"}
    make.grub_gpt(_tree(folder, "summed", files), out)
    repeatable.tool(["implantisomd5", "--force", out])


def engine(folder: Path, out: Path) -> None:
    """A signed Engine medium, with room for answers and something customised."""
    root = _tree(folder, "engine", {"custom/branding/logo.txt": b"logo", "custom/answers.toml": b"\n" * 600})
    medium.make(root, {"/engine/system.squashfs": b"hsqs" + bytes(3000), "/engine/note": b"x" * 9})
    entries = [{"path": "/custom/branding/logo.txt", "size_bytes": 4, "sha256": "ab" * 32}]
    index = {"schema": 1, "by": "x", "time": "2024-01-01T00:00:00Z", "files": entries}
    (root / "custom/index.json").write_text(json.dumps(index))
    make.grub_gpt(root, out)


def edited(folder: Path, out: Path) -> None:
    out.write_bytes(_edited(folder)[-1])


def edit_cut(folder: Path, out: Path) -> None:
    """Edited, and cut off in the second edit, behind its commit."""
    out.write_bytes(_edited(folder)[-3])


def _edited(folder: Path) -> list[bytes]:
    """What each flush of two edits left."""
    data = make.make("grub_gpt", folder).read_bytes()
    found = [data]
    changes: list[list[edit.Change]] = [
        [edit.Put("/boot/vmlinuz", b"new" * 1000), edit.Put("/new/file", b"x")],
        [edit.SetVolumeId("OTHER"), edit.Overwrite("/boot/File-09.module", b"secret", "a room", secret=True)],
    ]
    for wanted in changes:
        with crash.open_bytes(found[-1]) as image:
            plan = edit.make_plan(image, wanted, now=NOW)
        recorder = crash.Recorder(found[-1])
        edit.apply_in_place(recorder, plan)
        state = bytearray(found[-1])
        for writes in recorder.barriers:
            for offset, raw in writes:
                if raw:
                    crash.put(state, offset, raw)
                else:
                    crash.set_size(state, offset)
            found.append(bytes(state)) if writes else None
    return found


def stick(folder: Path, out: Path) -> None:
    """An image with a data partition behind it that holds the receipt of its writing."""
    data = bytearray(make.make("isohybrid_mbr", folder).read_bytes())
    start, size = -(-len(data) // (1 << 20)) << 20, 256 << 10
    blocks = tuple("ab" * 32 for _ in range(-(-len(data) // DIGEST_BYTES)))
    receipt = Receipt("image.iso", len(data), Digests("cd" * 32, blocks), ((440, 4), (4096, 512)))
    files = [fat.FatFile("/.mediakit/receipt.json", receipt.to_bytes()), fat.FatFile("/README.txt", b"read")]
    volume = fat.build(size, files, directories=["/reports"], label="ENGINE-DATA", serial=1).to_bytes()
    data = data.ljust(start, b"\0") + volume
    entry = bytes((0, 254, 255, 255, 0x0C, 254, 255, 255))
    data[446 + 32 : 446 + 48] = (
        entry + (start // 512).to_bytes(4, "little") + (size // 512).to_bytes(4, "little")
    )
    out.write_bytes(data)


CRAFTED: dict[str, Callable[[Path, Path], None]] = {
    f.__name__: f for f in (menus, systemd_boot, summed, engine, edited, edit_cut, stick)
}
KINDS = sorted({*make.KINDS, *make.CRAFTED_KINDS, *CRAFTED})


def make_kind(kind: str, folder: Path) -> Path:
    """One image of ``kind`` in ``folder``, the same bytes each time."""
    if kind not in CRAFTED:
        return make.make(kind, folder)
    out = folder / f"fuzz-{kind}.iso"
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        CRAFTED[kind](folder, out)
    return out
