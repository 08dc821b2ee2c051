"""Routes of the browser viewer, served and asked without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, FormData, web


class Told:
    """In place of a page: keeps what it is told."""

    def __init__(self) -> None:
        self.values: dict = {}

    def set(self, **values) -> None:
        self.values |= values

    def fail(self, error: Exception) -> None:
        self.set(error=str(error))


@asynccontextmanager
async def served(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    """The address of routes while they are served."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def answered(routes: list[web.RouteDef], method: str, path: str, data: FormData | None = None) -> tuple[int, str]:
    """Status and text of one request."""

    async def ask() -> tuple[int, str]:
        async with (
            served(routes) as address,
            ClientSession() as client,
            client.request(method, address + path, data=data) as response,
        ):
            return response.status, await response.text()

    return asyncio.run(ask())
