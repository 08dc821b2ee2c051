"""The server of one browser session: a trame server that ends with its launcher, or when nobody looks any more."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from trame.app import get_server

from CEKWorldLib.web.session_start import SECRET_HEADER, Start
from CEKWorldLib.web.viewer import Viewer, ViewerSettings


def main() -> None:
    """Serves until standard input ends, or until nobody has looked for long."""
    start = Start.decode(sys.stdin.buffer.readline())
    # What libraries print must not come between: from here on, standard output is standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asyncio.run(_serve(start, answers))
    os._exit(0)  # VTK may take seconds to be torn down, or crash at it


async def _serve(start: Start, answers: Any) -> None:
    server = get_server("cekworld", client_type="vue3")
    exam = Path(start.exam) if start.exam else None
    viewer = Viewer(server, ViewerSettings(exam, start.name, start.model, Path(start.temporary)))

    @server.controller.add("on_server_bind")
    def bind(wslink_server: Any) -> None:
        wslink_server.app.middlewares.append(_only_with(start.secret))
        wslink_server.app.add_routes(viewer.routes())

    @server.controller.add("on_server_ready")
    def ready(**_: Any) -> None:
        print(json.dumps({"port": server.port}), file=answers, flush=True)

    served = asyncio.ensure_future(
        server.start(
            exec_mode="coroutine",
            port=0,
            host="127.0.0.1",
            timeout=start.idle_s,
            open_browser=False,
            show_connection_info=False,
            disable_logging=True,
        )
    )
    running = asyncio.create_task(viewer.run())
    launcher_ended = asyncio.create_task(asyncio.to_thread(_wait_for_end_of_input))
    await asyncio.wait([served, launcher_ended], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    await viewer.close()
    if launcher_ended.done():  # it may have been killed, and nobody else removes a patient's files then
        shutil.rmtree(start.temporary, ignore_errors=True)
    os._exit(0)  # the thread that waits for input cannot be interrupted


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        continue


def _only_with(secret: str) -> Any:
    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get(SECRET_HEADER) != secret:
            raise web.HTTPForbidden(text="This port serves CEKWorld's launcher alone.")
        return await handler(request)

    return check
