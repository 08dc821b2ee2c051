"""The way of pictures to the browser, and of the slider's times back: a WebSocket of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

_PATIENCE_S = 1.0  # with a window that takes nothing


class PictureSocket:
    """Sends pictures to all windows of a page, and hears which of them they show and which time they want.

    trame's own connection gives the browser every message as a Blob, which its page reads through another process,
    twice a message: that took more of the browser's time than showing a picture does. It also keeps a value of the
    page back until the one before it is answered.

    Args:
        opened: called when another window listens, which has no pictures yet.
        shown: called with the number of a picture that a window shows.

    Attributes:
        wanted: called with the slider's time, in seconds.
    """

    wanted: Callable[[float], None] = staticmethod(lambda _: None)

    def __init__(self, opened: Callable[[], None], shown: Callable[[int], None]) -> None:
        self._opened, self._shown = opened, shown
        self._windows: dict[web.WebSocketResponse, web.Request] = {}

    def routes(self) -> list[web.RouteDef]:
        """What is answered, ``pictures.js`` asks for it."""
        return [web.get("/pictures", self._serve)]

    async def send(self, view: str, time_s: float, serial: int, jpeg: Any) -> None:
        """Sends a view's picture of a time, with a number that is greater than those of all before it."""
        message = f"{view} {time_s} {serial}\n".encode() + bytes(jpeg)
        await asyncio.gather(*(self._send(window, message) for window in self._windows))

    async def _send(self, window: web.WebSocketResponse, message: bytes) -> None:
        with suppress(ConnectionError):
            try:
                await asyncio.wait_for(window.send_bytes(message), _PATIENCE_S)
            except TimeoutError:
                # Closing it in order would wait for it as well; its page asks again when it takes messages again.
                if (transport := self._windows[window].transport) is not None:
                    transport.abort()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        window = web.WebSocketResponse(compress=False)
        await window.prepare(request)
        self._windows[window] = request
        self._opened()
        try:
            async for message in window:
                if message.type == WSMsgType.TEXT:
                    self._hear(message.data)
        finally:
            del self._windows[window]
        return window

    def _hear(self, message: str) -> None:
        what, _, value = message.partition(" ")
        with suppress(ValueError):  # not of our page
            if what == "shown":
                self._shown(int(value))
            elif what == "time":
                self.wanted(float(value))
