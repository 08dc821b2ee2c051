"""Marks below the time slider where phases are ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

_WIDTH, _HEIGHT = 800, 8  # stretched to the slider's width
_MARGIN = 14  # half of the slider's handle, at its usual width of 400 pixels
_MARK = 3


def positions(times_s: Sequence[float], first_s: float, last_s: float) -> list[int]:
    """Where the marks begin, in pixels from the left."""
    if last_s <= first_s:
        return []
    span = _WIDTH - 2 * _MARGIN
    return [
        round(_MARGIN + span * (time_s - first_s) / (last_s - first_s) - _MARK / 2)
        for time_s in times_s
        if first_s <= time_s <= last_s
    ]


def draw_ticks(label: Any, times_s: Sequence[float], first_s: float, last_s: float) -> None:
    """Draws marks into a ``QLabel`` that scales its contents, in the colour of its text."""
    pixmap = qt.QPixmap(_WIDTH, _HEIGHT)
    pixmap.fill(qt.QColor(0, 0, 0, 0))
    palette = label.palette  # kept, as its colour is a pointer into it
    colour = palette.color(qt.QPalette.WindowText)
    painter = qt.QPainter()
    painter.begin(pixmap)
    for x in positions(times_s, first_s, last_s):
        painter.fillRect(x, 0, _MARK, _HEIGHT - 2, colour)
    painter.end()
    label.setPixmap(pixmap)
