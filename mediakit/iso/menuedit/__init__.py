"""Edits of boot menus: arguments, entries, default, timeout and label in all menus of a medium. Pure."""
