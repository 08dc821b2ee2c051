"""Timers of the event loop."""

from __future__ import annotations

from collections.abc import Callable

import qt

from CEKWorldLib.gui.connections import connect


class QtTimer:
    """See ``timers.Timer``. One ``qt.QTimer`` for each purpose: Slicer's ``singleShot`` never frees its timers."""

    def __init__(self, call: Callable[[], None], repeating: bool = False) -> None:
        self._timer = qt.QTimer()
        self._timer.setSingleShot(not repeating)
        connect(self._timer, "timeout()", call)

    def start(self, milliseconds: int) -> None:
        self._timer.start(milliseconds)

    def stop(self) -> None:
        self._timer.stop()

    @property
    def is_running(self) -> bool:
        return self._timer.isActive()
