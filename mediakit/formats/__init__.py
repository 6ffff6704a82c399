"""Pure bytes ↔ dataclasses: MBR, GPT, El Torito, volume descriptors, FAT, grubenv, PE. No I/O, no effects."""
