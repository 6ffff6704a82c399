"""The progress bar, in block glyphs that every console has."""

from __future__ import annotations

from textual.widgets import Static

from mediakit.units import format_duration, format_size


def bar_text(done: int, total: int, width: int) -> str:
    """``█████░░░░░  47 %`` in ``width`` columns."""
    share = min(1.0, done / total) if total > 0 else 0.0
    cells = width - 7
    filled = int(cells * share)
    return "█" * filled + "░" * (cells - filled) + f" {int(share * 100):4d} %"


def speed_text(done: int, total: int, bytes_per_second: float, eta_seconds: float | None) -> str:
    """``1.20 GiB / 2.00 GiB   45.0 MiB/s   0:18 min`` with what is known."""
    words = [f"{format_size(done)} / {format_size(total)}"] if total else []
    if bytes_per_second:
        words.append(f"{format_size(round(bytes_per_second))}/s")
    if eta_seconds is not None:
        words.append(f"~ {format_duration(eta_seconds)}")
    return "   ".join(words)


class Bar(Static):
    """Two lines: the bar, and bytes, speed and time left."""

    DEFAULT_CSS = "Bar { height: 2; width: 1fr; }"

    def __init__(self, *, ident: str | None = None) -> None:
        super().__init__("", markup=False, id=ident)

    def show(self, done: int, total: int, bytes_per_second: float = 0.0, eta: float | None = None) -> None:
        width = max(20, self.size.width - 2)
        self.update(f"{bar_text(done, total, width)}\n{speed_text(done, total, bytes_per_second, eta)}")
