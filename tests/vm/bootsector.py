"""A boot sector, assembled by hand: it prints on the screen and on COM1, then echoes keys to both."""

from __future__ import annotations

HELLO = b"Hello from sector 0\r\n"
ORIGIN = 0x7C00


def build() -> bytes:
    """512 bytes of 16-bit code for any BIOS (INT 10h teletype, INT 14h serial, INT 16h keyboard)."""
    code = bytearray()
    code += bytes.fromhex("31c08ed88ec0fa8ed0bc007cfb")  # segments 0, stack below us
    code += bytes.fromhex("b8e30031d2cd14")  # INT 14h 00: COM1 9600 8N1
    code += bytes.fromhex("be")  # mov si, message
    message_at = len(code)
    code += b"\0\0"
    loop = len(code)
    code += bytes.fromhex("ac84c07405")  # lodsb; test al; jz +5
    code += bytes.fromhex("e8")  # call put
    call_one = len(code)
    code += b"\0\0"
    code += bytes([0xEB, (loop - (len(code) + 2)) & 0xFF])  # jmp loop
    keys = len(code)
    code += bytes.fromhex("30e4cd16")  # xor ah, ah; int 16h: wait for a key
    code += bytes.fromhex("e8")
    call_two = len(code)
    code += b"\0\0"
    code += bytes([0xEB, (keys - (len(code) + 2)) & 0xFF])
    put = len(code)
    code += bytes.fromhex("50b40ebb0700cd1058")  # push ax; teletype; pop ax
    code += bytes.fromhex("b40131d2cd14c3")  # INT 14h 01: send al; ret
    for at in (call_one, call_two):
        code[at : at + 2] = (put - (at + 2)).to_bytes(2, "little", signed=True)
    code[message_at : message_at + 2] = (ORIGIN + len(code)).to_bytes(2, "little")
    code += HELLO + b"\0"
    return bytes(code).ljust(510, b"\0") + b"\x55\xaa"
