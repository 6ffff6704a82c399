"""Owns the keyboard: text and key names to QEMU's key codes (US layout, as the guest reads them). Pure."""

from __future__ import annotations

from mediakit.errors import UsageError

_NAMED = {
    "enter": "ret", "esc": "esc", "tab": "tab", "space": "spc", "backspace": "backspace", "delete": "delete",
    "insert": "insert", "up": "up", "down": "down", "left": "left", "right": "right", "home": "home",
    "end": "end", "pageup": "pgup", "pagedown": "pgdn", "ctrl": "ctrl", "alt": "alt", "shift": "shift",
    **{f"f{n}": f"f{n}" for n in range(1, 13)},
}  # fmt: skip
_PLAIN = {
    " ": "spc", "\n": "ret", "\t": "tab", "-": "minus", "=": "equal", "[": "bracket_left",
    "]": "bracket_right", ";": "semicolon", "'": "apostrophe", "`": "grave_accent", "\\": "backslash",
    ",": "comma", ".": "dot", "/": "slash",
}  # fmt: skip
_SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./", strict=True))


def combination(name: str) -> list[str]:
    """Key codes of ``name``: ``enter``, ``f2``, ``ctrl-alt-f2``, ``a``."""
    parts = name.split("-") if len(name) > 1 else [name]
    codes: list[str] = []
    for part in parts:
        code = _NAMED.get(part.lower()) if len(part) > 1 else None
        codes += [code] if code else character(part)
    return codes


def character(letter: str) -> list[str]:
    """Key codes that type one character."""
    if letter in _SHIFTED:
        return ["shift", *character(_SHIFTED[letter])]
    if letter in _PLAIN:
        return [_PLAIN[letter]]
    if len(letter) == 1 and letter.isascii() and letter.isalnum():
        return ["shift", letter.lower()] if letter.isupper() else [letter]
    raise UsageError(f"The key “{letter}” is not on a US keyboard.", "Use characters that it has.")
