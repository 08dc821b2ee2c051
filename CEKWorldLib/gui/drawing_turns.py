"""Views are drawn one per round of the event loop, so that a change in all of them keeps nobody waiting for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from CEKWorldLib.gui.timers import MakeTimer


class View(Protocol):
    """A ``ctkVTKAbstractView``."""

    def pauseRender(self) -> int: ...

    def resumeRender(self) -> int: ...


class DrawingTurns:
    """Holds views back while something changes, and lets them go one after another.

    A view that has waited for 16 ms draws at once when something changes again, all of them within the code that
    changes it: three slice views kept the GUI thread for 45 to 100 ms without a graphics card.

    Args:
        views: gives those on screen.
        make_timer: of the application.
    """

    def __init__(self, views: Callable[[], Sequence[View]], make_timer: MakeTimer) -> None:
        self._views = views
        self._timer = make_timer(self._let_one_go)
        self._held: list[View] = []

    @contextmanager
    def change(self) -> Iterator[None]:
        """What is changed within is drawn afterwards."""
        for view in self._views():
            if view not in self._held:
                view.pauseRender()
                self._held.append(view)
        try:
            yield
        finally:
            self._timer.start(0)

    def close(self) -> None:
        """Lets all of them go."""
        self._timer.stop()
        while self._held:
            self._held.pop().resumeRender()

    def _let_one_go(self) -> None:
        if len(self._held) > 1:
            self._timer.start(0)
        if self._held:
            self._held.pop(0).resumeRender()
