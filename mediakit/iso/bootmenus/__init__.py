"""The menus of boot loaders: parsed, one module a language, and followed as loaders do. Reads only."""
