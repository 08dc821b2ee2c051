"""The time slider: whatever it sends, the latest time is shown, and playback."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from time import monotonic

from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.page_state import Page

_SHOWN_EVERY_S = 1 / 60  # at most; views draw at 30 per second
_PLAYED_EVERY_S = 1 / 20
_ROUNDING_S = 1e-6


class Scrubber:
    """Shows the slider's time in the scene. Times that come while one is being shown replace each other.

    Args:
        page: has the slider.
        scene: what is scrubbed through.
    """

    def __init__(self, page: Page, scene: SceneSession) -> None:
        self._page = page
        self._scene = scene
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task] = []
        page.on_change("time_s", lambda _: self._wanted.set())
        page.on_change("subtracted", lambda _: self._wanted.set())
        page.on_change("playing", lambda _: self._restart())
        self._played_from: tuple[float, float] = (0.0, 0.0)  # clock and series time

    def start(self) -> None:
        """Begins to follow the slider, in the running event loop."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._play())]

    def reset(self, time_s: float | None = None) -> None:
        """Takes over the times of the scene, and goes to one.

        Args:
            time_s: where to; None stays.
        """
        times = list(self._scene.times_s)
        first, last = (times[0], times[-1]) if len(times) > 1 else (0.0, 480.0)
        wanted = float(self._page.get("time_s") if time_s is None else time_s)
        self._page.set(times_s=times, first_s=first, last_s=last, time_s=min(max(wanted, first), last))
        self._wanted.set()

    def step(self, direction: int) -> None:
        """Goes to the next prepared time (1) or the previous one (-1)."""
        times, now = self._scene.times_s, float(self._page.get("time_s"))
        n = bisect_right(times, now + _ROUNDING_S) if direction > 0 else bisect_left(times, now - _ROUNDING_S) - 1
        if times:
            self._page.set(time_s=times[min(max(n, 0), len(times) - 1)])

    def move(self, seconds: float) -> None:
        """Moves the slider by some seconds."""
        now = float(self._page.get("time_s")) + seconds
        self._page.set(time_s=min(max(now, self._page.get("first_s")), self._page.get("last_s")))

    async def _follow(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._scene.is_open:
                self._show(float(self._page.get("time_s")))
            # Leaves the loop to the views, and to messages that bring a newer time.
            await asyncio.sleep(_SHOWN_EVERY_S)

    def _show(self, time_s: float) -> None:
        self._scene.subtracted = bool(self._page.get("subtracted"))
        shown = self._scene.show(time_s)
        if shown is not None:
            self._page.set(shown_s=shown.time_s, exact=shown.exact)

    def _restart(self) -> None:
        now = float(self._page.get("time_s"))
        if now >= float(self._page.get("last_s")) - _ROUNDING_S:
            now = float(self._page.get("first_s"))
        self._played_from = (monotonic(), now)

    async def _play(self) -> None:
        """Follows the clock, so that a busy machine shows fewer images and not a slower bolus."""
        speed = 0.0
        while True:
            await asyncio.sleep(_PLAYED_EVERY_S)
            if not self._page.get("playing"):
                continue
            if float(self._page.get("speed")) != speed:
                speed = float(self._page.get("speed"))
                self._played_from = (monotonic(), float(self._page.get("time_s")))
            self._advance(speed)

    def _advance(self, speed: float) -> None:
        clock, began = self._played_from
        first, last = float(self._page.get("first_s")), float(self._page.get("last_s"))
        now = began + speed * (monotonic() - clock)
        if now < last:
            self._page.set(time_s=round(now, 1))
        elif self._page.get("loop"):
            self._played_from = (monotonic(), first)
            self._page.set(time_s=first)
        else:
            self._page.set(time_s=last, playing=False)
