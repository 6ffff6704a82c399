"""Boot files and GRUB scripts, judged by grub-script-check and by what the formats say."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from mediakit.reference import bootfiles, cmdline, debs

SCRIPTS = ("disk.cfg", "disk-memdisk.cfg", "medium.cfg", "medium-memdisk.cfg", "loopback.cfg")


@pytest.fixture(scope="module")
def boot() -> bootfiles.BootFiles:
    return bootfiles.build(debs.default_cache())


@pytest.mark.parametrize("name", SCRIPTS)
def test_grub_understands_the_script(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(bootfiles.config(name))
    done = subprocess.run(
        ["grub-script-check", tmp_path / name], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_bios_images_are_what_grub_expects(boot: bootfiles.BootFiles) -> None:
    for sector in (boot.boot_img, boot.hybrid_img):
        assert len(sector) == 512
        assert sector[510:] == b"\x55\xaa"
    assert len(boot.core_img) < 512 * 1024, "two cores fit engine-bios"
    assert len(boot.eltorito_img) > 2048


def test_the_efi_files_are_signed_by_who_should(boot: bootfiles.BootFiles, tmp_path: Path) -> None:
    for data, who in ((boot.shim, "Microsoft"), (boot.grub_efi, "Debian"), (boot.mokmanager, "Debian")):
        (tmp_path / "x.efi").write_bytes(data)
        text = subprocess.run(
            ["sbverify", "--list", tmp_path / "x.efi"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout
        assert who in text


def test_a_second_build_comes_from_the_cache_and_is_equal(boot: bootfiles.BootFiles) -> None:
    cache = debs.default_cache()
    before = {path: path.stat().st_mtime_ns for path in cache.glob("bootfiles-*/*")}
    assert bootfiles.build(cache) == boot
    assert before == {path: path.stat().st_mtime_ns for path in cache.glob("bootfiles-*/*")}


def test_the_memdisk_holds_the_script_and_nothing_of_this_machine() -> None:
    with tarfile.open(fileobj=io.BytesIO(bootfiles.memdisk(b"echo hello\n"))) as archive:
        (member,) = archive.getmembers()
    assert (member.name, member.mtime, member.uid, member.uname) == ("grub.cfg", 0, 0, "")


@pytest.mark.parametrize("mode", cmdline.MODES)
def test_bios_and_uefi_start_xen_and_dom0_with_the_same_words(mode: str) -> None:
    script = bootfiles.config("disk.cfg").decode()
    xen = re.search(r'set xen_args="([^$"]*)"', script)
    assert xen
    extra = re.search(r'set xen_args="\$xen_args ([^"]*)"', script)
    assert extra
    words = xen[1].split() + (extra[1].split() if mode == "safe" else [])
    assert words == cmdline.xen_options(mode).split()
    arguments = re.findall(r'set args="(console[^"]*)"', script)
    normal, serial = (line.replace("$s", "b").replace("$m", mode) for line in arguments)
    line = serial if mode == "serial" else normal
    line += " nomodeset" if mode == "safe" else ""
    assert line.split() == cmdline.dom0_options("b", mode).split()


def test_xen_has_a_section_for_each_slot_and_mode() -> None:
    text = cmdline.xen_config()
    assert re.findall(r"^\[(.*)\]$", text, re.M) == [
        "global", "a-normal", "a-safe", "a-serial", "b-normal", "b-safe", "b-serial",
    ]  # fmt: skip
    assert "engine.slot=b engine.mode=safe" in text
    assert "placeholder" not in text
