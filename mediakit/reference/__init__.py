"""The reference Engine: recipe, overlay files, versions."""
