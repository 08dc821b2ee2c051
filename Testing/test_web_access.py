"""The launcher without a browser: who gets in, what is refused, and what is left when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aiohttp import ClientSession, CookieJar, web

from CEKWorldLib.cli.main import main
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.guard import guard, is_loopback
from CEKWorldLib.web.launcher import Launcher
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.proxy import Proxy
from CEKWorldLib.web.serving import _stopped
from CEKWorldLib.web.session_process import SessionProcess, SessionSettings
from CEKWorldLib.web.session_start import Start


async def inside(_request: web.Request) -> web.Response:
    return web.Response(text="inside")


def begun_without_process(begun: list[object]) -> Callable[[SessionSettings], object]:
    """In place of a session's process: one that is only counted."""

    async def end() -> None:
        return None

    def begin(settings: SessionSettings) -> object:
        begun.append(settings)
        return SimpleNamespace(id="id", ended=False, end=end)

    return begin


def launched(method: str, headers: dict[str, str]) -> int:
    """Status of one request to a launcher, where it leads to not followed."""

    async def run() -> int:
        runner = web.AppRunner(Launcher(SessionSettings(None, "", "compact", 10), None).app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with ClientSession() as client:
                address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
                async with client.request(method, address, headers=headers, allow_redirects=False) as response:
                    return response.status
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def asked(token: str | None, *requests: dict) -> list[tuple[int, str]]:
    """Statuses and texts of requests that one browser makes of a guarded page, one after another."""

    async def ask() -> list[tuple[int, str]]:
        app = web.Application(middlewares=[guard(token)])
        app.add_routes([web.get("/", inside)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        answers = []
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as client:
            for request in requests:
                async with client.get(address, **request) as response:
                    answers.append((response.status, str(response.url.query_string), await response.text()))
        await runner.cleanup()
        return [(status, text) for status, query, text in answers if not query or status != 200]

    return asyncio.run(ask())


def test_elsewhere_than_on_loopback_nobody_gets_in_without_the_token_and_it_leaves_the_address():
    answers = asked("secret", {}, {"params": {"token": "guess"}}, {"params": {"token": "secret"}}, {})
    assert [status for status, _ in answers] == [403, 403, 200, 200]
    assert answers[2][1] == answers[3][1] == "inside"


def test_two_viewers_on_one_host_do_not_take_each_others_cookie():
    async def visit() -> list[int]:
        runners, addresses = [], []
        for token in ("first", "second"):
            app = web.Application(middlewares=[guard(token)])
            app.add_routes([web.get("/", inside)])
            runners.append(web.AppRunner(app))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
            addresses.append(f"http://127.0.0.1:{runners[-1].addresses[0][1]}/")
        statuses = []
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as client:
            for address in (f"{addresses[0]}?token=first", f"{addresses[1]}?token=second", *addresses):
                async with client.get(address) as response:
                    statuses.append(response.status)
        for runner in runners:
            await runner.cleanup()
        return statuses

    assert asyncio.run(visit()) == [200] * 4


FOREIGN = {"Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {}, 303),
        ("GET", {"Sec-Fetch-Site": "none"}, 303),
        ("GET", {"Sec-Fetch-Site": "same-origin"}, 303),
        ("GET", FOREIGN | {"Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}, 303),
        ("GET", FOREIGN | {"Sec-Fetch-Dest": "document"}, 403),
        ("GET", FOREIGN | {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-User": "?1"}, 403),
        ("GET", FOREIGN | {"Sec-Fetch-Dest": "image"}, 403),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "empty"}, 403),
        ("HEAD", {}, 405),
    ],
)
def test_a_session_begins_for_a_user_and_not_for_a_foreign_page(monkeypatch, method, headers, expected):
    begun: list[object] = []
    monkeypatch.setattr("CEKWorldLib.web.launcher.SessionProcess", begun_without_process(begun))
    assert launched(method, headers) == expected
    assert len(begun) == (expected == 303)


def test_a_host_without_room_for_a_session_says_so_instead_of_starting_for_ever(monkeypatch):
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("CEKWorldLib.web.session_process.tempfile.TemporaryDirectory", full)

    async def reason() -> str:
        process = SessionProcess(SessionSettings(None, "", "compact", 10))
        with pytest.raises(CEKWorldError) as caught:
            await asyncio.wait_for(process.ready, 10)
        await process.wait()
        return str(caught.value)

    assert "did not start (No space left on device;" in asyncio.run(reason())


def test_the_terminals_ctrl_c_does_not_reach_a_session_even_while_it_starts(monkeypatch):
    # In place of a session: a process that gives its process group, which a terminal signals, as its port.
    tells = "import json, os, sys; print(json.dumps({'port': os.getpgrp()}), flush=True); sys.stdin.read()"
    monkeypatch.setattr("CEKWorldLib.web.session_process._COMMAND", (sys.executable, "-c", tells))

    async def group() -> int:
        process = SessionProcess(SessionSettings(None, "", "compact", 10))
        found = await asyncio.wait_for(process.ready, 10)
        await process.end()
        return found

    assert asyncio.run(group()) != os.getpgrp()


def test_a_session_whose_launcher_was_killed_ends_and_removes_its_files(tmp_path):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    folder = tmp_path / "session"
    folder.mkdir()
    start = Start(None, "", "compact", str(folder), "secret", 300)
    command = [sys.executable, "-m", "CEKWorldLib.web"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(start.encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["port"] > 0
        (folder / "upload-1").mkdir()
        process.stdin.close()
        assert process.wait(60) == 0
    assert not folder.exists()


def test_on_loopback_a_page_that_points_its_own_name_here_is_refused():
    answers = asked(None, {}, {"headers": {"Host": "evil.example"}}, {"headers": {"Host": "localhost:8080"}})
    assert [status for status, _ in answers] == [200, 403, 200]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.5", False), ("h", False)],
)
def test_loopback_is_told_from_elsewhere(host, expected):
    assert is_loopback(host) is expected


def test_a_browser_that_vanished_without_a_word_lets_its_session_go(monkeypatch):
    monkeypatch.setattr("CEKWorldLib.web.proxy._HEARTBEAT_S", 0.2)
    is_let_go = asyncio.Event()

    async def serve_socket(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            continue
        is_let_go.set()
        return socket

    async def vanish() -> None:
        async with ClientSession() as client, AsyncExitStack() as runners:
            port = await served(runners, "/ws", serve_socket)
            proxy = Proxy(client)

            async def pass_on(request: web.Request) -> web.StreamResponse:
                return await proxy.forward(request, port, "ws", "secret")

            launcher = await served(runners, "/ws", pass_on)
            reader, writer = await asyncio.open_connection("127.0.0.1", launcher)
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert b"101" in await reader.readline()
            await asyncio.wait_for(is_let_go.wait(), 10)
            writer.close()

    asyncio.run(vanish())


async def served(runners: AsyncExitStack, path: str, handler: Callable) -> int:
    """The port at which a handler answers until the runners are left."""
    app = web.Application()
    app.add_routes([web.get(path, handler)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    runners.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1]


def test_passing_on_a_long_upload_has_no_time_limit():
    async def limit() -> float | None:
        launcher = Launcher(SessionSettings(None, "", "compact", 10), None)
        runner = web.AppRunner(launcher.app)
        await runner.setup()
        try:
            return launcher._proxy._client.timeout.total
        finally:
            await runner.cleanup()

    assert asyncio.run(limit()) is None


@pytest.mark.parametrize("ignored", [False, True])
def test_a_closed_terminal_ends_the_launcher_unless_it_runs_under_nohup(ignored):
    async def hang_up() -> bool:
        serving = asyncio.create_task(_stopped())
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        done, _ = await asyncio.wait([serving], timeout=0.2 if ignored else 10)
        serving.cancel()
        return bool(done)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        assert asyncio.run(hang_up()) is not ignored
    finally:
        signal.signal(signal.SIGHUP, before)


def test_view_names_an_exam_that_is_not_there(capsys):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    assert main(["view", "no_such_exam.nrrd", "--no-browser"]) == 2
    assert "no_such_exam.nrrd does not exist" in capsys.readouterr().err


def test_the_page_refuses_values_it_does_not_have():
    trame = pytest.importorskip("trame.app", reason="trame is not installed")
    page = Page(trame.get_server("page-of-a-test", client_type="vue3"))
    page.set(time_s=3.0)
    assert page.get("time_s") == 3.0
    with pytest.raises(KeyError, match="tiem_s"):
        page.set(tiem_s=3.0)
