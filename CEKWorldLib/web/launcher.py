"""The address a browser opens: one process per session behind it, so that sessions share nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.guard import guard, is_foreign
from CEKWorldLib.web.proxy import Proxy
from CEKWorldLib.web.session_process import SessionProcess, SessionSettings

_STATIC = Path(__file__).with_name("static")
# aiohttp's own limit of 5 minutes covers bodies, and an exam may take longer to come or an export to be written.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=30)
_MOST_SESSIONS = 8  # each holds a scene and, once it synthesizes, a model: 1 GB and more


class Launcher:
    """Makes a session for every visit of ``/`` and passes ``/s/<id>/...`` on to it.

    Args:
        settings: of every session.
        token: asked of every visitor; None on loopback.
    """

    def __init__(self, settings: SessionSettings, token: str | None) -> None:
        self._settings = settings
        self._sessions: dict[str, SessionProcess] = {}
        self.app = web.Application(middlewares=[guard(token)])
        self.app.add_routes(
            [
                web.get("/", self._begin, allow_head=False),
                web.get("/message.css", self._message_style),
                web.get("/s/{id}/", self._wait_page),
                web.get("/s/{id}/ready", self._ready),
                web.route("*", "/s/{id}/{path:.*}", self._forward),
            ]
        )
        self.app.cleanup_ctx.append(self._work)

    async def _work(self, _app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(auto_decompress=False, timeout=_PATIENCE) as client:
            self._proxy = Proxy(client)
            yield
            await asyncio.gather(*(session.end() for session in list(self._sessions.values())))

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        if is_foreign(request):
            raise web.HTTPForbidden(text="Another page asked for a viewer; open it from the address bar.")
        self._sessions = {id: session for id, session in self._sessions.items() if not session.ended}
        if len(self._sessions) >= _MOST_SESSIONS:
            raise web.HTTPServiceUnavailable(
                text=f"{_MOST_SESSIONS} viewers are open, as many as there may be; close one and try again in a few "
                "minutes."
            )
        session = SessionProcess(self._settings)
        self._sessions[session.id] = session
        raise web.HTTPSeeOther(f"/s/{session.id}/")

    async def _message_style(self, _request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_STATIC / "message.css")

    async def _wait_page(self, request: web.Request) -> web.StreamResponse:
        self._session(request)
        return web.FileResponse(_STATIC / "starting.html")

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        """Answers once the session serves."""
        try:
            await asyncio.shield(self._session(request).ready)
        except CEKWorldError as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        return web.Response(text="ready")

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        session = self._session(request)
        port = session.port
        if port is None:
            raise web.HTTPServiceUnavailable(text="The viewer is still starting.")
        try:
            return await self._proxy.forward(request, port, request.match_info["path"], session.secret)
        except aiohttp.ClientConnectionError:
            raise _ended() from None

    def _session(self, request: web.Request) -> SessionProcess:
        session = self._sessions.get(request.match_info["id"])
        if session is None or session.ended:
            raise _ended()
        return session


def _ended() -> web.HTTPException:
    text = (_STATIC / "ended.html").read_text(encoding="utf-8")
    return web.HTTPNotFound(text=text, content_type="text/html")
