"""Times as a reader writes them."""

from __future__ import annotations


def clock_text(time_s: float) -> str:
    """Minutes and seconds, such as ``1:33``; before the injection ``-0:10``."""
    seconds = round(abs(time_s))
    sign = "-" if time_s < 0 and seconds else ""
    return f"{sign}{seconds // 60}:{seconds % 60:02d}"


def list_text(times_s: tuple[float, ...]) -> str:
    """Times as ``synthesis.times.parse_times`` reads them."""
    return ", ".join(f"{time_s:g}" for time_s in times_s)
