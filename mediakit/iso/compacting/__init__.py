"""Compacting: an image without dead space and history, as good as it was. Writes new files only."""
