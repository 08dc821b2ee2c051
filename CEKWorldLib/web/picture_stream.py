"""The pictures of the views on their way to the browser: no faster than it shows them, and the most urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from trame_rca.encoders import RcaImageEncoder

from CEKWorldLib.web.picture_socket import PictureSocket
from CEKWorldLib.web.view_window import ViewWindow

_MOVING, _STILL = 75, 92  # JPEG quality; a picture at rest follows one that moved
_REST_S = 0.2  # without a change, after which views are at rest
_ON_THEIR_WAY = 2  # pictures: one that the browser draws, one that travels meanwhile
_IN_A_ROW = 2  # pictures of the first view, before one of another
_PATIENCE_S = 1.0  # with a browser that is hidden, or gone
_ENCODER = RcaImageEncoder.TURBO_JPEG


class ViewPictures:
    """The pictures of one view; what trame's remote controlled area calls its scheduler.

    Args:
        name: of the view.
        window: what is drawn.
        wanted: called when the view has changed.

    Attributes:
        name: as given.
        changed: whether the view is to be drawn.
        hurried: whether its next picture is one of many, and may be coarse.
        is_rough: whether its last one was not in full quality.
    """

    def __init__(self, name: str, window: ViewWindow, wanted: Callable[[], None]) -> None:
        self.name = name
        self.changed = self.hurried = self.is_rough = False
        self.target_fps = 0.0  # part of the protocol; the browser sets the pace
        self._window = window
        self._wanted = wanted

    @property
    def rca(self) -> ViewWindow:
        return self._window

    @property
    def is_due(self) -> bool:
        """Whether it is to be drawn now; one that waits is drawn when changes have ended."""
        return self.changed and not (self.hurried and self._window.waits)

    @property
    def wants_rest(self) -> bool:
        """Whether there is something to draw at rest."""
        return self.changed or self.is_rough

    def set_push_callback(self, callback: Callable[[bytes, dict], None]) -> None:
        """Pictures do not take trame's way; see ``PictureSocket``."""

    def schedule_render(self) -> None:
        self.changed = True
        self._wanted()

    def draw(self) -> Any:
        """Draws the view as it is now; gives a JPEG."""
        self._window.coarsen(self.hurried)  # another size is a change as well, but of this picture
        self.changed = self.hurried = False
        self.is_rough = not self._window.waits
        return self._encoded(_MOVING)

    def refine(self) -> Any:
        """Draws the view once more, in full quality."""
        self.changed = self.hurried = self.is_rough = False
        return self._encoded(_STILL)

    def reset(self) -> None:
        """Pictures do not depend on each other."""

    async def close(self) -> None:
        self.changed = False

    def _encoded(self, quality: int) -> Any:
        pixels = self._window.img_cols_rows[0]
        return _ENCODER.encode(pixels, pixels.shape[1], pixels.shape[0], quality)[0]


class PictureStream:
    """Draws views that have changed, one after another.

    Every picture waits until the browser shows the last but one, so none is queued anywhere: what is drawn is what is
    wanted now. While all of them change, every third picture is one of the others' and the rest are the first view's,
    the one that is looked at.

    Attributes:
        socket: takes them to the browser.
    """

    def __init__(self) -> None:
        self.socket = PictureSocket(self._want_all, self._arrive)
        self._views: list[ViewPictures] = []
        self._turn = 0  # of the views after the first
        self._in_a_row = 0  # pictures of the first
        self._sent = self._shown = 0
        self._time_s = 0.0
        self._wanted, self._arrived, self._drawn = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._drawn.set()

    def add(self, name: str, window: ViewWindow) -> ViewPictures:
        """Takes a view; the one that is taken first is the most urgent."""
        view = ViewPictures(name, window, self._want)
        self._views.append(view)
        return view

    def start(self) -> None:
        """Begins to draw, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    def hurry(self, time_s: float) -> None:
        """Says that times follow each other, this one next: until they end, pictures may be coarse."""
        self._time_s = time_s
        for view in self._views:
            view.hurried = True

    async def ready(self) -> None:
        """Waits until a change would be drawn at once: the first view, or all others without it, are up to date."""
        await self._drawn.wait()
        await self._room()

    def _want(self) -> None:
        self._drawn.clear()
        self._wanted.set()

    def _want_all(self) -> None:
        for view in self._views:
            view.schedule_render()

    def _arrive(self, serial: int) -> None:
        self._shown = max(self._shown, serial)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            view = self._most_urgent()
            if view is not None:
                await self._room()
                await self._send(view, view.draw())
                if not self._views[0].changed:
                    self._drawn.set()
                await asyncio.sleep(0)
            elif await self._at_rest():
                await self._refine()

    async def _refine(self) -> None:
        rough = [view for view in self._views if view.wants_rest]
        for view in rough:
            view.rca.coarsen(False)
        self._wanted.clear()  # views hear of each other's sizes; whatever else has changed is drawn now
        for view in rough:
            if self._wanted.is_set():
                return
            await self._room()
            await self._send(view, view.refine())

    async def _at_rest(self) -> bool:
        """Waits for a change; True if none came while there are pictures to refine."""
        self._drawn.set()
        timeout = _REST_S if any(view.wants_rest for view in self._views) else None
        try:
            await asyncio.wait_for(self._wanted.wait(), timeout)
        except TimeoutError:
            return True
        self._wanted.clear()
        return False

    async def _room(self) -> None:
        while self._sent - self._shown >= _ON_THEIR_WAY:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _PATIENCE_S)
            except TimeoutError:
                self._shown = self._sent

    async def _send(self, view: ViewPictures, jpeg: Any) -> None:
        self._sent += 1
        await self.socket.send(view.name, self._time_s, self._sent, jpeg)

    def _most_urgent(self) -> ViewPictures | None:
        first, *others = self._views
        if not (first.is_due and self._in_a_row < _IN_A_ROW):
            self._in_a_row = 0
            for _ in others:
                self._turn = (self._turn + 1) % len(others)
                if others[self._turn].is_due:
                    return others[self._turn]
        self._in_a_row += 1
        return first if first.is_due else None
