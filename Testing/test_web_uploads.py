"""Files that go into the browser viewer: what is taken, refused, stopped, and what is left of it."""

from __future__ import annotations

import asyncio
import io
import os
import time
import zipfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aiohttp import ClientSession, FormData
from dicom_series_writer import write_classic
from served_routes import Told, answered, served

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.web.uploads import Uploads, inner_path


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "C:\\x\\y", "", "..\\up"])
def test_uploaded_names_cannot_leave_their_folder(name):
    with pytest.raises(CEKWorldError, match="leads out"):
        inner_path(name)


@pytest.mark.parametrize("name", ["study/series 1/0001.dcm", "exam 12:30.nrrd"])
def test_uploaded_names_keep_their_folders_and_their_characters(name):
    assert inner_path(name) == Path(name)


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
    status, ((path, name),), _ = uploaded(two, *files)
    assert (status, name) == (204, "scan.nhdr") and sitk.ReadImage(str(path)).GetSize() == (4, 4, 4)


def test_a_volume_that_macos_packed_is_opened_without_the_files_beside_it(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("scan.nrrd", f"{NRRD}\n".encode() + bytes(64))
        archive.writestr("__MACOSX/._scan.nrrd", b"\0\5\26\7")
    status, ((path, name),), _ = uploaded(tmp_path, ("scan.zip", packed.getvalue()))
    assert (status, name, path.name) == (204, "scan.zip", "scan.nrrd")


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


def test_an_archive_without_files_is_named_as_such(tmp_path):
    packed = io.BytesIO()
    zipfile.ZipFile(packed, "w").close()
    status, opened, page = uploaded(tmp_path, ("scan.zip", packed.getvalue()))
    assert status == 400 and not opened and not list(tmp_path.iterdir())
    assert page.values["error"] == "The archive holds no files; pack the exam anew."


def opening(viewer: type, page: Told, shown: list) -> SimpleNamespace:
    """A viewer as far as opening goes."""
    from CEKWorldLib.web.series_choice import SeriesChoice

    opens = SimpleNamespace(page=page, choice=SeriesChoice(page), _show=shown.append, _opening=asyncio.Lock())
    opens._read = partial(viewer._read, opens)
    return opens


@pytest.mark.parametrize("answer", ["T2", "", "another exam"])
def test_the_user_is_asked_which_of_several_series_is_meant(tmp_path, answer):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    viewer = pytest.importorskip("CEKWorldLib.web.viewer", reason="slicer-core is not installed")
    study, page, shown = tmp_path / "study", Told(), []
    levels = {"T1": 100, "T2": 700}
    for number, (name, level) in enumerate(levels.items(), 3):
        voxels = np.random.default_rng(number).integers(level, level + 50, (1, 4, 16, 16)).astype(np.uint16)
        tags = {"SeriesDescription": name, "EchoTime": 1.0 + 20.0 * (number - 3)}
        write_classic(study / name, voxels, lambda _phase, number=number: number, **tags)
    opens = opening(viewer.Viewer, page, shown)

    async def choose() -> bool:
        opened = asyncio.create_task(viewer.Viewer.open(opens, study))
        while not page.values.get("series_choices"):
            assert not opened.done(), page.values.get("error")
            await asyncio.sleep(0.01)
        choices = {one["title"]: one["value"] for one in page.values["series_choices"]}
        assert list(choices) == [f"series {n} {name}: MR, 4 files of 16 x 16" for n, name in ((3, "T1"), (4, "T2"))]
        assert page.values["series_of"] == "study"
        if answer == "another exam":
            assert not await viewer.Viewer.open(opens, tmp_path / "gone.nrrd")
        else:
            opens.choice.answer(list(choices.values())[1] if answer else "")
        return await opened

    assert asyncio.run(choose()) is (answer == "T2")
    assert [float(one.series.frames.min()) >= levels["T2"] for one in shown] == [True] * (answer == "T2")
    assert page.values["series_choices"] == []


def test_an_exam_that_takes_long_to_read_does_not_replace_one_that_was_opened_after_it(tmp_path, monkeypatch):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    viewer = pytest.importorskip("CEKWorldLib.web.viewer", reason="slicer-core is not installed")
    delays = {"slow.nrrd": 0.3, "quick.nrrd": 0.0}
    monkeypatch.setattr(viewer, "open_exam", lambda path, _: time.sleep(delays[path.name]) or path.name)
    shown: list[str] = []
    opens = opening(viewer.Viewer, Told(), shown)

    async def open_both() -> None:
        await asyncio.gather(*(viewer.Viewer.open(opens, tmp_path / name) for name in delays))

    asyncio.run(open_both())
    assert shown == ["slow.nrrd", "quick.nrrd"]


def test_the_viewer_tells_whether_it_opened_an_exam(tmp_path):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    viewer = pytest.importorskip("CEKWorldLib.web.viewer", reason="slicer-core is not installed")
    exam, page, shown = tmp_path / "scan.nrrd", Told(), []
    sitk.WriteImage(sitk.GetImageFromArray(np.random.default_rng(0).uniform(1, 9, (3, 16, 16))), str(exam))
    opens = opening(viewer.Viewer, page, shown)
    assert asyncio.run(viewer.Viewer.open(opens, exam)) and [one.name for one in shown] == ["scan.nrrd"]
    assert not asyncio.run(viewer.Viewer.open(opens, tmp_path / "gone.nrrd")) and len(shown) == 1
    assert "gone.nrrd does not exist" in page.values["error"]


def test_a_folder_whose_name_is_no_utf_8_is_shown_under_one_that_is(tmp_path):
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    viewer = pytest.importorskip("CEKWorldLib.web.viewer", reason="slicer-core is not installed")
    study, shown = tmp_path / os.fsdecode(b"M\xfcller"), []
    voxels = np.random.default_rng(0).integers(100, 150, (1, 4, 16, 16)).astype(np.uint16)
    write_classic(study, voxels, lambda _phase: 3)
    assert asyncio.run(viewer.Viewer.open(opening(viewer.Viewer, Told(), shown), study))
    assert [one.name for one in shown] == ["M\N{REPLACEMENT CHARACTER}ller"]
