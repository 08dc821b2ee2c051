"""What several sections do with their widgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def say(label: Any, text: str) -> None:
    """Shows a text in a ``QLabel``; without one it takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


def set_range(widget: Any, low: float, high: float) -> None:
    """Gives a slider or spin box its range. CTK's ``setRange`` is no slot, so Python does not see it."""
    widget.minimum = min(low, widget.minimum)  # never above the maximum, which would be pushed up
    widget.maximum = high
    widget.minimum = low


@contextmanager
def quiet(*widgets: Any) -> Iterator[None]:
    """Changes widgets without their telling so, as when they follow what they would otherwise command."""
    before = [(widget, widget.blockSignals(True)) for widget in widgets]
    try:
        yield
    finally:
        for widget, was_blocked in before:
            widget.blockSignals(was_blocked)
