"""The launcher without a browser: who gets in, what is refused, and what is left when it ends."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aiohttp import ClientSession, CookieJar, FormData, web

from CEKWorldLib.cli.main import main
from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.guard import guard, is_loopback
from CEKWorldLib.web.launcher import Launcher
from CEKWorldLib.web.page_state import Page
from CEKWorldLib.web.serving import _stopped
from CEKWorldLib.web.session_process import SessionSettings
from CEKWorldLib.web.uploads import Uploads, inner_path


def asked(token: str | None, *requests: dict) -> list[tuple[int, str]]:
    """Statuses and texts of requests that one browser makes of a guarded page, one after another."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="inside")

    async def ask() -> list[tuple[int, str]]:
        app = web.Application(middlewares=[guard(token)])
        app.add_routes([web.get("/", answer)])
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


def test_on_loopback_a_page_that_points_its_own_name_here_is_refused():
    answers = asked(None, {}, {"headers": {"Host": "evil.example"}}, {"headers": {"Host": "localhost:8080"}})
    assert [status for status, _ in answers] == [200, 403, 200]


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.5", False), ("h", False)],
)
def test_loopback_is_told_from_elsewhere(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "C:\\x\\y", "", "..\\up"])
def test_uploaded_names_cannot_leave_their_folder(name):
    with pytest.raises(CEKWorldError, match="leads out"):
        inner_path(name)


def test_uploaded_names_keep_their_folders():
    assert inner_path("study/series 1/0001.dcm") == Path("study/series 1/0001.dcm")


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


def uploaded(folder: Path, *files: tuple[str, bytes], readable: bool = True) -> tuple[int, list, Told]:
    """What becomes of files that a browser sends: status, what was opened, what the page was told."""
    opened: list[tuple[Path, str]] = []
    page = Told()

    async def open_path(path: Path, name: str) -> bool:
        opened.append((path, name))
        return readable

    form = FormData(quote_fields=False)  # as browsers send the folders of a name
    for name, content in files:
        form.add_field("file", content, filename=name)
    routes = Uploads(page, folder, open_path).routes()  # type: ignore[arg-type]
    return answered(routes, "POST", "files/upload", form)[0], opened, page


def test_a_folder_of_files_is_opened_as_a_folder(tmp_path):
    status, opened, _ = uploaded(tmp_path, ("exam/1.dcm", b"one"), ("exam/2.dcm", b"two"))
    ((path, name),) = opened
    assert status == 204 and name == "DICOM folder (2 files)"
    assert sorted(file.name for file in path.rglob("*.dcm")) == ["1.dcm", "2.dcm"]


def test_a_zip_is_unpacked_and_one_that_leads_out_is_refused_and_leaves_nothing(tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    for path, names in ((good, ("a/1.dcm", "a/2.dcm")), (bad, ("../../out.dcm", "x.dcm"))):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"content")
    folder = tmp_path / "session"
    folder.mkdir()
    status, ((path, name),), _ = uploaded(folder, ("good.zip", good.read_bytes()))
    assert (status, name) == (204, "good.zip") and len(list(path.rglob("*.dcm"))) == 2
    status, opened, page = uploaded(folder / "..", ("bad.zip", bad.read_bytes()))
    assert status == 400 and not opened and "leads out" in page.values["error"]
    assert not list(tmp_path.glob("upload-*")) and not list(tmp_path.parent.glob("out.dcm"))


NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n"


@pytest.mark.parametrize(
    "field",
    ["data file: /proc/self/environ", "DataFile: ../x.raw", "# \rdata file: sub/x.raw", "data file: LIST\nx.raw",
     "data file: x%03d.raw 1 4 1", "data file: C:\\x.raw"],
)  # fmt: skip
def test_an_uploaded_header_cannot_have_files_of_the_host_read(tmp_path, field):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/scan.nrrd", f"{NRRD}{field}\n\n")
    for name, content in (("scan.nrrd", f"{NRRD}{field}\n\n".encode()), ("scan.zip", packed.getvalue())):
        status, opened, page = uploaded(tmp_path, (name, content))
        assert status == 400 and not opened
        assert "scan.nrrd refers to other files for its voxels" in page.values["error"]
        assert not list(tmp_path.iterdir())


def test_an_uploaded_header_may_have_its_voxels_inside_or_in_a_file_beside_it(tmp_path):
    inside = f"{NRRD}\ndata file: /not/of/the/header".encode()
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert uploaded(one, ("scan.nrrd", inside))[0] == 204
    files = ("exam/scan.nhdr", f"{NRRD}data file: scan.raw\n\n".encode()), ("exam/scan.raw", bytes(64))
    assert uploaded(two, *files)[0] == 204


def test_an_upload_that_cannot_be_read_is_removed_and_leaves_the_files_of_the_exam_that_is_open(tmp_path):
    async def open_path(path: Path, name: str) -> bool:
        return name.endswith(".nrrd")

    routes = Uploads(Told(), tmp_path, open_path).routes()  # type: ignore[arg-type]
    for sent, left in (("one.nrrd", "one.nrrd"), ("notes.txt", "one.nrrd"), ("two.nrrd", "two.nrrd")):
        form = FormData()
        form.add_field("file", b"NRRD", filename=sent)
        assert answered(routes, "POST", "files/upload", form)[0] == 204
        assert [path.name for path in tmp_path.rglob("*.*")] == [left]


def test_two_uploads_at_once_leave_each_other_alone(tmp_path):
    opened: list[tuple[str, int]] = []
    page = Told()

    async def open_path(path: Path, name: str) -> bool:
        opened.append((name, path.stat().st_size))
        return True

    async def send_both() -> list[int]:
        routes = Uploads(page, tmp_path, open_path).routes()  # type: ignore[arg-type]
        small_is_open = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield bytes(1000)
            await small_is_open.wait()
            yield bytes(1000)

        large, small = FormData(), FormData()
        large.add_field("file", slow(), filename="large.nrrd")
        small.add_field("file", b"small", filename="small.nrrd")
        async with served(routes) as address, ClientSession() as client:
            first = asyncio.create_task(client.post(f"{address}files/upload", data=large))
            while not list(tmp_path.rglob("large.nrrd")):
                await asyncio.sleep(0.01)
            async with client.post(f"{address}files/upload", data=small) as response:
                statuses = [response.status]
            small_is_open.set()
            async with await first as response:
                return [*statuses, response.status]

    assert asyncio.run(asyncio.wait_for(send_both(), 30)) == [204, 204]
    assert opened == [("small.nrrd", 5), ("large.nrrd", 2000)] and "error" not in page.values
    assert [path.name for path in tmp_path.rglob("*.*")] == ["large.nrrd"]


def test_a_browser_that_is_closed_during_an_upload_leaves_no_message_and_no_file(tmp_path):
    page = Told()
    page.set(upload_percent=40.0)

    async def close_early() -> None:
        routes = Uploads(page, tmp_path, lambda *_: None).routes()  # type: ignore[arg-type]
        async with served(routes) as address:
            _, writer = await asyncio.open_connection("127.0.0.1", int(address.rstrip("/").rsplit(":", 1)[1]))
            writer.write(
                b"POST /files/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
                b"Content-Type: multipart/form-data; boundary=XX\r\n\r\n"
                b'--XX\r\nContent-Disposition: form-data; name="file"; filename="scan.nrrd"\r\n\r\n' + bytes(1000)
            )
            await writer.drain()
            while not list(tmp_path.rglob("scan.nrrd")):
                await asyncio.sleep(0.01)
            writer.close()
            while page.values["upload_percent"] >= 0:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(close_early(), 30))
    assert page.values == {"upload_percent": -1.0} and not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_named_as_such_and_leaves_nothing(tmp_path, method):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("scan.nrrd", np.random.default_rng(0).bytes(20000))
    content = bytearray(packed.getvalue())
    content[60:5000] = b"\xff" * 4940
    status, opened, page = uploaded(tmp_path, ("scan.zip", bytes(content)))
    assert status == 400 and not opened and not list(tmp_path.iterdir())
    assert "archive is damaged" in page.values["error"] and page.values["upload_percent"] < 0


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


def test_the_viewer_tells_whether_it_opened_an_exam(tmp_path):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    viewer = pytest.importorskip("CEKWorldLib.web.viewer", reason="slicer-core is not installed")
    exam, page, shown = tmp_path / "scan.nrrd", Told(), []
    sitk.WriteImage(sitk.GetImageFromArray(np.random.default_rng(0).uniform(1, 9, (3, 16, 16))), str(exam))
    opens = SimpleNamespace(page=page, _show=shown.append)
    assert asyncio.run(viewer.Viewer.open(opens, exam)) and [one.name for one in shown] == ["scan.nrrd"]
    assert not asyncio.run(viewer.Viewer.open(opens, tmp_path / "gone.nrrd")) and len(shown) == 1
    assert "gone.nrrd does not exist" in page.values["error"]


def test_a_file_that_cannot_be_written_is_answered_with_the_reason(tmp_path):
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    from CEKWorldLib.web.downloads import Downloads

    def gone():
        raise FileNotFoundError(2, "No such file or directory", "/session/upload-1/scan.nrrd")

    page = Told()
    downloads = Downloads(page, tmp_path, lambda: None, gone, lambda: [])  # type: ignore[arg-type]
    status, text = answered(downloads.routes(), "GET", "files/phases.seq.nrrd")
    assert status == 409 and "phases.seq.nrrd cannot be written (No such file or directory)" in text
    assert page.values == {"exporting": "", "error": text} and not list(tmp_path.iterdir())


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
