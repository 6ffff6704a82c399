"""The Engine medium: manifest, signature and layout, judged by xorriso, minisign and fsck.fat."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from mediakit.cli.main import main
from mediakit.engine import manifest as manifests
from mediakit.engine import signature
from mediakit.errors import FormatError
from mediakit.formats import grubenv
from mediakit.reference import bootfiles, debs, medium, metadata, signing
from mediakit.reference.medium import MediumSpec
from mediakit.reference.metadata import Metadata

KEYS = Path(medium.__file__).parent / "keys"
META = Metadata("Engine", "5.0", 5000, "2024-01-01T00:00:00Z", 2, (1, 2), "5.0", 1 << 30, 8 << 30)


def judge(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def make_squashfs(folder: Path, out: Path, **files: bytes) -> Path:
    for name, data in files.items():
        (folder / name.replace("__", "/").replace("_", ".")).parent.mkdir(parents=True, exist_ok=True)
        (folder / name.replace("__", "/").replace("_", ".")).write_bytes(data)
    judge("mksquashfs", folder, out, "-noappend", "-comp", "gzip", "-quiet")
    return out


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> MediumSpec:
    base = tmp_path_factory.mktemp("medium")
    system = make_squashfs(
        base / "s",
        base / "system.squashfs",
        boot__xen_gz=b"x" * 5000,
        boot__vmlinuz=b"k" * 9000,
        boot__initrd=b"i" * 7000,
    )
    installer = make_squashfs(base / "i", base / "installer.squashfs", opt__hello=b"hello")
    key = signature.load_secret((KEYS / "engine-test.key").read_text())
    boot = bootfiles.build(debs.default_cache())
    return MediumSpec(system, installer, META, boot, signing.to_der(KEYS / "sb-test.crt"), key)


@pytest.fixture(scope="module")
def iso(spec: MediumSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("iso") / "engine.iso"
    medium.build_medium(spec, out)
    return out


@pytest.fixture(scope="module")
def tree(iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tree") / "tree"
    judge("xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/", out)
    return out


def test_the_manifest_lists_every_file_outside_custom_as_it_is(tree: Path) -> None:
    made = manifests.parse((tree / "engine/manifest.json").read_bytes())
    present = {f"/{p.relative_to(tree)}" for p in tree.rglob("*") if p.is_file()}
    unlisted = {p for p in present if p.startswith("/custom/")} | {manifests.PATH, manifests.SIGNATURE_PATH}
    assert {f.path for f in made.files} == present - unlisted
    for entry in made.files:
        data = (tree / entry.path.lstrip("/")).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.size_bytes, entry.sha256), entry.path


def test_the_areas_are_what_the_iso_holds_with_holes_as_zeros(iso: Path) -> None:
    image = iso.read_bytes()
    made = json.loads(
        judge(
            "xorriso",
            "-osirrox",
            "on:o_excl_off",
            "-indev",
            iso,
            "-concat",
            "append",
            "-",
            "/engine/manifest.json",
        )
    )
    assert [area["name"] for area in made["areas"]] == ["system-area", "el-torito-bios", "esp"]
    for area in made["areas"]:
        data = bytearray(image[area["offset_bytes"] :][: area["size_bytes"]])
        for hole in area["holes"]:
            data[hole["offset_bytes"] :][: hole["size_bytes"]]
            start = hole["offset_bytes"]
            data[start : start + hole["size_bytes"]] = bytes(hole["size_bytes"])
        assert hashlib.sha256(data).hexdigest() == area["sha256"], area["name"]


def test_minisign_agrees(tree: Path) -> None:
    said = judge("minisign", "-V", "-m", tree / "engine/manifest.json", "-p", KEYS / "engine-test.pub")
    assert "Trusted comment: Engine 5.0 build 5000" in said


def test_the_esp_is_a_sound_fat_with_the_chain_and_the_key(iso: Path, tmp_path: Path) -> None:
    made = json.loads(judge("sfdisk", "--json", iso))["partitiontable"]["partitions"][1]
    esp = tmp_path / "esp.img"
    esp.write_bytes(iso.read_bytes()[made["start"] * 512 :][: made["size"] * 512])
    judge("fsck.fat", "-n", esp)
    listing = judge("mdir", "-/", "-b", "-i", esp)
    for name in ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/debian/grub.cfg", "ENGINE.CER"):
        assert f"::/{name}" in listing


def test_every_menu_is_the_same_and_names_this_build(spec: MediumSpec, tree: Path) -> None:
    menu = (tree / "boot/grub/grub.cfg").read_text()
    assert (tree / "EFI/debian/grub.cfg").read_text() == menu
    assert "@" not in menu.replace("@@", "")
    assert (tree / "engine" / medium.marker(spec)).is_file()
    assert f"/engine/{medium.marker(spec)}" in menu


def test_another_build_has_another_marker(spec: MediumSpec) -> None:
    other = MediumSpec(**{**vars(spec), "installer": spec.system})
    assert medium.marker(other) != medium.marker(spec)


def test_there_is_room_for_edits_in_place(tree: Path) -> None:
    block = (tree / "custom/bootenv").read_bytes()
    assert len(block) == 1024
    assert grubenv.parse(block) == {}
    assert (tree / "custom/answers.toml").stat().st_size == medium.ANSWERS_BYTES
    assert json.loads((tree / "custom/index.json").read_bytes())["files"] == []


def test_the_same_inputs_give_the_same_iso(spec: MediumSpec, iso: Path, tmp_path: Path) -> None:
    medium.build_medium(spec, tmp_path / "again.iso")
    assert (tmp_path / "again.iso").read_bytes() == iso.read_bytes()


@pytest.mark.parametrize("field", ["version", "created", "layout", "min_ram_bytes"])
def test_metadata_that_lacks_something_is_refused_by_name(field: str) -> None:
    values = {
        "product": "Engine", "version": "5.0", "build": 1, "created": "2024-01-01T00:00:00Z", "layout": 2,
        "upgrade_from": [2], "pv_driver": "5.0", "min_ram_bytes": 1, "min_disk_bytes": 1,
    }  # fmt: skip
    assert metadata.parse(json.dumps(values).encode()).version == "5.0"
    del values[field]
    with pytest.raises(FormatError, match=field):
        metadata.parse(json.dumps(values).encode())


def test_build_refuses_a_system_image_that_cannot_boot(
    spec: MediumSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.json").write_text("""{"product": "Engine", "version": "5.0", "build": 1, "layout": 2,
        "created": "2024-01-01T00:00:00Z", "upgrade_from": [2], "pv_driver": "5.0", "min_ram_bytes": 1,
        "min_disk_bytes": 1}""")
    system = make_squashfs(tmp_path / "s", tmp_path / "system.squashfs", boot__xen_gz=b"x" * 5000)
    words = [
        "build",
        "--system",
        system,
        "--installer",
        spec.installer,
        "--metadata",
        tmp_path / "m.json",
    ]
    words += [
        "--key",
        KEYS / "engine-test.key",
        "--sb-key",
        KEYS / "sb-test.key",
        "--sb-cert",
        KEYS / "sb-test.crt",
    ]
    assert main([str(w) for w in (*words, "-o", tmp_path / "x.iso")]) == 3
    assert "/boot/vmlinuz" in capsys.readouterr().err
    assert not (tmp_path / "x.iso").exists()
