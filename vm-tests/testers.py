"""Stand-ins for memory testers, as they come on boot media: code that prints a message on the first serial port
and halts, in the four shapes in which boot loaders start what is no Linux.
"""

from __future__ import annotations

import struct

from tests.isos.programs import efi_program

# lodsb; test al,al; jz halt; mov ah,al; mov dx,3FDh; (in al,dx; test al,20h; jz) until the line is free;
# mov dx,3F8h; mov al,ah; out dx,al; jmp; halt: hlt; jmp. The same bytes in 32 and in 64 bits, not in 16.
_PRINT = bytes.fromhex("ac 84c0 7414 88c4 66bafd03 ec a820 74fb 66baf803 88e0 ee ebe7 f4 ebfd")
_PRINT_16 = bytes.fromhex("ac 84c0 7412 88c4 bafd03 ec a820 74fb baf803 88e0 ee ebe9 f4 ebfd")
_MULTIBOOT_PLACE = 0x100000


def linux_image(message: str) -> bytes:
    """16-bit code behind the header of a Linux kernel (``Documentation/arch/x86/boot.rst``), as Memtest86+ 5."""
    code = bytes.fromhex("0e1f be6000") + _PRINT_16  # push cs; pop ds; mov si,60h
    setup = bytearray(1024)
    setup[0x1F1] = 1  # sectors of setup code
    struct.pack_into("<IHHH", setup, 0x1F4, 4096 // 16, 0, 0, 0)
    struct.pack_into("<H", setup, 0x1FE, 0xAA55)
    struct.pack_into("<H4sH", setup, 0x200, 0x3EEB, b"HdrS", 0x0202)  # jmp to 0x240
    setup[0x211] = 1  # loaded high
    struct.pack_into("<I", setup, 0x214, 0x100000)
    setup[0x240 : 0x240 + len(code)] = code
    text = _text(message)
    setup[0x260 : 0x260 + len(text)] = text
    return bytes(setup) + bytes(4096)


def multiboot(message: str) -> bytes:
    """A Multiboot image (Multiboot 0.6.96 §3.1) that says its addresses itself: no ELF around it."""
    flags, header = 0x00010000, 32
    code_place = _MULTIBOOT_PLACE + header
    code = b"\xbe" + struct.pack("<I", code_place + 5 + len(_PRINT)) + _PRINT  # mov esi, the message
    body = code + _text(message)
    addresses = (_MULTIBOOT_PLACE, _MULTIBOOT_PLACE, _MULTIBOOT_PLACE + header + len(body), 0, code_place)
    magic = 0x1BADB002
    return struct.pack("<III5I", magic, flags, -(magic + flags) & 0xFFFFFFFF, *addresses) + body


def boot_sector(message: str) -> bytes:
    """A boot sector, which is started at 7C00."""
    head = bytes.fromhex("fa 31c0 8ed8 be")  # cli; xor ax,ax; mov ds,ax; mov si, the message
    text_place = 0x7C00 + len(head) + 2 + len(_PRINT_16)
    code = head + struct.pack("<H", text_place) + _PRINT_16 + _text(message)
    return code.ljust(510, b"\0") + b"\x55\xaa"


def efi(message: str) -> bytes:
    """An EFI application, as Memtest86+ 6."""
    code = b"\x48\x8d\x35" + struct.pack("<i", len(_PRINT)) + _PRINT  # lea rsi, the message
    return efi_program(code=code + _text(message))


def _text(message: str) -> bytes:
    return message.encode() + b"\r\n\0"
