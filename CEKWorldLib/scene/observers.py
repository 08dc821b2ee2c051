"""Observers of VTK objects that end together and do not keep their receiver alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakMethod, finalize


class Observers:
    """A set of observations; none outlives ``clear``, and none keeps the object whose method it calls."""

    def __init__(self) -> None:
        self._observed: list[tuple[Any, int]] = []
        # The collector takes a callback apart together with the Python side of its subject, while the subject still
        # calls it: without this, dropping a session that was not closed crashes at the next event.
        finalize(self, _end, self._observed)

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
        _end(self._observed)


def _end(observed: list[tuple[Any, int]]) -> None:
    for subject, tag in observed:
        subject.RemoveObserver(tag)
    observed.clear()
