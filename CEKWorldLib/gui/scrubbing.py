"""The time slider's behaviour: what can be shown is shown while it moves, what takes longer once it rests."""

from __future__ import annotations

from collections.abc import Callable

from CEKWorldLib.gui.coalescing import Coalescer
from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.timers import MakeTimer
from CEKWorldLib.scene.series_view import Shown

# A preview of 320x320x160 takes 35 ms; half of the time is left to the views and the mouse.
_INTERVAL_MS = 30
_REST_MS = 150


class Scrubber:
    """Follows the time slider; the latest time wins.

    Args:
        make_timer: of the application.
        show: shows a time as well as it can at once, and says what it showed; None where nothing may be shown.

    Attributes:
        shown: emitted with every ``Shown``.
        rested: emitted with a time that was left standing and is only a preview yet.
    """

    def __init__(self, make_timer: MakeTimer, show: Callable[[float], Shown | None]) -> None:
        self.shown = Signal()
        self.rested = Signal()
        self._show = show
        self._time_s = 0.0
        self._is_exact = True
        self._moves: Coalescer[float] = Coalescer(make_timer, self._now, _INTERVAL_MS)
        self._rest = make_timer(self._rests)

    @property
    def time_s(self) -> float:
        """The latest time asked for."""
        return self._time_s

    def move(self, time_s: float) -> None:
        """The slider stands at a time."""
        self._time_s = time_s
        self._moves.put(time_s)
        self._rest.start(_REST_MS)

    def refresh(self) -> None:
        """Shows the present time again, as something about it has changed."""
        self._now(self._time_s)

    def settle(self) -> None:
        """As ``refresh``; what is only a preview then is asked for, as after a move."""
        self.refresh()
        self._rest.start(_REST_MS)

    def stop(self) -> None:
        self._moves.drop()
        self._rest.stop()

    def _now(self, time_s: float) -> None:
        shown = self._show(time_s)
        if shown is not None:
            self._is_exact = shown.exact
            self.shown.emit(shown)

    def _rests(self) -> None:
        if not self._is_exact:
            self.rested.emit(self._time_s)
