"""Observers of VTK objects that end together and do not keep their receiver alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakMethod


class Observers:
    """A set of observations; none outlives ``clear``, and none keeps the object whose method it calls."""

    def __init__(self) -> None:
        self._observed: list[tuple[Any, int]] = []

    def __len__(self) -> int:
        return len(self._observed)

    def add(self, subject: Any, event: int | str, method: Callable[[], None]) -> None:
        """Calls a bound method, without arguments, whenever the subject reports the event."""
        receiver = WeakMethod(method)

        def forward(*_: Any) -> None:
            alive = receiver()
            if alive is not None:
                alive()

        self._observed.append((subject, subject.AddObserver(event, forward)))

    def clear(self) -> None:
        """Ends all observations."""
        for subject, tag in self._observed:
            subject.RemoveObserver(tag)
        self._observed.clear()
