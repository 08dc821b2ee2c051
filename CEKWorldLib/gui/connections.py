"""Qt connections that are checked when they are made, and end together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def connect(sender: Any, signature: str, slot: Callable[..., Any]) -> None:
    """Connects a Qt signal.

    Args:
        sender: ``QObject``.
        signature: as C++ spells it, such as ``valueChanged(double)``.
        slot: called with as many of the signal's values as it has positional parameters, those with defaults included.

    Raises:
        RuntimeError: there is no such signal; PythonQt itself would only print so.
    """
    if not sender.connect(signature, slot):
        raise RuntimeError(f"{sender.className()} has no signal {signature}")


class Connections:
    """Connections of one owner. PythonQt holds slots for as long as the sender lives, so they are ended by hand."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Callable[..., Any]]] = []

    def add(self, sender: Any, signature: str, slot: Callable[..., Any]) -> None:
        """As ``connect``."""
        connect(sender, signature, slot)
        self._made.append((sender, signature, slot))

    def end(self) -> None:
        for sender, signature, slot in self._made:
            sender.disconnect(signature, slot)
        self._made.clear()
