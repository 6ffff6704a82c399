"""The unified xen.efi, made from Debian's real one, judged by sbverify and objdump."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import time
from pathlib import Path

import pytest

from mediakit.errors import FormatError
from mediakit.reference import cmdline, debs, medium, xen_efi

KEYS = Path(medium.__file__).parent / "keys"


@pytest.fixture(scope="module")
def xen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("xen")
    debs.unpack(["xen-hypervisor-4.17-amd64"], debs.default_cache() / "debs", root)
    return next((root / "boot").glob("xen-*.efi"))


def unify(xen: Path, folder: Path, name: str) -> Path:
    (folder / "vmlinuz").write_bytes(
        os.urandom(100_000) if not (folder / "vmlinuz").exists() else (folder / "vmlinuz").read_bytes()
    )
    (folder / "initrd").write_bytes(b"initrd" * 500_000)
    out = folder / name
    xen_efi.unify(
        xen,
        folder / "vmlinuz",
        folder / "initrd",
        out,
        KEYS / "sb-test.key",
        KEYS / "sb-test.crt",
        signing_time=1_700_000_000,
    )
    return out


def test_sbverify_agrees_and_a_flipped_byte_is_noticed(xen: Path, tmp_path: Path) -> None:
    out = unify(xen, tmp_path, "xen.efi")
    argv = ["sbverify", "--cert", KEYS / "sb-test.crt", out]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "gap" not in done.stderr
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    assert subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode != 0


def test_the_same_inputs_give_the_same_bytes_at_another_time(xen: Path, tmp_path: Path) -> None:
    one = unify(xen, tmp_path, "one.efi").read_bytes()
    started = time.time()
    while int(time.time()) == int(started):  # the signing time has a resolution of one second
        os.sched_yield()
    assert unify(xen, tmp_path, "two.efi").read_bytes() == one


def test_the_sections_hold_what_they_should_and_do_not_overlap(xen: Path, tmp_path: Path) -> None:
    image = unify(xen, tmp_path, "xen.efi").read_bytes()
    found = {s.name: s for s in xen_efi.sections(image)}
    config = found[".config"]
    assert image[config.offset :][: config.size_bytes].startswith(cmdline.xen_config().encode())
    kernel = found[".kernel"]
    assert image[kernel.offset :].startswith((tmp_path / "vmlinuz").read_bytes())
    assert b"xen,1,Xen Project" in image[found[".sbat"].offset :][:500]
    flags = struct.unpack_from("<I", image, found[".reloc"].header + 36)[0]
    assert not flags & 0x02000000
    ordered = sorted(found.values(), key=lambda s: s.address)
    for before, after in itertools.pairwise(ordered):
        assert before.address + before.virtual_size <= after.address, (before.name, after.name)


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF" + bytes(500), b"MZ" + bytes(58) + b"\xff\xff\0\0"])
def test_what_is_no_efi_program_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        xen_efi.unify(
            data, tmp_path / "k", tmp_path / "i", tmp_path / "out", KEYS / "sb-test.key", KEYS / "sb-test.crt"
        )
    assert list(tmp_path.iterdir()) == []
