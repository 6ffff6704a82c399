"""``python -m mediakit`` is ``mediakit``."""

from mediakit.cli.main import run

run()
