"""The time slider: whatever it sends, the latest time is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.picture_stream import PictureStream

_EMPTY_S = 480.0  # length of the slider while there are no phases


class Scrubber:
    """Shows the slider's time in the scene. Times that come while one is being shown replace each other.

    The browser alone moves the slider, playback included (``viewer.js``): trame's client sends a value as it is when
    the connection gets free, and one that this process set meanwhile would be sent in place of the user's.

    Args:
        page: has the slider.
        scene: what is scrubbed through.
        stream: draws what is shown.

    Attributes:
        fetch: brings a time into the scene before it is shown, and says whether it could; None where all are there.
    """

    fetch: Callable[[float], Awaitable[bool]] | None = None

    def __init__(self, page: Page, scene: SceneSession, stream: PictureStream) -> None:
        self._page, self._scene, self._stream = page, scene, stream
        self._wanted = asyncio.Event()
        stream.socket.wanted = self._want
        page.on_change("subtracted", lambda _: self._wanted.set())

    def start(self) -> None:
        """Begins to follow the slider, in the running event loop."""
        self._task = asyncio.create_task(self._follow())

    def reset(self, time_s: float, times_s: Sequence[float] = ()) -> None:
        """Takes over the times of the scene, or others that are going to be there, and goes to one; playback stops."""
        self.fetch = None
        times = list(times_s or self._scene.times_s)
        first, last = (times[0], times[-1]) if len(times) > 1 else (0.0, _EMPTY_S)
        self._page.set(times_s=times, first_s=first, last_s=last, time_s=min(max(time_s, first), last), playing=False)
        self.refresh()

    def refresh(self) -> None:
        """Shows the slider's time once more: there is more to see of it."""
        self._wanted.set()

    def _want(self, time_s: float) -> None:
        self._page.take("time_s", time_s)
        self._wanted.set()

    async def _follow(self) -> None:
        while True:
            await self._wanted.wait()
            # A time that nobody would see drawn is not shown: by then, another one is the latest.
            await self._stream.ready()
            self._wanted.clear()
            time_s = float(self._page.get("time_s"))
            is_there = self.fetch is None or await self.fetch(time_s)
            if is_there and self._scene.is_open:
                self._show(time_s)

    def _show(self, time_s: float) -> None:
        self._stream.hurry(time_s)
        self._scene.subtracted = bool(self._page.get("subtracted"))
        shown = self._scene.show(time_s)
        if shown is not None:
            self._page.set(exact=shown.exact)
