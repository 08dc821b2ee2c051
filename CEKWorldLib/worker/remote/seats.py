"""Who is served: a limited number of readers, and what is kept for one whose connection broke."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from pathlib import Path

from websockets.asyncio.server import ServerConnection


class Seats:
    """Seats of readers, each known by the secret of its session.

    Args:
        count: readers that are served at a time.
        root: private folder of the host; finished series are cached in it.
        keep_s: how long the series of a reader whose connection broke are kept.
    """

    def __init__(self, count: int, root: Path, keep_s: float) -> None:
        self._count = count
        self._root = root
        self._keep_s = keep_s
        self._taken: dict[Path, ServerConnection] = {}
        self._expiries: dict[Path, asyncio.TimerHandle] = {}  # of readers who may return

    def take(self, session: str, connection: ServerConnection) -> Path | None:
        """Seats a reader.

        A reader who is seated already lost that connection, even if nobody noticed here: it ends, and the seat is
        his again.

        Returns:
            The folder of his finished series; None where all seats are taken.
        """
        cache = self._root / hashlib.sha256(session.encode()).hexdigest()
        broken = self._taken.get(cache)
        if broken is not None:
            broken.transport.abort()
        elif len(self._taken) >= self._count:
            return None
        self._taken[cache] = connection
        if cache in self._expiries:
            self._expiries.pop(cache).cancel()
        return cache

    def leave(self, cache: Path, connection: ServerConnection, has_finished: bool) -> None:
        """Frees the seat of a connection that ended; forgets the reader now or, where he may return, later."""
        if self._taken.get(cache) is not connection:
            return  # he has returned
        del self._taken[cache]
        if has_finished:
            shutil.rmtree(cache, ignore_errors=True)
        else:
            self._expiries[cache] = asyncio.get_running_loop().call_later(self._keep_s, self._forget, cache)

    def _forget(self, cache: Path) -> None:
        del self._expiries[cache]
        shutil.rmtree(cache, ignore_errors=True)
