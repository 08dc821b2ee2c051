"""What a synthesis has so far, shown while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from CEKWorldLib.scene.scene_session import SceneSession
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.scrubber import Scrubber
from CEKWorldLib.web.synthesis import Read, read_frame
from CEKWorldLib.worker.interface import SynthesisClient


class LiveFrames:
    """Reads the slider's time from the worker while it synthesizes; slices that are not ready show the source.

    The worker finishes slice by slice, each at all times, the one on screen first: so a slider can be moved from the
    first second on.

    Args:
        page: says how far the synthesis is.
        scene: what shows them.
        scrubber: asks for the slider's time.
    """

    def __init__(self, page: Page, scene: SceneSession, scrubber: Scrubber) -> None:
        self._scene, self._scrubber = scene, scrubber
        self._reading = asyncio.Lock()
        self._client: SynthesisClient | None = None
        page.on_change("progress_percent", lambda _: self._refresh())

    @asynccontextmanager
    async def following(self, client: SynthesisClient) -> AsyncIterator[Read]:
        """While it lasts, the slider shows what a client's synthesis has.

        It gives what else may read frames meanwhile, in turns with the slider: a client answers only who asked last.
        Afterwards nothing is being read, and the views stay as they are until the slider is reset.
        """

        async def read(time_s: float) -> np.ndarray:
            async with self._reading:
                return await read_frame(client, time_s)

        self._client = client
        self._scrubber.fetch = self._fetch
        try:
            yield read
        finally:
            async with self._reading:
                self._client = None

    async def _fetch(self, time_s: float) -> bool:
        async with self._reading:
            if self._client is None:
                return False
            reading = asyncio.wrap_future(self._client.frame(time_s, partial=True, extrapolate=True))
            await asyncio.wait([reading])
            # Whoever synthesizes is told what went wrong; what is open by then may be something else.
            if reading.cancelled() or reading.exception() is not None or self._scrubber.fetch is None:
                return False
            frame = reading.result()
            # A copy: what is read meanwhile would be written to where this frame, still on screen, lies.
            self._scene.put_glance(time_s, frame.voxels.copy(), partial=not frame.complete)
            return True

    def _refresh(self) -> None:
        if self._client is not None:
            self._scrubber.refresh()
