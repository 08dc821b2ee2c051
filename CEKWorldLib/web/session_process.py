"""The process of one browser session, as the launcher sees it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.session_start import Start

_COMMAND = (sys.executable, "-m", "CEKWorldLib.web")
_PATIENCE_S = 8.0  # between the end of a session's input and its being killed


@dataclass(frozen=True)
class SessionSettings:
    """What every session begins with.

    Attributes:
        exam: opened first; None for nothing.
        name: of it, shown to the user.
        model: name or folder.
        idle_s: how long a session lives without a browser.
    """

    exam: Path | None
    name: str
    model: str
    idle_s: int


class SessionProcess:
    """Starts, watches and ends a session's process, and removes its files.

    Args:
        settings: how it begins.

    Attributes:
        id: unguessable; whoever knows it may see the session.
        secret: what the process asks of every request.
        ready: gives the port once the process serves; fails where it ended before.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self.id = secrets.token_urlsafe(18)
        self.secret = secrets.token_urlsafe(18)
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._life = asyncio.create_task(self._live())

    @property
    def ended(self) -> bool:
        return self._life.done()

    @property
    def port(self) -> int | None:
        """Where the process serves; None while it starts, or where it failed to."""
        usable = self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None
        return self.ready.result() if usable else None

    async def wait(self) -> None:
        """Waits until the process has ended and its files are removed."""
        await asyncio.wait([self._life])

    async def end(self) -> None:
        """Ends the process, by force where it does not end by itself."""
        process = self._process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _PATIENCE_S)
            except TimeoutError:
                process.kill()
        await self.wait()

    async def _live(self) -> None:
        reason = "it ended while it started; see its messages"
        try:
            with tempfile.TemporaryDirectory(prefix="cekworld-view-", ignore_cleanup_errors=True) as temporary:
                await self._run(temporary)
        except OSError as error:
            reason = f"{error.strerror}; free memory or disk where it runs, and try again"
        finally:
            if not self.ready.done():
                self.ready.set_exception(CEKWorldError(f"The viewer's process did not start ({reason})."))
                self.ready.exception()  # seen: whoever asks for the page is told, if anybody does

    async def _run(self, temporary: str) -> None:
        settings = self._settings
        self._process = process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": temporary},
            start_new_session=True,  # Ctrl-C and a closed terminal are for the launcher, whose end is the session's
        )
        assert process.stdin is not None and process.stdout is not None
        exam = None if settings.exam is None else str(settings.exam.absolute())
        start = Start(exam, settings.name, settings.model, temporary, self.secret, settings.idle_s)
        process.stdin.write(start.encode())
        answer = await process.stdout.readline()
        if answer:
            self.ready.set_result(int(json.loads(answer)["port"]))
        await process.wait()
