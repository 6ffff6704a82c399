from pathlib import Path

import pytest

from mediakit.errors import UsageError
from mediakit.vm.argv import argv, device_options, escape
from mediakit.vm.spec import Bus, Channels, Disk, Firmware, FirmwareFiles, VmSpec

FILES = FirmwareFiles(Path("/code.fd"), Path("/vars.fd"))
CHANNELS = Channels(Path("/run/qmp"), Path("/run/serial"))


def pairs(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_a_bios_machine_with_a_stick_and_a_disk_is_these_words() -> None:
    spec = VmSpec(
        Firmware.BIOS, (Disk(Path("/s.iso"), Bus.USB, boot=0), Disk(Path("/d.img"), Bus.SATA, serial="D1"))
    )
    assert " ".join(argv(spec, "tcg", None, CHANNELS)) == (
        "qemu-system-x86_64 -nodefaults -no-user-config -name mediakit -machine q35 -accel tcg,thread=multi "
        "-cpu max,-smap -smp 1 -m 1024M -rtc base=utc -vga std -display none -nic none -device qemu-xhci,id=usb "
        "-drive if=none,id=disk0,format=raw,file=/s.iso,cache=unsafe,discard=unmap "
        "-device usb-storage,id=dev0,drive=disk0,bus=usb.0,bootindex=0,removable=on "
        "-drive if=none,id=disk1,format=raw,file=/d.img,cache=unsafe,discard=unmap "
        "-device ide-hd,id=dev1,drive=disk1,bus=ide.0,serial=D1 "
        "-chardev socket,id=qmp,path=/run/qmp,server=off -mon chardev=qmp,mode=control "
        "-chardev socket,id=serial,path=/run/serial,server=off -serial chardev:serial"
    )


def test_a_bios_machine_that_starts_its_own_disk_has_a_small_translation_buffer() -> None:
    own, stick = Disk(Path("/d"), Bus.SATA, boot=0), Disk(Path("/s"), Bus.USB, boot=0)
    for spec, expected in (
        (VmSpec(Firmware.BIOS, (own,)), "tcg,thread=multi,tb-size=24"),
        (VmSpec(Firmware.BIOS, (stick, Disk(Path("/d"), Bus.SATA, boot=1))), "tcg,thread=multi"),
        (VmSpec(Firmware.UEFI, (own,)), "tcg,thread=multi"),
    ):
        assert pairs(argv(spec, "tcg", FILES, CHANNELS), "-accel") == [expected]
    assert pairs(argv(VmSpec(Firmware.BIOS, (own,)), "kvm", FILES, CHANNELS), "-accel") == ["kvm"]


def test_secure_boot_needs_smm_and_secure_flash() -> None:
    words = argv(VmSpec(Firmware.SECURE_BOOT), "tcg", FILES, CHANNELS)
    assert "q35,smm=on" in words
    assert "driver=cfi.pflash01,property=secure,value=on" in words
    assert "if=pflash,unit=0,format=raw,readonly=on,file=/code.fd" in words


def test_by_hand_the_serial_line_is_on_the_terminal() -> None:
    words = argv(VmSpec(Firmware.BIOS))
    assert words[-2:] == ["-serial", "mon:stdio"] and "-chardev" not in words


def test_a_comma_in_a_file_name_is_no_option() -> None:
    words = argv(VmSpec(Firmware.BIOS, (Disk(Path("/a,readonly=on.img")),)))
    assert "file=/a,,readonly=on.img" in pairs(words, "-drive")[0]
    assert escape("a,b") == "a,,b"


def test_4096_byte_sectors_are_said_to_the_device() -> None:
    for bus in (Bus.NVME, Bus.VIRTIO, Bus.SCSI):
        assert device_options(Disk(Path("x"), bus, sector_bytes=4096), "d")["logical_block_size"] == "4096"


def test_every_nvme_has_a_serial_of_its_own() -> None:
    words = argv(VmSpec(Firmware.BIOS, (Disk(Path("a"), Bus.NVME), Disk(Path("b"), Bus.NVME))))
    assert [w.split("serial=")[1] for w in pairs(words, "-device") if w.startswith("nvme")] == [
        "disk0",
        "disk1",
    ]


def test_ide_is_refused_where_there_is_none() -> None:
    spec = VmSpec(Firmware.BIOS, (Disk(Path("a"), Bus.IDE),))
    with pytest.raises(UsageError, match="no IDE"):
        argv(spec)
    four = tuple(Disk(Path(name), Bus.IDE) for name in "abcd")
    words = argv(VmSpec(Firmware.BIOS, four, machine="pc"))
    assert [w[-14:] for w in pairs(words, "-device")[1:]] == [
        f"bus=ide.{n // 2},unit={n % 2}"[-14:] for n in range(4)
    ]


def test_uefi_without_its_files_is_refused() -> None:
    with pytest.raises(UsageError):
        argv(VmSpec(Firmware.UEFI))
