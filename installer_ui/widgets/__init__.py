"""The installer's widgets."""
