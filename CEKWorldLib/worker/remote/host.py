"""The host: listens, lets readers in, and gives each a worker process of his own."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from itertools import count
from pathlib import Path

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from CEKWorldLib.worker.remote import access
from CEKWorldLib.worker.remote.desk import Desk
from CEKWorldLib.worker.remote.private_folder import private_folder
from CEKWorldLib.worker.remote.seats import Seats
from CEKWorldLib.worker.remote.settings import HostSettings
from CEKWorldLib.worker.remote.wire import LARGEST_MESSAGE_BYTES, SESSION_HEADER, TOKEN_VARIABLE, Closed
from CEKWorldLib.worker.shared_folder import SharedFolder

_SHORTEST_SESSION = 32
_log = logging.getLogger(__name__)


async def run(settings: HostSettings, on_ready: Callable[[str], None] = lambda url: None) -> None:
    """Serves until it is cancelled; then no process and no file is left.

    Args:
        settings: see there.
        on_ready: told the address readers connect to, once they can.

    Raises:
        CEKWorldError: settings that would give images away.
        OSError: the address cannot be listened at.
    """
    tls = access.server_tls(settings.address, settings.token, settings.certificate, settings.key, settings.plain)
    with private_folder(settings.temporary) as root:
        host = _Host(settings, root)
        async with serve(
            host.attend,
            settings.address,
            settings.port,
            ssl=tls,
            process_request=host.admit,
            origins=[None],  # browsers name one: no web page may talk to a host that its reader can reach
            compression=None,
            max_size=LARGEST_MESSAGE_BYTES,
            server_header=None,
        ) as server:
            on_ready(_url(server, tls is not None))
            await server.serve_forever()


class _Host:
    def __init__(self, settings: HostSettings, root: Path) -> None:
        self._settings = settings
        self._root = root
        self._seats = Seats(settings.readers, root, settings.keep_s)
        self._numbers = count(1)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuses, before a connection is made, who does not show the token."""
        if not access.is_authorized(request.headers.get("Authorization"), self._settings.token):
            _log.warning("refused %s: wrong token", connection.remote_address[0])
            return connection.respond(
                HTTPStatus.UNAUTHORIZED,
                f"The GPU host does not accept the token in {TOKEN_VARIABLE}; ask who runs it.\n",
            )
        if len(request.headers.get(SESSION_HEADER, "")) < _SHORTEST_SESSION:
            return connection.respond(HTTPStatus.BAD_REQUEST, "This is a host for viewers of CEKWorld.\n")
        return None

    async def attend(self, connection: ServerConnection) -> None:
        """Serves a reader, if there is a seat."""
        assert connection.request is not None
        number = next(self._numbers)
        cache = self._seats.take(connection.request.headers[SESSION_HEADER], connection)
        if cache is None:
            _log.warning("reader %d: all %d seats are taken", number, self._settings.readers)
            sentence = f"The GPU host serves {self._settings.readers} readers, as many as it can; try again later."
            await connection.close(Closed.FULL, sentence)
            return
        try:
            folder = SharedFolder.create(self._root)
        except OSError as error:
            self._seats.leave(cache, connection, has_finished=False)
            _log.error("reader %d: no folder for his images (%s)", number, error.strerror)
            sentence = f"The GPU host has no place for a reader's images ({error.strerror}); ask who runs it."
            await connection.close(Closed.FULL, sentence)
            return
        begun = time.monotonic()
        _log.info("reader %d: connected from %s", number, connection.remote_address[0])
        desk = Desk(connection, self._settings, folder, cache)
        try:
            await desk.serve()
        finally:
            self._seats.leave(cache, connection, desk.has_finished)
            _log.info("reader %d: left after %.0f s", number, time.monotonic() - begun)


def _url(server: Server, is_encrypted: bool) -> str:
    address, port = next(iter(server.sockets)).getsockname()[:2]
    return f"{'wss' if is_encrypted else 'ws'}://{f'[{address}]' if ':' in address else address}:{port}"


def main(settings: HostSettings) -> None:
    """Serves until Ctrl-C, and says on standard error who came and went; nothing of what they looked at."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(run(settings, lambda url: _log.info("readers connect to %s", url)))
