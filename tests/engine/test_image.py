"""An opened medium: what it reads, what it refuses to hand out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediakit.engine import keys, manifest
from mediakit.engine.image import open_engine
from mediakit.errors import FormatError, SourceError, TrustError
from tests.engine import medium


def test_a_mounted_medium_opens_and_its_signature_is_good(tmp_path: Path) -> None:
    with open_engine(medium.make(tmp_path)) as image:
        assert image.manifest.version == "5.0"
        assert image.check_signature(keys.built_in()).state == "good"
        assert image.check_signature([]).state == "unknown_key"
        assert image.size("/engine/system.squashfs") == len(medium.FILES["/engine/system.squashfs"])
        assert b"".join(image.stream("/engine/system.squashfs", 3, 5)) == b"s\0\1\2\3"
        assert (
            b"".join(image.stream_checked("/engine/system.squashfs"))
            == medium.FILES["/engine/system.squashfs"]
        )
        assert max(len(block) for block in image.stream("/engine/system.squashfs")) == 1 << 20
        assert image.read("/boot/empty") == b"" and not image.exists("/no")


def test_a_changed_file_is_not_handed_out(tmp_path: Path) -> None:
    medium.make(tmp_path)
    (tmp_path / "engine/licence/en.txt").write_bytes(b"Be evil.\n")
    with open_engine(tmp_path) as image:
        with pytest.raises(TrustError, match=r"/engine/licence/en\.txt .bytes 0 to 9"):
            image.read_checked("/engine/licence/en.txt")
        with pytest.raises(TrustError):
            list(image.stream_checked("/engine/licence/en.txt"))


def test_a_signature_is_required_with_the_reason(tmp_path: Path) -> None:
    medium.make(tmp_path)
    with open_engine(tmp_path) as image, pytest.raises(TrustError, match="not trusted here"):
        image.require_signature([])
    (tmp_path / manifest.SIGNATURE_PATH[1:]).unlink()
    with open_engine(tmp_path) as image, pytest.raises(TrustError, match="no signature"):
        image.require_signature()


def test_what_is_no_engine_medium_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not an Engine medium"):
        open_engine(tmp_path)
    medium.make(tmp_path)
    (tmp_path / "engine/manifest.json").write_text("{")
    with open_engine(tmp_path) as image, pytest.raises(FormatError, match="not JSON"):
        _ = image.manifest


def test_links_and_paths_do_not_lead_out_of_the_medium(tmp_path: Path) -> None:
    folder = medium.make(tmp_path / "medium")
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with open_engine(folder) as image:
        assert not image.exists("/link")
        assert not image.exists("/../secret")
        with pytest.raises(SourceError):
            image.size("/link")
