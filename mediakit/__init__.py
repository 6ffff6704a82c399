"""mediakit: inspect, build and write Engine boot media; install and upgrade Engines from them.

The layers, lowest first; imports point down only (``tests/test_architecture.py`` holds them):
``errors units < progress < run < formats < {iso, block, vm} < engine < {stick, install} < reference < cli``.
"""

__version__ = "0.1.0"
