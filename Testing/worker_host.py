"""A host of workers for tests: it runs in a thread of the test's process, behind a cable that can be cut."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import psutil

from CEKWorldLib.worker.remote import host
from CEKWorldLib.worker.remote.settings import HostSettings


class Department:
    """A host on loopback, while the context lasts.

    Args:
        temporary: where the host keeps its files.
        settings: of ``HostSettings``.

    Attributes:
        url: of the host, through the cable.
    """

    def __init__(self, temporary: Path, **settings) -> None:
        temporary.mkdir(exist_ok=True)
        self.temporary = temporary
        self._settings = HostSettings(port=0, temporary=temporary, **settings)
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Department:
        self._thread.start()
        assert self._is_up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(30)
        assert not self._thread.is_alive() and list(self.temporary.iterdir()) == []

    def cut(self) -> None:
        """Tears every connection, without a word to either end."""

        def tear() -> None:
            for writer in list(self._writers):
                writer.transport.abort()

        self._loop.call_soon_threadsafe(tear)

    def workers(self) -> list[int]:
        """Process ids of the workers that run now; one that has died and waits to be collected does not run."""
        return [child.pid for child in psutil.Process().children() if self._is_worker(child)]

    def _is_worker(self, process: psutil.Process) -> bool:
        try:
            return process.cmdline()[1:2] == [self._settings.command[1]]
        except psutil.NoSuchProcess:  # a zombie is one of these
            return False

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[str] = self._loop.create_future()
        self._serving = asyncio.create_task(host.run(self._settings, ready.set_result))
        direct = await ready
        scheme, _, port = direct.rpartition(":")
        cable = await asyncio.start_server(lambda *ends: self._carry(int(port), *ends), "127.0.0.1", 0)
        self.url = f"{scheme}:{cable.sockets[0].getsockname()[1]}"
        self._is_up.set()
        try:
            await self._serving
        except asyncio.CancelledError:
            cable.close()

    async def _carry(self, port: int, near_reader: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers |= {near_writer, far_writer}
        await asyncio.gather(self._copy(near_reader, far_writer), self._copy(far_reader, near_writer))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            return
        finally:
            sink.close()
            self._writers.discard(sink)
