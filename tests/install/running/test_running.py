"""What runs inside the Engine: settings from the state, the questions of the health check, the good mark."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from mediakit.errors import FormatError, SourceError
from mediakit.install import bootenv
from mediakit.install.running import boot, good, health, identity, render, status
from mediakit.install.running.boot import Boot
from mediakit.install.state import Network, State

DEFINITION = {
    "name": "win", "uuid": "u", "origin": "local", "published_by": "5.0", "pv_driver": "8.2.0",
    "min_engine": "4.5", "memory_bytes": 1 << 29, "disks": ["disk.img"],
}  # fmt: skip
SHADOW = "root:*:19675::::::\nadmin:!:19675:0:99999:7:::\n"


def booted(**changes: str) -> Boot:
    values = {"disk": "/dev/sda", "esp": "/dev/sda1", "slot": "a", "slot_device": "/dev/sda3", "why": "good",
              "fell_back_from": "", "mode": "normal", "install_id": "i"}  # fmt: skip
    return Boot(**(values | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shadow").write_text(SHADOW)
    zone = tmp_path / "usr/share/zoneinfo/Europe/Madrid"
    zone.parent.mkdir(parents=True)
    zone.write_bytes(b"TZif")
    return tmp_path


def test_etc_says_what_the_state_says(root: Path) -> None:
    network = Network("static", "10.0.0.5/24", "10.0.0.1", ("1.1.1.1",))
    state = State("lab7", "es", "es", "Europe/Madrid", "$6$abc$" + "x" * 86, network)
    assert render.write(state, root) == []
    assert (root / "etc/hostname").read_text() == "lab7\n"
    assert (root / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Madrid")
    assert (root / "etc/vconsole.conf").read_text() == "KEYMAP=es\n"
    written = (root / "etc/systemd/network/10-engine.network").read_text()
    assert "Address=10.0.0.5/24\nGateway=10.0.0.1\nDNS=1.1.1.1\n" in written
    assert "admin:$6$abc$" in (root / "etc/shadow").read_text()
    assert "root:*:" in (root / "etc/shadow").read_text()


@pytest.mark.parametrize("hostile", ["x:y", "$6$a\nroot::0:0", "plain text", "", "$6$a$b:c"])
def test_a_password_that_is_no_hash_is_refused_and_said(root: Path, hostile: str) -> None:
    with pytest.raises(FormatError):
        render.shadow(SHADOW, hostile)
    assert render.write(State(admin_password_hash=hostile), root)
    assert (root / "etc/shadow").read_text() == SHADOW


def test_hostile_settings_cannot_leave_their_line(root: Path) -> None:
    network = Network("static", "1.2.3.4/8\n[Match]\nName=lo", "", ())
    state = State("-a b;c-", "en", '../../etc\nX="1"', "../../../etc/shadow", "!", network)
    render.write(state, root)
    assert (root / "etc/hostname").read_text() == "abc\n"
    assert (root / "etc/vconsole.conf").read_text() == "KEYMAP=us\n"
    assert (root / "etc/timezone").read_text() == "UTC\n"
    assert "Name=lo" not in (root / "etc/systemd/network/10-engine.network").read_text()


@pytest.mark.parametrize(("mode", "line"), [("dhcp", "DHCP=yes"), ("none", "LinkLocalAddressing=no")])
def test_each_network_mode_has_its_line(mode: str, line: str) -> None:
    assert line in render.network(Network(mode)).splitlines()


def test_vms_are_read_and_a_broken_one_is_named(tmp_path: Path) -> None:
    for name, text in (("win", json.dumps(DEFINITION)), ("bad", "{"), ("old", '{"name": "old"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vm.json").write_text(text)
    vms = health.read_vms(tmp_path)
    assert [vm["name"] for vm in vms.definitions] == ["win"]
    assert [("bad" in p, "old" in p) for p in vms.problems] == [(True, False), (False, True)]


def test_fewer_vms_than_before_is_a_problem_and_more_is_none() -> None:
    two = health.VmList((DEFINITION, DEFINITION), ())
    assert health.vm_problems(two, ["a", "b"]) == []
    assert health.vm_problems(two, []) == []
    assert health.vm_problems(two, ["a", "b", "c"]) == ["1 of 3 VM definitions are missing."]


def test_a_store_that_is_no_mount_is_a_problem(tmp_path: Path) -> None:
    assert health.store_problems(tmp_path, "The state") == ["The state is not mounted."]
    assert health.store_problems(Path("/proc"), "The state") == []


def serve_store(path: Path, kind: int, answer: bytes) -> threading.Thread:
    """A Xen store for one question."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, listener:
            asked, request, transaction, size = struct.unpack("<IIII", connection.recv(16))
            assert (asked, connection.recv(size)) == (2, b"/local/domain/0/name\0")
            reply = struct.pack("<IIII", kind, request, transaction, len(answer)) + answer
            connection.sendall(reply[:10])
            connection.sendall(reply[10:])

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_the_xen_store_is_asked_by_its_own_protocol(tmp_path: Path) -> None:
    thread = serve_store(tmp_path / "s", 2, b"Domain-0")
    assert health.read_xenstore("/local/domain/0/name", tmp_path / "s") == "Domain-0"
    thread.join()


def test_an_error_of_the_xen_store_is_an_error(tmp_path: Path) -> None:
    thread = serve_store(tmp_path / "s", 16, b"ENOENT\0")
    with pytest.raises(OSError, match="ENOENT"):
        health.read_xenstore("/local/domain/0/name", tmp_path / "s")
    thread.join()


def test_xen_and_secure_boot_are_read_from_sys(tmp_path: Path) -> None:
    assert health.xen_version(tmp_path) == ""
    folder = tmp_path / "sys/hypervisor/version"
    folder.mkdir(parents=True)
    (folder.parent / "type").write_text("xen\n")
    for name, value in (("major", "4"), ("minor", "17"), ("extra", ".7")):
        (folder / name).write_text(value + "\n")
    assert health.xen_version(tmp_path) == "4.17.7"
    lockdown = tmp_path / "sys/kernel/security/lockdown"
    lockdown.parent.mkdir(parents=True)
    for text, expected in (("[none] integrity confidentiality", False), ("none [integrity] x", True)):
        lockdown.write_text(text)
        assert health.secure_boot(tmp_path) is expected


def test_the_boot_record_is_read_and_its_absence_explained(tmp_path: Path) -> None:
    record = tmp_path / "boot.json"
    with pytest.raises(SourceError, match="not a running Engine"):
        boot.read(record)
    record.write_text(json.dumps({"schema": 1, "kind": "medium"}))
    with pytest.raises(SourceError, match="medium"):
        boot.read(record)
    record.write_text(json.dumps({"schema": 1, "kind": "slot", "slot": "b", "why": "try"}))
    assert boot.read(record).is_trial


def test_the_document_has_the_keys_of_the_contract(tmp_path: Path) -> None:
    release = tmp_path / "usr/lib/engine/release.json"
    release.parent.mkdir(parents=True)
    release.write_text(
        '{"schema":1,"product":"Engine","version":"5.0","build":5000,"arch":"amd64","layout":2}'
    )
    found = status.Status(status.release(tmp_path), booted(), "4.17.7", False, "ok", (), ())
    keys = "version build slot why fell_back_from install_id layout xen secure_boot state vms"
    assert list(found.to_json()) == keys.split()
    ill = status.Status(status.release(tmp_path), booted(), "", False, "ok", (), ("No Xen.",))
    assert ill.to_json()["why_not"] == ["No Xen."]


def test_the_host_key_is_made_once_and_kept(tmp_path: Path) -> None:
    state, run_ssh = tmp_path / "slots/a", tmp_path / "run"
    identity.keep_host_key(state, run_ssh)
    key = run_ssh / "ssh_host_ed25519_key"
    first = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    subprocess.run(["ssh-keygen", "-y", "-f", key], check=True, capture_output=True)
    identity.keep_host_key(state, run_ssh)
    assert key.read_bytes() == first


def test_the_machine_id_is_remembered_once(tmp_path: Path) -> None:
    current = tmp_path / "machine-id"
    current.write_text("0" * 32 + "\n")
    identity.keep_machine_id(tmp_path, current)
    current.write_text("1" * 32 + "\n")
    (tmp_path / "a").mkdir()
    identity.keep_machine_id(tmp_path / "a", current)
    assert (tmp_path / "a/machine-id").read_text() == "1" * 32 + "\n"


def test_the_good_mark_is_one_sector_of_the_boot_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    esp, environment = tmp_path / "esp.img", tmp_path / "grubenv"
    subprocess.run(["truncate", "-s", "64M", esp], check=True)
    subprocess.run(
        ["mformat", "-i", esp, "-F", "-c", "1", "-T", "131072", "-h", "64", "-s", "32", "::"], check=True
    )
    environment.write_bytes(bootenv.build(bootenv.initial(3, 4) | {"try": "b", "tries": "2"}))
    subprocess.run(["mmd", "-i", esp, "::/engine"], check=True)
    subprocess.run(["mcopy", "-i", esp, environment, "::/engine/grubenv"], check=True)
    before = esp.read_bytes()
    monkeypatch.setattr(good, "MARK", tmp_path / "good")
    good.mark_good(booted(esp=str(esp), slot="b", why="try"))
    after = esp.read_bytes()
    changed = [n for n in range(0, len(before), 512) if before[n : n + 512] != after[n : n + 512]]
    assert len(changed) == 1
    data = bootenv.read(lambda offset, size: after[offset : offset + size], 0, len(after))
    assert (data["good"], data["try"], data["tries"]) == ("b", "", "0")
    assert (tmp_path / "good").exists()
