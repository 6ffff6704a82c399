"""Disks → Engine: detect, choose, plan, journal, execute, migrate state, boot loader."""
