"""Who may use the viewer: on loopback whoever is on this host, elsewhere whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches this host alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    return secrets.token_urlsafe(24)


def is_foreign(request: web.Request) -> bool:
    """Whether a foreign page asks without its user: for a picture, a frame, or with a script.

    Browsers say so of requests to this host or with TLS; a link that the user follows is his own wish.
    """
    if request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
        return False
    return (request.headers.get("Sec-Fetch-Dest"), request.headers.get("Sec-Fetch-User")) != ("document", "?1")


def guard(token: str | None) -> Any:
    """The middleware that lets requests in.

    Args:
        token: to be given once as ``?token=``, then kept in a cookie; None on loopback, where instead the browser
            must have asked for this host by name, which a foreign page that points its own name here does not.
    """

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        if token is None:
            if not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
                raise web.HTTPForbidden(text="Open the viewer at the address it printed.")
            return await handler(request)
        cookie = f"cekworld-token-{request.url.port}"  # cookies do not tell a host's ports apart
        given = request.query.get("token")
        if given is not None and hmac.compare_digest(given.encode(), token.encode()):
            # The token leaves the address bar, where it would be copied and kept in the history.
            response = web.HTTPSeeOther(request.path)
            response.set_cookie(cookie, token, httponly=True, samesite="Strict", secure=request.secure)
            raise response
        if not hmac.compare_digest(request.cookies.get(cookie, "").encode(), token.encode()):
            raise web.HTTPForbidden(text="Open the viewer with the whole address it printed, with its token.")
        return await handler(request)

    return check
