"""Signals between objects that are not Qt objects: a ``qt.Signal`` made in Python crashes Slicer's PythonQt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls what is connected to it, in the order of connection.

    >>> finished = Signal()
    >>> finished.connect(print)
    >>> finished.emit("done")
    done
    """

    def __init__(self) -> None:
        self._receivers: list[Callable[..., Any]] = []

    def connect(self, receiver: Callable[..., Any]) -> None:
        """Calls ``receiver`` with whatever is emitted. Another signal's ``emit`` serves as well."""
        self._receivers.append(receiver)

    def disconnect_all(self) -> None:
        self._receivers.clear()

    def emit(self, *values: Any) -> None:
        for receiver in list(self._receivers):
            receiver(*values)
