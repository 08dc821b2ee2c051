"""A viewer for tests of the worker: a client under asyncio whose calls can be waited for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from CEKWorldLib.exam.protocol import Injection
from CEKWorldLib.worker.asyncio_transport import COMMAND, AsyncioTransport
from CEKWorldLib.worker.client import Settings, WorkerClient
from CEKWorldLib.worker.command import remote
from CEKWorldLib.worker.interface import Voxels

TIMES = (0.0, 30.0, 60.0, 120.0)
INJECTION = Injection(arrival_s=20.0)
PATIENCE_S = 300  # for a machine that is busy with something else


def at_host(url: str) -> tuple[str, ...]:
    """The command of a worker whose work the host at a URL does."""
    return (sys.executable, *remote(url))


class Viewer:
    """A client, and the event loop it lives in, which runs while a test awaits something.

    Args:
        temporary: where its shared folder is made.
        model: name or folder.
        command: what it starts as its worker.
    """

    def __init__(self, temporary: Path, model: str | Path, command: Sequence[str] = COMMAND) -> None:
        temporary.mkdir(exist_ok=True)
        self.temporary = temporary
        self.command = command
        self.transports: list[AsyncioTransport] = []
        self.statuses: list[str] = []
        self._runner = asyncio.Runner()
        settings = Settings(str(model), "cpu", temporary=temporary)

        async def make() -> WorkerClient:
            return WorkerClient(self._connect, settings, lambda status: self.statuses.append(status.state))

        self.client = self._runner.run(make())

    def _connect(self) -> AsyncioTransport:
        self.transports.append(AsyncioTransport(self.command))
        return self.transports[-1]

    def get(self, request):
        """What the future of a call gives; None for one that was replaced."""
        return self.all(lambda: [request()])[0]

    def all(self, requests):
        """As ``get``, of several requests made in one go."""

        async def answers():
            futures = [asyncio.wrap_future(future) for future in requests()]
            done = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), PATIENCE_S)
            return [None if isinstance(answer, asyncio.CancelledError) else answer for answer in done]

        results = self._runner.run(answers())
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results

    def prepare(self, source: Path | Voxels):
        return self.get(lambda: self.client.prepare(source))

    def synthesize(self, times=TIMES, **settings):
        return self.get(lambda: self.client.synthesize(times, INJECTION, **settings))

    def frame(self, t: float, **settings):
        return self.get(lambda: self.client.frame(t, **settings))

    def opened(self):
        """The model, once it is open."""
        return self.get(lambda: self.client.opened)

    def ended(self) -> int:
        """Waits for the latest process to end; how many there were."""
        self._runner.run(asyncio.wait_for(self.transports[-1].ended.wait(), PATIENCE_S))
        return len(self.transports)

    def close(self) -> None:
        async def end() -> None:
            self.client.close()
            await asyncio.wait_for(self.transports[-1].ended.wait(), PATIENCE_S)

        with self._runner:
            self._runner.run(end())
