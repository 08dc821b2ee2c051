"""The connection that pictures take to the browser, without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aiohttp import ClientSession, ClientWebSocketResponse, web

from CEKWorldLib.web.picture_socket import PictureSocket

Window = Callable[[], Awaitable[ClientWebSocketResponse]]


class Heard:
    """A socket, and all that it has been told."""

    def __init__(self) -> None:
        self.opened, self.shown, self.times = 0, [], []
        self.socket = PictureSocket(self._open, self.shown.append)
        self.socket.wanted = self.times.append

    def _open(self) -> None:
        self.opened += 1

    def run(self, act: Callable[[Window], Awaitable[None]]) -> None:
        """Serves while windows of a browser act."""

        async def serve() -> None:
            app = web.Application()
            app.add_routes(self.socket.routes())
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}/pictures"
            async with ClientSession() as client:
                await act(lambda: client.ws_connect(address))
            await runner.cleanup()

        asyncio.run(serve())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_every_window_gets_a_picture_with_its_view_time_and_number():
    heard = Heard()

    async def act(window: Window) -> None:
        windows = [await window(), await window()]
        await until(lambda: heard.opened == 2)
        await heard.socket.send("Axial", 34.5, 7, memoryview(b"\xff\xd8\n picture"))
        for one in windows:
            assert await one.receive_bytes() == b"Axial 34.5 7\n\xff\xd8\n picture"

    heard.run(act)


def test_windows_tell_what_they_show_and_which_time_they_want_and_anything_else_is_ignored():
    heard = Heard()

    async def act(window: Window) -> None:
        one = await window()
        for message in ("shown 7", "", "something else", "time soon", "time 34.5", "shown 8"):
            await one.send_str(message)
        await until(lambda: heard.shown == [7, 8])
        assert heard.times == [34.5]

    heard.run(act)


def test_a_window_that_was_closed_does_not_keep_pictures_from_the_others():
    heard = Heard()

    async def act(window: Window) -> None:
        gone, stays = await window(), await window()
        await until(lambda: heard.opened == 2)
        await gone.close()
        await heard.socket.send("Axial", 0.0, 1, b"picture")
        assert (await stays.receive_bytes()).endswith(b"\npicture")

    heard.run(act)


def test_a_window_that_takes_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr("CEKWorldLib.web.picture_socket._PATIENCE_S", 0.05)
    heard = Heard()

    async def act(window: Window) -> None:
        stuck = await window()
        await until(lambda: heard.opened == 1)
        stuck._response.connection.transport.pause_reading()
        large = bytes(4_000_000)
        async with asyncio.timeout(20):
            for serial in range(1, 40):
                await heard.socket.send("Axial", 0.0, serial, large)
        begun = asyncio.get_running_loop().time()
        await heard.socket.send("Axial", 0.0, 40, large)
        assert asyncio.get_running_loop().time() - begun < 0.05

    heard.run(act)


def test_the_letters_at_the_sides_of_a_view_are_those_of_slicers_orientation():
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    from vtkmodules.vtkCommonMath import vtkMatrix3x3

    from CEKWorldLib.web.page.view_frame import SIDES

    letters = (("L", "R"), ("P", "A"), ("I", "S"))  # against and along an axis of RAS
    for name, sides in SIDES.items():
        to_ras = vtkMatrix3x3()
        getattr(slicer.vtkMRMLSliceNode, f"Get{name}SliceToRASMatrix")(to_ras)
        rightward = [to_ras.GetElement(row, 0) for row in range(3)]
        axis = max(range(3), key=lambda row: abs(rightward[row]))
        against, along = letters[axis]
        assert sides == ((against, along) if rightward[axis] > 0 else (along, against)), name
