"""Small media with given files, and with an EFI image that holds others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediakit import run
from mediakit.formats import fat
from mediakit.formats.fat_read import Fat
from mediakit.formats.reader import bytes_reader
from tests.isos.programs import efi_program

Media = Callable[..., Path]


@pytest.fixture
def media(tmp_path: Path) -> Media:
    def make(files: dict[str, str], inside: dict[str, str] | None = None, *, is_full: bool = False) -> Path:
        root, out = tmp_path / "tree", tmp_path / "x.iso"
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text.encode())
        words: list[str] = []
        if inside is not None:
            loader = fat.FatFile("EFI/BOOT/BOOTX64.EFI", efi_program())
            rest = [fat.FatFile(path, text.encode()) for path, text in inside.items()]
            volume = fat.build(256 << 10, [loader, *rest], label="ESP")
            if is_full:
                free = Fat(bytes_reader(volume.to_bytes())).free_bytes
                rest.append(fat.FatFile("filler", b"", size_bytes=free))
                volume = fat.build(256 << 10, [loader, *rest], label="ESP")
            (root / "efi.img").write_bytes(volume.to_bytes())
            words = ["-e", "efi.img", "-no-emul-boot", "-c", "boot.cat"]
        run.run(
            ["xorriso", "-as", "mkisofs", "-quiet", "-r", "-J", "-V", "LIVE", *words, "-o", out, root],
            timeout=60,
        )
        return out

    return make
