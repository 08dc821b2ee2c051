"""Passes a browser's requests on to the process of its session."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from CEKWorldLib.web.session_start import SECRET_HEADER

# Of one connection and not of what it carries (RFC 9110, 7.6.1), or between browser and launcher alone.
_OWN_HEADERS = {
    "connection", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "cookie", "accept-encoding",
}  # fmt: skip
_PIECE = 1 << 18
_HEARTBEAT_S = 60.0  # a browser that vanished, as in a laptop's sleep, would keep its session for hours


class Proxy:
    """Forwards to ports of this host.

    Args:
        client: makes the requests.
    """

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client

    async def forward(self, request: web.Request, port: int, path: str, secret: str) -> web.StreamResponse:
        """Answers a request as the server at a port does.

        Args:
            request: of the browser.
            port: of the session's server.
            path: there, without a leading slash.
            secret: that server's.
        """
        url = f"http://127.0.0.1:{port}/{path}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        headers[SECRET_HEADER] = secret
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._forward_socket(request, url, secret)
        body = request.content if request.can_read_body else None
        async with self._client.request(
            request.method, url, params=request.query, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            response.headers.extend(
                (name, value) for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS
            )
            await response.prepare(request)
            async for piece in answer.content.iter_chunked(_PIECE):
                await response.write(piece)
            await response.write_eof()
            return response

    async def _forward_socket(self, request: web.Request, url: str, secret: str) -> web.WebSocketResponse:
        # On one host, compressing pictures that are JPEG already only costs time.
        browser = web.WebSocketResponse(max_msg_size=0, compress=False, heartbeat=_HEARTBEAT_S)
        await browser.prepare(request)
        async with self._client.ws_connect(url, headers={SECRET_HEADER: secret}, max_msg_size=0) as server:
            ways = [asyncio.create_task(_pass_on(browser, server)), asyncio.create_task(_pass_on(server, browser))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        await browser.close()
        return browser


async def _pass_on(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        if target.closed:
            return
        if message.type == aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type == aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
