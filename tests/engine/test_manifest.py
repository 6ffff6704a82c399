"""The manifest: round trips, and every wrong field named."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediakit.engine import manifest, release
from mediakit.engine.manifest import Area, Hole, Manifest, ManifestFile
from mediakit.errors import FormatError, MediakitError

SHA = "0" * 64
SAMPLE = Manifest(
    "Engine", "5.0", 5000, "amd64", "2024-01-01T00:00:00Z", 2, (1, 2), "5.0", 1 << 30, 8 << 30,
    (ManifestFile("/engine/installer.squashfs", 5, SHA), ManifestFile("/engine/system.squashfs", 7, SHA)),
    (Area("system area", 0, 32768, SHA, (Hole(440, 6),)),),
)  # fmt: skip

paths = st.lists(st.text("abcXYZ012._-é ", min_size=1, max_size=8), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(p + "x" for p in parts)
)
files = st.lists(
    st.builds(
        ManifestFile, paths, st.integers(0, 1 << 40), st.binary(min_size=32, max_size=32).map(bytes.hex)
    ),
    unique_by=lambda f: f.path,
    max_size=5,
)


@given(files, st.integers(0, 10**6), st.lists(st.integers(1, 2)))
def test_what_is_written_is_read_back(entries: list[ManifestFile], build: int, layouts: list[int]) -> None:
    document = Manifest(
        "Engine", "5.1", build, "amd64", "2024-01-01T00:00:00+00:00", 2, tuple(layouts), "5.1", 0, 0,
        tuple(sorted(entries, key=lambda f: f.path)),
    )  # fmt: skip
    data = document.to_bytes()
    assert manifest.parse(data) == document
    assert data.endswith(b"}\n") and not data.endswith(b"\n\n")
    assert list(json.loads(data)) == sorted(json.loads(data))


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("schema", 2, "schema 2"),
        ("version", "five", "version"),
        ("version", ["5"], "version"),
        ("build", True, "build"),
        ("build", -1, "build"),
        ("created", "yesterday", "created"),
        ("created", "2024-01-01T00:00:00", "created"),
        ("upgrade_from", ["4.5"], "upgrade_from"),
        ("files", [{"path": "/a", "size_bytes": 1}], r"files\[0\].*sha256"),
        ("files", [{"path": "/a/../b", "size_bytes": 1, "sha256": SHA}], "path"),
        ("files", [{"path": "a", "size_bytes": 1, "sha256": SHA}], "path"),
        ("files", [{"path": "/a", "size_bytes": 1, "sha256": SHA}] * 2, "twice"),
        ("files", [{"path": "/a", "size_bytes": 1, "sha256": "F" * 64}], "sha256"),
        ("areas", [{"name": "n", "offset_bytes": 0, "size_bytes": 8, "sha256": SHA,
                    "holes": [{"offset_bytes": 4, "size_bytes": 8}]}], "holes"),
        ("product", "a\nb", "product"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(key: str, value: Any, complaint: str) -> None:
    document = json.loads(SAMPLE.to_bytes()) | {key: value}
    with pytest.raises(FormatError, match=complaint):
        manifest.parse(json.dumps(document).encode())


@pytest.mark.parametrize("key", sorted(json.loads(SAMPLE.to_bytes())))
def test_a_missing_field_is_named(key: str) -> None:
    document = json.loads(SAMPLE.to_bytes())
    del document[key]
    with pytest.raises(FormatError, match=f"“{key}” is missing"):
        manifest.parse(json.dumps(document).encode())


def test_mutated_manifests_are_read_or_refused_and_nothing_else() -> None:
    good, dice = SAMPLE.to_bytes(), random.Random(5)
    tokens = [
        b"null",
        b"-1",
        b"1e999",
        b"{",
        b"]",
        b'"',
        b"\\ud800",
        b"\xff",
        b"[" * 5000,
        b"9" * 5000,
        b"NaN",
    ]
    outcomes = set()
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(data))
            data[place : place + dice.randint(0, 12)] = dice.choice(tokens)
        try:
            manifest.parse(bytes(data))
            outcomes.add("read")
        except MediakitError as error:
            assert len(error.message) < 400
            outcomes.add("refused")
    assert "refused" in outcomes


def test_a_release_round_trips_and_follows_the_manifest() -> None:
    made = release.of_manifest(SAMPLE)
    assert release.parse(made.to_bytes()) == made == release.Release("Engine", "5.0", 5000, "amd64", 2)


def test_the_system_image_is_found_by_name() -> None:
    assert SAMPLE.system.size_bytes == 7
    with pytest.raises(FormatError, match="does not list /x"):
        SAMPLE.file("/x")
