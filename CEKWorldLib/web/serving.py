"""Serves the launcher until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.guard import is_loopback, new_token
from CEKWorldLib.web.launcher import Launcher
from CEKWorldLib.web.session_process import SessionSettings

_SHUTDOWN_S = 1.0  # for connections that are open; sessions take their own time


async def serve(settings: SessionSettings, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serves until the process is asked to stop, then ends all sessions.

    Args:
        settings: of every session.
        host: to listen on; other than loopback, the address carries a token.
        port: to listen on; 0 takes a free one.
        on_ready: told the address.

    Raises:
        CEKWorldError: the address cannot be listened on.
    """
    token = None if is_loopback(host) else new_token()
    runner = web.AppRunner(Launcher(settings, token).app, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise CEKWorldError(
                f"Cannot listen on {host} port {port} ({error.strerror}); choose another --port, or --port 0."
            ) from error
        address = f"http://{_named(host)}:{runner.addresses[0][1]}/"
        on_ready(f"{address}?token={token}" if token else address)
        await _stopped()
    finally:
        await runner.cleanup()


def _named(host: str) -> str:
    """How a browser on another machine calls the address: 0.0.0.0 and :: are all of this machine's."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


async def _stopped() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    stops = [signal.SIGINT, signal.SIGTERM]
    # A closed terminal must not leave patient files behind; nohup ignores it to have the viewer outlive one.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stops.append(signal.SIGHUP)
    for one in stops:
        loop.add_signal_handler(one, stop.set)
    await stop.wait()
