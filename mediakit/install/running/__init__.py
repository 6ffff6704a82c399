"""What runs inside an Engine: settings rendered from the state, health, the good mark, status.

``python3 -m mediakit.install.running`` is the one Python process of the boot path.
"""
