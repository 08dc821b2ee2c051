"""What several sections do with their widgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def say(label: Any, text: str) -> None:
    """Shows a text in a ``QLabel``; without one it takes no room."""
    label.setText(text)
    label.setVisible(bool(text))


@contextmanager
def quiet(*widgets: Any) -> Iterator[None]:
    """Changes widgets without their telling so, as when they follow what they would otherwise command."""
    before = [(widget, widget.blockSignals(True)) for widget in widgets]
    try:
        yield
    finally:
        for widget, was_blocked in before:
            widget.blockSignals(was_blocked)
