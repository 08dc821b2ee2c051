"""Many requests become few: of what comes while one is being done, only the latest is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from CEKWorldLib.gui.timers import MakeTimer

Value = TypeVar("Value")


class Coalescer(Generic[Value]):
    """Does the first request at once and then, an interval later, the latest of those that came meanwhile.

    The event loop is free between two of them, however fast the mouse moves, and the last request is always done.

    Args:
        make_timer: of the application.
        act: does a request.
        interval_ms: between two.
    """

    def __init__(self, make_timer: MakeTimer, act: Callable[[Value], None], interval_ms: int) -> None:
        self._act = act
        self._interval_ms = interval_ms
        self._timer = make_timer(self._next)
        self._waiting: list[Value] = []

    def put(self, value: Value) -> None:
        if self._timer.is_running:
            self._waiting = [value]
        else:
            self._do(value)

    def drop(self) -> None:
        """Forgets what waits."""
        self._waiting.clear()
        self._timer.stop()

    def _next(self) -> None:
        if self._waiting:
            self._do(self._waiting.pop())

    def _do(self, value: Value) -> None:
        # Before the act, which may fail: later requests are to be done all the same.
        self._timer.start(self._interval_ms)
        self._act(value)
