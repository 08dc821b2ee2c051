"""A worker process under asyncio: for the browser viewer, scripts and tests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence

from CEKWorldLib.worker.messages import LineSplitter

COMMAND = (sys.executable, "-m", "CEKWorldLib.worker")
_NOT_FOUND = 127  # what a shell exits with where there is no such program


class AsyncioTransport:
    """Starts the worker as a child process; see ``interface.Transport``. Made and used in a running event loop.

    The worker's standard error is this process's own.

    Args:
        command: of the worker.

    Attributes:
        ended: set when the process has ended and ``on_exit`` was called.
        pid: of the process, once it runs.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.on_line: Callable[[str], None] = _ignore_line
        self.on_exit: Callable[[int | None], None] = _ignore_exit
        self.ended = asyncio.Event()
        self.pid: int | None = None
        self._command = command
        self._unsent: list[str] = []
        self._pipes: _Pipes | None = None
        self._starting: asyncio.Task | None = None  # held, as the event loop alone does not keep it alive
        self._is_killed = False

    def start(self) -> None:
        self._starting = asyncio.get_running_loop().create_task(self._start())

    def write(self, line: str) -> None:
        if self._pipes is None:
            self._unsent.append(line)
        else:
            self._pipes.write(line)

    def kill(self) -> None:
        self._is_killed = True
        if self._pipes is not None:
            self._pipes.kill()

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            process, pipes = await loop.subprocess_exec(lambda: _Pipes(self), *self._command, stderr=None)
        except OSError:
            self.exited(_NOT_FOUND)
            return
        self.pid = process.get_pid()
        self._pipes = pipes
        for line in self._unsent:
            pipes.write(line)
        if self._is_killed:
            pipes.kill()

    def exited(self, code: int | None) -> None:
        """The process has ended and all its output was delivered."""
        self.ended.set()
        self.on_exit(code)


class _Pipes(asyncio.SubprocessProtocol):
    def __init__(self, owner: AsyncioTransport) -> None:
        self._owner = owner
        self._lines = LineSplitter()
        self._process: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._process = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._owner.on_line(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Follows the end of the process and of its pipes, whichever comes last."""
        code = None if self._process is None else self._process.get_returncode()
        self._process = None
        self._owner.exited(code)

    def write(self, line: str) -> None:
        pipe = self._process and self._process.get_pipe_transport(0)
        if isinstance(pipe, asyncio.WriteTransport):
            pipe.write(f"{line}\n".encode())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()


def _ignore_line(line: str) -> None:
    """Before a client listens."""


def _ignore_exit(code: int | None) -> None:
    """Before a client listens."""
