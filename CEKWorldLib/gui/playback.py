"""Playing a series: time runs, times faster than life, to the end or over and over."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from CEKWorldLib.gui.signals import Signal
from CEKWorldLib.gui.timers import MakeTimer

_TICK_MS = 50  # 20 pictures a second


class Playback:
    """Moves a time forward while it plays.

    The time follows the clock, not the ticks, so that it runs at its speed however long a picture takes.

    Args:
        make_timer: of the application.
        clock: seconds, such as ``time.monotonic``.
        move: shows a time.

    Attributes:
        toggled: emitted with whether it plays.
        speed: seconds of the series in a second.
        loop: begins again at the end.
        range_s: first and last time.
    """

    def __init__(self, make_timer: MakeTimer, clock: Callable[[], float], move: Callable[[float], None]) -> None:
        self.toggled = Signal()
        self.speed = 30.0
        self.loop = True
        self.range_s = (0.0, 0.0)
        self._clock = clock
        self._move = move
        self._timer = make_timer(self._tick, repeating=True)
        self._time_s = self._last = 0.0

    @property
    def is_playing(self) -> bool:
        return self._timer.is_running

    def play(self, from_s: float) -> None:
        """Plays from a time; from the beginning where that is the end."""
        first, last = self.range_s
        if self.is_playing or last <= first:
            return
        self._time_s = first if from_s >= last else from_s
        self._last = self._clock()
        self._timer.start(_TICK_MS)
        self.toggled.emit(True)

    def stop(self) -> None:
        if self.is_playing:
            self._timer.stop()
            self.toggled.emit(False)

    def _tick(self) -> None:
        now = self._clock()
        passed, self._last = now - self._last, now
        first, last = self.range_s
        self._time_s += self.speed * passed
        if self._time_s >= last:
            if not self.loop:
                self.stop()
                self._move(last)
                return
            self._time_s = first + (self._time_s - first) % (last - first)
        self._move(self._time_s)


def next_phase(times_s: Sequence[float], time_s: float) -> float:
    """The first phase after a time; the time itself where there is none."""
    after = bisect_right(times_s, time_s)
    return times_s[after] if after < len(times_s) else time_s


def previous_phase(times_s: Sequence[float], time_s: float) -> float:
    """The last phase before a time; the time itself where there is none."""
    before = bisect_left(times_s, time_s)
    return times_s[before - 1] if before else time_s
